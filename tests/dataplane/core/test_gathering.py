"""Streams put together into whole completions."""

from tollway_dataplane.core.facts import JsonObject, JsonValue
from tollway_dataplane.core.gathering import Gathering

HEAD: JsonObject = {"id": "x", "created": 1, "model": "m"}


def gathered(*choices: JsonObject, **last: JsonValue) -> JsonObject:
    gathering = Gathering()
    for choice in choices:
        gathering.add({**HEAD, "object": "chat.completion.chunk", "choices": [choice]})
    if last:
        gathering.add({**HEAD, "choices": [], **last})
    return gathering.completion()


def delta(index: int = 0, **fields: JsonValue) -> JsonObject:
    return {"index": index, "delta": fields, "finish_reason": None}


def only(completion: JsonObject) -> JsonObject:
    choices = completion["choices"]
    assert isinstance(choices, list)
    (choice,) = choices
    assert isinstance(choice, dict)
    return choice


def test_text_comes_in_pieces_and_what_is_said_whole_may_be_said_again() -> None:
    completion = gathered(
        delta(role="assistant", content="One "),
        delta(role="assistant", content="two."),
        {"index": 0, "delta": {}, "finish_reason": "stop"},
        usage={"prompt_tokens": 1, "completion_tokens": 2},
    )
    assert completion == {
        **HEAD,
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "One two."}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }


def test_every_choice_is_put_together_by_its_index() -> None:
    choices = gathered(delta(1, content="b"), delta(0, content="a"), delta(1, content="c"))["choices"]
    assert isinstance(choices, list)
    contents = [each["message"]["content"] for each in choices]
    assert contents == ["a", "bc"]


def test_calls_of_tools_are_put_together_by_their_index() -> None:
    first: JsonObject = {
        "index": 0,
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": ""},
    }
    other: JsonObject = {
        "index": 1,
        "id": "b",
        "type": "function",
        "function": {"name": "g", "arguments": "{}"},
    }
    more: JsonObject = {"index": 0, "id": "a", "function": {"arguments": '{"x": 1}'}}
    message = only(gathered(delta(tool_calls=[first]), delta(tool_calls=[other]), delta(tool_calls=[more])))[
        "message"
    ]
    assert message == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_what_else_a_provider_adds_is_kept() -> None:
    one: JsonObject = {"token": "a", "logprob": -0.1}
    two: JsonObject = {"token": "b", "logprob": -0.2}
    choice = only(
        gathered(
            {**delta(content="a", reasoning_content="Hm"), "logprobs": {"content": [one]}},
            {**delta(content="b", reasoning_content="m."), "logprobs": {"content": [two]}},
            {**delta(), "logprobs": None},
        )
    )
    assert choice["logprobs"] == {"content": [one, two]}
    assert choice["message"] == {"content": "ab", "reasoning_content": "Hmm.", "role": "assistant"}


def test_of_nothing_there_are_no_choices() -> None:
    assert Gathering().completion()["choices"] == []
