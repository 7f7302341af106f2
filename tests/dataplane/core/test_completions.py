"""What is understood of a provider's completions."""

import pytest

from tollway_dataplane.core.completions import Assembly, finished_choices, is_whole, usage_of, written_in
from tollway_dataplane.core.facts import JsonObject, JsonValue, Usage


@pytest.mark.parametrize(
    ("prompt", "answer", "usage"),
    [
        (3, 5, Usage(3, 5)),
        (0, 0, Usage(0, 0)),
        (3, None, None),
        (True, 5, None),
        (3.0, 5, None),
        (-1, 5, None),
        (9 * 10**18, 5, None),
    ],
)
def test_a_count_that_makes_no_sense_is_none(
    prompt: JsonValue, answer: JsonValue, usage: Usage | None
) -> None:
    assert usage_of({"usage": {"prompt_tokens": prompt, "completion_tokens": answer}}) == usage


@pytest.mark.parametrize(
    ("more", "whole"),
    [
        ({}, True),
        ({"logprobs": None}, True),
        ({"logprobs": {"content": []}}, False),
        ({"finish_reason": "length"}, False),
        ({"message": {"role": "assistant", "content": ""}}, False),
        ({"message": {"role": "assistant", "content": "I'm sorry, but I can't help with that."}}, False),
        ({"message": {"role": "assistant", "content": "Hi", "tool_calls": [{}]}}, False),
    ],
)
def test_only_an_answer_that_can_be_given_again_is_whole(more: JsonObject, *, whole: bool) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop", **more}
    assert is_whole({"choices": [choice]}) is whole


def test_all_that_was_written_is_counted() -> None:
    choices: list[JsonObject] = [
        {"index": 0, "message": {"role": "assistant", "content": "one"}},
        {
            "index": 1,
            "message": {"role": "assistant", "content": "two", "tool_calls": [{"arguments": "three"}]},
        },
    ]
    assert all(word in written_in({"choices": choices}) for word in ("one", "two", "three"))
    assembly = Assembly()
    for choice in choices:
        assembly.add({"choices": [{"index": choice["index"], "delta": choice["message"]}]})
    assert all(word in "".join(assembly.written) for word in ("one", "two", "three"))


def test_a_choice_is_finished_when_it_says_so() -> None:
    choices: list[JsonObject] = [{"index": 0, "finish_reason": "stop"}, {"index": 1, "finish_reason": None}]
    assert finished_choices({"choices": choices}) == {"0"}
