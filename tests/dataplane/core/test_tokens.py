"""Which tokenizer counts, and what of a prompt it is given."""

import pytest

from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.core.tokens import (
    TOKENS_PER_IMAGE,
    Countable,
    Counted,
    Encoding,
    countable,
    countable_inputs,
    spelling_of,
)


@pytest.mark.parametrize(
    ("upstream_id", "encoding", "safety"),
    [
        ("gpt-4o-mini", Encoding.O200K, 1.0),
        ("openai/gpt-4.1", Encoding.O200K, 1.0),
        ("o3-mini", Encoding.O200K, 1.0),
        ("gpt-4-turbo", Encoding.CL100K, 1.0),
        ("anthropic/claude-haiku-4-5", Encoding.CL100K, 1.5),
        ("my-own", Encoding.CL100K, 1.5),
    ],
)
def test_a_model_is_counted_by_its_own_table_or_with_more_safety_by_another(
    upstream_id: str, encoding: Encoding, safety: float
) -> None:
    assert spelling_of(upstream_id) == (encoding, safety)


def test_all_that_a_provider_may_read_is_counted_and_a_picture_is_not_its_encoding() -> None:
    messages: list[JsonObject] = [
        {"role": "system", "content": "one"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "two"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": "three"}}]},
    ]
    found = countable(messages, {"tools": [{"function": {"name": "four"}}], "n": 7, "max_tokens": 500})
    assert all(word in found.text for word in ("one", "two", "three", "four"))
    assert not any(word in found.text for word in ("AAA", "500", "user"))
    assert (found.pictures, found.messages) == (1, 3)


def test_a_count_is_multiplied_for_safety_and_never_more_than_the_bound() -> None:
    prompt = Countable("…", pictures=1, messages=2)
    assert prompt.counted(100, 1.5, 9_999) == Counted(178 + TOKENS_PER_IMAGE, 111 + TOKENS_PER_IMAGE)
    assert prompt.counted(100, 1.5, 50) == Counted(50, 50)


def test_what_is_about_a_request_and_not_for_the_model_is_not_counted() -> None:
    messages: list[JsonObject] = [{"role": "user", "content": "one"}]
    about: JsonObject = {"user": "somebody", "metadata": {"team": "a"}, "stop": ["END"], "n": 2}
    assert countable(messages, about) == countable(messages, {})


def test_token_ids_need_no_tokenizer() -> None:
    assert countable_inputs("a") == Countable("a", 0, 1)
    assert countable_inputs(["a", "b"]) == Countable("a\nb", 0, 2)
    assert countable_inputs([1, 2]) is None
    assert countable_inputs([[1], [2]]) is None
