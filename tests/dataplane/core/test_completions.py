"""What is understood of a provider's completions."""

import pytest

from tollway_dataplane.core.completions import (
    Assembly,
    ending,
    finished_choices,
    is_whole,
    usage_of,
    written_in,
    written_in_chunk,
)
from tollway_dataplane.core.facts import JsonObject, JsonValue, Usage


@pytest.mark.parametrize(
    ("prompt", "answer", "usage"),
    [
        (3, 5, Usage(3, 5)),
        (0, 0, None),
        (3, None, Usage(3, 0)),
        (None, 5, Usage(0, 5)),
        (True, 5, Usage(0, 5)),
        (3.0, 5, Usage(0, 5)),
        (-1, 5, Usage(0, 5)),
        (3, -1, Usage(3, 0)),
        (9 * 10**18, 5, Usage(0, 5)),
        (3, "5", Usage(3, 0)),
        (-1, -1, None),
        (None, None, None),
    ],
)
def test_a_count_that_makes_no_sense_is_nothing(
    prompt: JsonValue, answer: JsonValue, usage: Usage | None
) -> None:
    assert usage_of({"usage": {"prompt_tokens": prompt, "completion_tokens": answer}}) == usage


@pytest.mark.parametrize(
    ("said", "used"),
    [
        (Usage(3, 5, cached_tokens=2), Usage(3, 5, cached_tokens=2)),
        (Usage(3, 0, cached_tokens=2), Usage(3, 80, True, cached_tokens=2)),
        (Usage(0, 5), Usage(70, 5, True)),
    ],
    ids=["whole", "prompt", "answer"],
)
def test_a_half_that_was_not_counted_is_estimated(said: Usage, used: Usage) -> None:
    assert said.completed(Usage(70, 80, True)) == used


def test_an_answer_of_nothing_may_have_used_nothing() -> None:
    assert Usage(3, 0).completed(Usage(70, 0, True)) == Usage(3, 0)


OPENAI: JsonObject = {
    "prompt_tokens": 2_006,
    "completion_tokens": 300,
    "total_tokens": 2_306,
    "prompt_tokens_details": {"cached_tokens": 1_920},
    "completion_tokens_details": {"reasoning_tokens": 256},
}
# As LiteLLM gives Anthropic's.
ANTHROPIC: JsonObject = {
    "prompt_tokens": 1_000,
    "completion_tokens": 5,
    "total_tokens": 1_005,
    "prompt_tokens_details": {
        "cached_tokens": 600,
        "cache_creation_tokens": 300,
        "cache_creation_token_details": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    },
}
XAI: JsonObject = {**OPENAI, "completion_tokens": 44}


@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        ({"usage": OPENAI}, Usage(2_006, 300, cached_tokens=1_920, reasoning_tokens=256)),
        ({"usage": OPENAI, "service_tier": "flex"}, Usage(2_006, 300, False, 1_920, 0, 0, 256, "flex")),
        ({"usage": OPENAI, "service_tier": "default"}, Usage(2_006, 300, False, 1_920, 0, 0, 256)),
        (
            {"usage": {**OPENAI, "service_tier": "priority"}},
            Usage(2_006, 300, False, 1_920, 0, 0, 256, "priority"),
        ),
        ({"usage": ANTHROPIC}, Usage(1_000, 5, False, 600, 300, 200)),
        ({"usage": {**XAI, "total_tokens": 2_306}}, Usage(2_006, 300, False, 1_920, 0, 0, 256)),
        ({"usage": {**XAI, "total_tokens": 2_050}}, Usage(2_006, 44, False, 1_920, 0, 0, 44)),
        (
            {
                "usage": {
                    "prompt_tokens": 10,
                    "prompt_tokens_details": {"cached_tokens": 99, "cache_write_tokens": 7},
                }
            },
            Usage(10, 0, cached_tokens=10),
        ),
        ({"usage": {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": "9"}}}, Usage(10, 0)),
        ({"usage": {"prompt_tokens": 10, "prompt_tokens_details": [9], "service_tier": 1}}, Usage(10, 0)),
    ],
    ids=[
        "openai",
        "flex",
        "usual",
        "in-usage",
        "anthropic",
        "beside",
        "within",
        "more-than-all",
        "text",
        "nonsense",
    ],
)
def test_what_is_billed_apart_is_read(reply: JsonObject, usage: Usage) -> None:
    assert usage_of(reply) == usage


def test_the_tier_of_service_may_be_said_at_the_streams_beginning() -> None:
    assembly = Assembly()
    assembly.add({"id": "x", "service_tier": "flex", "choices": []})
    assembly.add({"id": "x", "choices": [], "usage": OPENAI})
    assert assembly.usage is not None
    assert assembly.usage.tier == "flex"


@pytest.mark.parametrize(
    ("more", "whole"),
    [
        ({}, True),
        ({"logprobs": None}, True),
        ({"logprobs": {"content": []}}, False),
        ({"finish_reason": "length"}, False),
        ({"message": {"role": "assistant", "content": ""}}, False),
        ({"message": {"role": "assistant", "content": " \n"}}, False),
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
            "message": {
                "role": "assistant",
                "content": "two",
                "tool_calls": [{"function": {"arguments": "three"}}],
            },
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


def test_of_a_call_what_the_model_wrote_is_counted_and_not_what_is_around_it() -> None:
    call: JsonObject = {
        "index": 0,
        "id": "call-1",
        "type": "function",
        "function": {"name": "add", "arguments": "{}"},
    }
    assert written_in_chunk({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}) == "add{}"


def test_a_stream_that_is_ended_ends_every_choice_and_says_what_was_used() -> None:
    chunk: JsonObject = {"id": "x", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    cut, usage = ending(chunk, [1, 2], Usage(3, 5))
    assert cut["choices"] == [{"index": index, "delta": {}, "finish_reason": "length"} for index in (1, 2)]
    assert (cut["id"], usage["id"], usage["choices"]) == ("x", "x", [])
    assert usage_of(usage) == Usage(3, 5)
