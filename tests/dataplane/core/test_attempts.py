"""The plan of attempts, and chats that are cut down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dataplanes import Setup, compiled
from tollway_api.meta import ModelName
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Policy
from tollway_dataplane.core.attempts import is_seen, next_attempts, plan, seconds_of, trigger_of
from tollway_dataplane.core.completions import Assembly, chunks_of, text_of
from tollway_dataplane.core.context import reduce_context
from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.core.tokens import estimate

CHEAP, RICH = ModelName("cheap"), ModelName("rich")


def policy(**fallback: object) -> Policy:
    setup = Setup("http://a/v1", "http://b/v1", policy={"fallback": fallback})
    return compiled(setup.objects()).policies[0]


def messages(*texts: str) -> list[JsonObject]:
    return [{"role": "user", "content": text} for text in texts]


@pytest.mark.parametrize(
    ("most", "order", "first", "expected"),
    [
        (2, [], CHEAP, ["cheap", "rich"]),
        (2, [], RICH, ["rich", "cheap"]),
        (0, [], CHEAP, ["cheap"]),
        (2, ["cheap"], RICH, ["rich", "cheap"]),
        (1, ["rich", "cheap"], CHEAP, ["cheap", "rich"]),
    ],
)
def test_the_plan_is_the_first_model_and_then_the_order(
    most: int, order: list[str], first: ModelName, expected: list[str]
) -> None:
    attempts = plan(policy(maxFallbacks=most, order=order), first, messages("x"))
    assert [attempt.model.name for attempt in attempts] == expected


@pytest.mark.parametrize(
    ("status", "code", "message", "trigger"),
    [
        (429, "", "", FallbackTrigger.RATE_LIMIT),
        (408, "", "", FallbackTrigger.TIMEOUT),
        (500, "", "", FallbackTrigger.SERVER_ERROR),
        (529, "", "", FallbackTrigger.SERVER_ERROR),
        (400, "context_length_exceeded", "", FallbackTrigger.CONTEXT_OVERFLOW),
        (400, "", "prompt is too long: 9 tokens > 8 maximum", FallbackTrigger.CONTEXT_OVERFLOW),
        (413, "", "", FallbackTrigger.CONTEXT_OVERFLOW),
        (400, "", "bad temperature", None),
        (401, "", "", None),
        (402, "", "Insufficient credits", FallbackTrigger.SERVER_ERROR),
        (404, "", "no such model", FallbackTrigger.SERVER_ERROR),
        (422, "", "", None),
    ],
)
def test_a_providers_reply_decides_whether_another_attempt_helps(
    status: int, code: str, message: str, trigger: FallbackTrigger | None
) -> None:
    assert trigger_of(status, code, message) is trigger


@given(st.integers(0, 5), st.lists(st.sampled_from([None, *FallbackTrigger]), max_size=12))
def test_no_sequence_of_failures_makes_more_attempts_than_allowed(
    most: int, failures: list[FallbackTrigger | None]
) -> None:
    chosen = policy(maxFallbacks=most)
    attempts, made = plan(chosen, CHEAP, messages("a", "b")), 0
    for trigger in failures:
        if not attempts:
            break
        made += 1
        attempts = next_attempts(chosen, attempts[0], trigger, attempts[1:], made)
    assert made <= 1 + most


def test_an_overflow_without_another_model_is_tried_again_with_less() -> None:
    chosen = policy()
    (attempt,) = plan(chosen, CHEAP, messages(*["some words " * 50] * 10))[:1]
    (again,) = next_attempts(chosen, attempt, FallbackTrigger.CONTEXT_OVERFLOW, [], 1)
    assert again.reduced
    assert 0 < len(again.messages) < 10
    assert again.messages[-1] == attempt.messages[-1]


CHAT = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.text(max_size=200)}
    ),
    min_size=1,
    max_size=12,
)


@given(CHAT, st.integers(0, 400))
def test_a_reduced_chat_keeps_system_prompts_and_newest_turns_within_the_target(
    chat: list[JsonObject], target: int
) -> None:
    reduced = reduce_context(chat, target)
    system = [message for message in chat if message["role"] == "system"]
    turns = [message for message in chat if message["role"] != "system"]
    kept = reduced[len(system) :]
    assert reduced[: len(system)] == system
    assert kept == turns[len(turns) - len(kept) :]
    assert len(kept) >= min(1, len(turns)), "the last message always stays"
    assert len(kept) <= 1 or sum(map(estimate, reduced)) <= target
    assert len(kept) <= 1 or kept[0]["role"] != "tool"


@given(st.text(min_size=1))
def test_a_replayed_stream_puts_together_to_what_was_remembered(text: str) -> None:
    usage: JsonObject = {"prompt_tokens": 3, "completion_tokens": 4}
    completion: JsonObject = {
        "id": "c", "created": 1, "model": "m", "object": "chat.completion", "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    }  # fmt: skip
    assembly = Assembly()
    for chunk in chunks_of(completion, include_usage=True):
        assembly.add(chunk)
    assert assembly.whole
    assert assembly.completion() == completion
    assert text_of(assembly.completion()) == text


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        (None, None),
        ("soon", None),
        ("9" * 400, None),
        ("Wed, 21 Oct 2026", None),
    ],
)
def test_how_long_a_provider_wants_to_be_left_alone(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header) == seconds


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
