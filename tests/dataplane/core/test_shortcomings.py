"""Answers that look right and are not ones to pass on."""

import pytest

from tollway_api.routing_policy import FallbackTrigger
from tollway_dataplane.core.facts import JsonObject, JsonValue
from tollway_dataplane.core.shortcomings import begins, shortcoming, unbegun

JSON_MODE: JsonObject = {"response_format": {"type": "json_object"}}
SCHEMA: JsonObject = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}
CALLS: JsonValue = [{"id": "1", "type": "function", "function": {"name": "f"}}]


def answer(*contents: str | None, reason: str = "stop", **more: JsonValue) -> JsonObject:
    choices: list[JsonValue] = [
        {"message": {"role": "assistant", "content": each, **more}, "finish_reason": reason}
        for each in contents
    ]
    return {"choices": choices}


@pytest.mark.parametrize(
    ("completion", "demanded", "found"),
    [
        (answer("Yes."), {}, None),
        (answer(""), {}, FallbackTrigger.EMPTY_ANSWER),
        (answer(" \n"), {}, FallbackTrigger.EMPTY_ANSWER),
        (answer(None), {}, FallbackTrigger.EMPTY_ANSWER),
        (answer("", "Yes."), {}, None),
        (answer(None, tool_calls=CALLS), {}, None),
        (answer(None, refusal="No."), {}, None),
        (answer("", reasoning_content="Let me see."), {}, FallbackTrigger.EMPTY_ANSWER),
        (answer("", reason="length"), {}, None),
        (answer("", reason="content_filter"), {}, FallbackTrigger.CONTENT_FILTER),
        (answer("Half an ans", reason="content_filter"), {}, FallbackTrigger.CONTENT_FILTER),
        (answer("Yes."), JSON_MODE, FallbackTrigger.INVALID_JSON),
        (answer("```json\n{}\n```"), SCHEMA, FallbackTrigger.INVALID_JSON),
        (answer('{"a": 1}', "{"), JSON_MODE, FallbackTrigger.INVALID_JSON),
        (answer('{"a": 1}'), JSON_MODE, None),
        (answer("[1]"), SCHEMA, None),
        (answer('{"a": ', reason="length"), JSON_MODE, None),
        (answer(None, tool_calls=CALLS), JSON_MODE, None),
        (answer(None, refusal="No."), SCHEMA, None),
        (answer("Yes."), {"response_format": {"type": "text"}}, None),
        ({"choices": []}, {}, None),
        ({"choices": [{"message": None, "finish_reason": "stop"}]}, {}, FallbackTrigger.EMPTY_ANSWER),
        ({"choices": [{"finish_reason": "stop"}]}, {}, FallbackTrigger.EMPTY_ANSWER),
        (answer(None, audio={"id": "a", "data": "UklGRg=="}), {}, None),
    ],
)
def test_what_is_wrong_with_an_answer(
    completion: JsonObject, demanded: JsonObject, found: FallbackTrigger | None
) -> None:
    assert shortcoming(completion, demanded) is found


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant", "content": None, "refusal": None}, False),
        ({"content": " \n"}, False),
        ({"content": "A"}, True),
        ({"reasoning_content": "Let"}, True),
        ({"tool_calls": CALLS}, True),
        ({}, False),
    ],
)
def test_when_a_stream_has_begun(delta: JsonObject, *, says: bool) -> None:
    assert begins({"choices": [{"index": 0, "delta": delta}]}) is says


@pytest.mark.parametrize(
    ("reasons", "found"),
    [
        ({"stop"}, FallbackTrigger.EMPTY_ANSWER),
        (set(), FallbackTrigger.EMPTY_ANSWER),
        ({"content_filter"}, FallbackTrigger.CONTENT_FILTER),
        ({"length"}, None),
        ({"tool_calls"}, None),
    ],
)
def test_what_it_means_that_a_stream_ends_unbegun(reasons: set[str], found: FallbackTrigger | None) -> None:
    assert unbegun(reasons) is found
