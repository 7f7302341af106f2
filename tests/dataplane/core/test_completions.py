"""What is understood of a provider's completions."""

import pytest

from tollway_dataplane.core.completions import is_whole, usage_of
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
        ({"message": {"role": "assistant", "content": "Hi", "tool_calls": [{}]}}, False),
    ],
)
def test_only_an_answer_that_can_be_given_again_is_whole(more: JsonObject, *, whole: bool) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop", **more}
    assert is_whole({"choices": [choice]}) is whole
