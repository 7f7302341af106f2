"""Which parameters OpenAI's thinking models refuse, what of them is told, and what of an answer is seen."""

import pytest

from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.core.parameters import is_seen, tellable, unknown_to_thinkers, with_bound_named


@pytest.mark.parametrize(
    ("model", "parameters", "unknown"),
    [
        ("gpt-4o", {"temperature": 0.2, "stop": ["x"]}, set()),
        ("azure/gpt-4o", {"temperature": 0.2}, set()),
        ("llama-3.3-70b", {"frequency_penalty": 0.1}, set()),
        ("o3", {"temperature": 0.2, "top_p": 0.5, "seed": 1}, {"temperature", "top_p"}),
        ("o1", {"stop": ["x"]}, set()),
        ("o4-mini", {"stop": ["x"]}, {"stop"}),
        ("azure/gpt-5", {"temperature": 0.2, "stop": "x", "user": "u"}, {"temperature", "stop"}),
        ("gpt-5", {"temperature": 1, "top_p": 1.0, "presence_penalty": 0, "logit_bias": {}}, set()),
        ("gpt-5-mini", {"temperature": None, "stop": None, "logprobs": False}, set()),
        ("gpt-5-chat-latest", {"temperature": 0.2, "stop": "x"}, set()),
        ("gpt-5.2-chat-latest", {"temperature": 0.2}, set()),
        ("gpt-5.2", {"temperature": 0.2, "presence_penalty": 0.5}, {"presence_penalty"}),
        ("gpt-5.2", {"temperature": 0.2, "reasoning_effort": "none"}, set()),
        ("gpt-5.2", {"temperature": 0.2, "reasoning_effort": "high"}, {"temperature"}),
    ],
)
def test_what_a_model_would_refuse_because_it_thinks(
    model: str, parameters: JsonObject, unknown: set[str]
) -> None:
    assert unknown_to_thinkers(model, parameters) == unknown


@pytest.mark.parametrize(
    ("model", "sent", "wanted"),
    [
        ("gpt-4o", {"max_tokens": 5}, {"max_tokens": 5}),
        ("gpt-4o", {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        ("o3", {"max_tokens": 5, "n": 1}, {"max_completion_tokens": 5, "n": 1}),
        ("o3", {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        ("o3", {"max_tokens": 5, "max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        ("o3", {"max_tokens": None}, {"max_tokens": None}),
    ],
)
def test_the_bound_on_an_answer_has_the_name_that_the_model_takes(
    model: str, sent: JsonObject, wanted: JsonObject
) -> None:
    assert with_bound_named(model, sent) == wanted


def test_what_is_no_name_is_not_told_and_never_too_much() -> None:
    assert tellable({"top_k", "a b", "x\r\nset-cookie", "é", "", "a" * 65, "b.c-d"}) == ["b.c-d", "top_k"]
    assert len(tellable({f"a{number}" for number in range(100)})) == 16


@pytest.mark.parametrize(
    ("upstream_id", "parameters", "seen"),
    [
        ("gpt-4o-mini", {}, True),
        ("gpt-4o-audio-preview", {"audio": {"voice": "alloy"}}, False),
        ("openai/gpt-5-mini", {}, False),
        ("o3", {}, False),
        ("gemini/gemini-2.5-pro", {}, False),
        ("anthropic/claude-haiku-4-5", {}, True),
        ("anthropic/claude-haiku-4-5", {"thinking": {"type": "enabled"}}, False),
        ("my-own", {"reasoning_effort": "low"}, False),
    ],
)
def test_what_is_thought_in_secret_is_not_seen_as_it_comes(
    upstream_id: str, parameters: JsonObject, *, seen: bool
) -> None:
    assert is_seen(upstream_id, parameters) is seen
