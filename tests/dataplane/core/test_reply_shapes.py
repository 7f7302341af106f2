"""Which replies are of OpenAI's shape, and that nothing trips over those that are."""

import json
import math
import struct
from base64 import b64encode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_dataplane.core.completions import (
    Assembly,
    chunks_of,
    finish_reasons_in,
    finished_choices,
    is_answer,
    is_error,
    is_whole,
    text_of,
    usage_of,
    written_in,
    written_in_chunk,
)
from tollway_dataplane.core.facts import JsonObject, JsonValue
from tollway_dataplane.core.gathering import Gathering
from tollway_dataplane.core.reply_shapes import (
    are_embeddings,
    is_chunk,
    is_completion,
    is_plain_chunk,
    plain_text_of,
)
from tollway_dataplane.core.shortcomings import begins, shortcoming, unbegun

CALL: JsonValue = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGE: JsonObject = {
    "role": "assistant",
    "content": "Fine.",
    "refusal": None,
    "reasoning_content": "Let me see.",
    "tool_calls": [CALL],
    "function_call": None,
}
USAGE: JsonValue = {
    "prompt_tokens": 12,
    "completion_tokens": 6,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_creation_token_details": {}},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def reply(name: str, message: JsonValue = MESSAGE, **more: JsonValue) -> JsonObject:
    choice: JsonObject = {"index": 0, name: message, "finish_reason": "stop", "logprobs": None, **more}
    head: JsonObject = {"id": "x", "created": 1, "model": "gpt-4o", "service_tier": "default"}
    return {**head, "choices": [choice], "usage": USAGE}


@pytest.mark.parametrize(
    ("choices", "fits"),
    [
        ([{"index": 0, "message": MESSAGE, "finish_reason": "stop"}], True),
        ([{"message": {"content": None}}], True),
        ([{"message": {"content": [{"type": "text", "text": "Fine."}]}}], True),
        ([{"message": {"tool_calls": []}, "finish_reason": None}], True),
        ([{"finish_reason": "content_filter"}], True),
        ([], False),
        (None, False),
        ({"0": 1}, False),
        (["a"], False),
        ([{"message": "Fine."}], False),
        ([{"message": {"content": 5}}], False),
        ([{"message": {"tool_calls": "f"}}], False),
        ([{"message": MESSAGE, "finish_reason": {}}], False),
        ([{"message": MESSAGE, "finish_reason": []}], False),
        ([{"message": MESSAGE, "index": "first"}], False),
        ([{"message": MESSAGE, "logprobs": {"content": []}}], True),
        ([{"message": MESSAGE, "logprobs": "x"}], False),
        ([{"message": {"role": 7}}], False),
        ([{"message": {"content": [None]}}], False),
        ([{"message": {"content": {}}}], False),
        ([{"message": {"tool_calls": ["odd"]}}], False),
        ([{"message": {"tool_calls": [{"function": "f"}]}}], False),
        ([{"message": {"tool_calls": [{"type": "custom", "custom": {"input": "x"}}]}}], True),
        ([{"message": {"content": "Fine.", "tool_calls": "", "function_call": ""}}], True),
    ],
)
def test_what_a_whole_answer_looks_like(choices: JsonValue, *, fits: bool) -> None:
    assert is_completion({"choices": choices}) is fits


@pytest.mark.parametrize("odd", [[], {}, ["x"], 7.5], ids=str)
@pytest.mark.parametrize("name", ["id", "model"])
def test_what_names_a_reply_is_text(name: str, odd: JsonValue) -> None:
    assert is_completion(reply("message"))
    assert not is_completion({**reply("message"), name: odd})
    assert not is_chunk({**reply("delta"), name: odd})


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        ([{"index": 0, "embedding": [0.5, 1]}], True),
        ([{"index": 0, "embedding": "AAAAPwAAgD8="}], True),
        ([{"index": 0, "embedding": []}], False),
        ([{"index": 0}], False),
        ([{"index": [], "embedding": [0.5]}], False),
        ([{"embedding": [0.5]}, None], False),
        ([{"embedding": 7}], False),
        ([{"embedding": ["0.5"]}], False),
        ([{"embedding": [0.5, None]}], False),
        ([{"embedding": [True]}], False),
        ([{"embedding": [[0.5]]}], False),
        ([{"embedding": [0.5, math.nan]}], False),
        ([{"embedding": [math.inf, -math.inf]}], False),
        ([{"embedding": [0.5, 10**400]}], False),
        ([{"embedding": "AAAAPwAA"}], False),
        ([{"embedding": "not base64"}], False),
        ([{"embedding": b64encode(struct.pack("<f", math.nan)).decode()}], False),
        ([{"embedding": [0.5]}, {"embedding": [0.5]}], False),
        ([7], False),
        ([], False),
        (7, False),
        (None, False),
    ],
)
def test_what_vectors_look_like(data: JsonValue, *, fits: bool) -> None:
    assert are_embeddings({"object": "list", "data": data, "usage": USAGE}, "a text") is fits
    assert not are_embeddings({"object": "error"}, "a text")


@pytest.mark.parametrize(
    ("inputs", "count"),
    [("a text", 1), (["a", "b"], 2), ([17, 4, 8], 1), ([[17, 4], [8]], 2)],
    ids=["text", "texts", "tokens", "tokens of several"],
)
def test_there_is_a_vector_of_one_length_for_each_input(inputs: JsonValue, count: int) -> None:
    def answer(*lengths: int) -> JsonObject:
        return {"data": [{"index": i, "embedding": [0.5] * each} for i, each in enumerate(lengths)]}

    assert are_embeddings(answer(*[3] * count), inputs)
    assert not are_embeddings(answer(*[3] * (count - 1)), inputs)
    assert not are_embeddings(answer(*[3] * (count + 1)), inputs)
    assert count == 1 or not are_embeddings(answer(3, 4), inputs)


@pytest.mark.parametrize(
    ("event", "fits"),
    [
        ({"choices": [{"index": 0, "delta": {"content": "F"}, "finish_reason": None}]}, True),
        ({"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}, True),
        ({"choices": [], "usage": USAGE}, True),
        ({"type": "ping"}, True),
        ({"choices": {}}, False),
        ({"choices": [{"delta": [1]}]}, False),
        ({"choices": [{"delta": {}, "finish_reason": {"type": "stop"}}]}, False),
        ({"choices": [{"delta": {"content": 5}}]}, False),
    ],
)
def test_what_a_piece_of_a_stream_looks_like(event: JsonObject, *, fits: bool) -> None:
    assert is_chunk(event) is fits


def nested(depth: int) -> JsonValue:
    found: JsonValue = "x"
    for _ in range(depth):
        found = [found]
    return found


def test_what_could_not_be_written_again_is_none() -> None:
    assert is_completion({**reply("message"), "service_tier": nested(90)})
    assert not is_completion({**reply("message"), "service_tier": nested(300)})
    assert not is_chunk({"x_note": nested(300)})


@pytest.mark.parametrize(("value", "fits"), [(nested(300), False), ([[]] * 300, True)], ids=["deep", "wide"])
def test_what_has_many_brackets_is_looked_through(value: JsonValue, *, fits: bool) -> None:
    """Where they are few, the bytes have said enough."""
    event = {"x_note": value}
    assert is_chunk(event, json.dumps(event).encode()) is fits


odd: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def places(value: JsonValue, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for name, each in inner for place in places(each, (*at, name)))]


def replaced(value: JsonValue, place: tuple[str | int, ...], by: JsonValue) -> JsonValue:
    if not place:
        return by
    first, *rest = place
    if isinstance(value, dict):
        return {**value, first: replaced(value.get(first), tuple(rest), by)}
    assert isinstance(value, list)
    return [replaced(each, tuple(rest), by) if at == first else each for at, each in enumerate(value)]


@given(st.sampled_from(places(reply("message"))), odd)
def test_nothing_trips_over_a_whole_answer(place: tuple[str | int, ...], value: JsonValue) -> None:
    found = replaced(reply("message"), place, value)
    if not isinstance(found, dict) or not is_completion(found):
        return
    shortcoming(found, {"response_format": {"type": "json_object"}})
    usage_of(found), text_of(found), written_in(found)
    if is_whole(found):
        assert finish_reasons_in(found) == {"stop"}
        for demanded in ({}, {"response_format": {"type": "json_object"}}):
            assert shortcoming(found, demanded, is_whole=True) is shortcoming(found, demanded)
    assert all(map(orjson.dumps, chunks_of(found, include_usage=True)))


PLAIN: JsonObject = {
    "id": "x",
    "model": "gpt-4o",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "F"}, "finish_reason": None}],
}


@pytest.mark.parametrize(
    ("name", "value", "is_plain"),
    [
        ("usage", None, True),
        ("usage", nested(300), False),
        ("id", 5, False),
        ("error", {"message": "overloaded"}, False),
        ("choices", [], False),
        ("choices", [{"index": 0, "delta": {"content": "F"}, "logprobs": None}], True),
        ("choices", [{"index": 0, "delta": {"content": "F"}, "error": {"code": 502}}], False),
        ("choices", [{"index": 0, "delta": {"content": "F"}, "finish_reason": "stop"}], False),
        ("choices", [{"index": 0, "delta": {"tool_calls": [CALL]}, "finish_reason": None}], False),
    ],
)
def test_what_most_of_a_stream_looks_like(name: str, value: JsonValue, *, is_plain: bool) -> None:
    event = {**PLAIN, name: value}
    assert is_plain_chunk(event, json.dumps(event).encode()) is is_plain


@given(st.sampled_from(places(PLAIN)), odd)
def test_what_is_plain_need_be_asked_nothing_else(place: tuple[str | int, ...], value: JsonValue) -> None:
    event = replaced(PLAIN, place, value)
    data = orjson.dumps(event)
    if isinstance(event, dict) and is_plain_chunk(event, data):
        assert is_chunk(event, data)
        assert not is_error(event)
        assert finished_choices(event) == set()


PLAIN_ANSWER: JsonObject = {
    "id": "x",
    "model": "gpt-4o",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Fine.", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
}


@pytest.mark.parametrize(
    ("place", "value", "is_plain"),
    [
        (("usage",), None, True),
        (("usage",), nested(300), False),
        (("id",), 5, False),
        (("error",), {"message": "overloaded"}, False),
        (("choices",), [], False),
        (("choices", 0, "error"), {"code": 502}, False),
        (("choices", 0, "finish_reason"), "length", False),
        (("choices", 0, "logprobs"), {"content": []}, False),
        (("choices", 0, "message", "content"), " \n", False),
        (("choices", 0, "message", "refusal"), "No.", False),
        (("choices", 0, "message", "tool_calls"), [CALL], False),
        (("choices", 0, "message", "tool_calls"), None, True),
    ],
)
def test_what_most_answers_look_like(
    place: tuple[str | int, ...], value: JsonValue, *, is_plain: bool
) -> None:
    answer = replaced(PLAIN_ANSWER, place, value)
    assert isinstance(answer, dict)
    assert plain_text_of(answer, json.dumps(answer).encode()) == ("Fine." if is_plain else "")


@given(st.sampled_from(places(PLAIN_ANSWER)), odd | st.just("I'm sorry, but I can't help with that."))
def test_a_plain_answer_need_be_asked_nothing_else(place: tuple[str | int, ...], value: JsonValue) -> None:
    answer = replaced(PLAIN_ANSWER, place, value)
    data = orjson.dumps(answer)
    if isinstance(answer, dict) and (text := plain_text_of(answer, data)):
        assert is_completion(answer, data)
        assert not is_error(answer)
        assert is_whole(answer) is is_answer(text)
        assert text_of(answer) == text


@given(st.lists(st.tuples(st.sampled_from(places(reply("delta"))), odd), min_size=1, max_size=3))
def test_nothing_trips_over_a_stream(changes: list[tuple[tuple[str | int, ...], JsonValue]]) -> None:
    events = [replaced(reply("delta"), place, value) for place, value in changes]
    gathering, assembly = Gathering(), Assembly()
    for event in events:
        if isinstance(event, dict) and is_chunk(event):
            begins(event), finished_choices(event), unbegun(finish_reasons_in(event)), written_in_chunk(event)
            gathering.add(event)
            assembly.add(event)
    whole = gathering.completion()
    shortcoming(whole, {})
    usage_of(whole), is_whole(whole), written_in(whole)
    assert orjson.dumps(whole)
    assert orjson.dumps(assembly.completion())
