"""The plan of attempts, and chats that are cut down."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dataplanes import Setup, compiled
from tollway_api.meta import ModelName
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Model, Policy
from tollway_dataplane.core.attempts import (
    FIRST_TOKEN_S,
    is_short,
    pause_s,
    plan,
    reduced_attempts,
    times,
    trigger_of,
)
from tollway_dataplane.core.completions import Assembly, chunks_of, text_of
from tollway_dataplane.core.facts import ChatRequest, JsonObject
from tollway_dataplane.core.tokens import estimate
from tollway_dataplane.errors import UpstreamFault

CHEAP, RICH = ModelName("cheap"), ModelName("rich")


def policy(**fallback: object) -> Policy:
    setup = Setup("http://a/v1", "http://b/v1", policy={"fallback": fallback})
    return compiled(setup.objects()).policies[0]


def messages(*texts: str) -> list[JsonObject]:
    return [{"role": "user", "content": text} for text in texts]


@pytest.mark.parametrize(
    ("order", "first", "expected"),
    [
        ([], CHEAP, ["cheap", "rich"]),
        ([], RICH, ["rich", "cheap"]),
        (["cheap"], RICH, ["rich", "cheap"]),
        (["rich", "cheap", "rich"], CHEAP, ["cheap", "rich"]),
    ],
)
def test_the_plan_is_the_first_model_and_then_the_order(
    order: list[str], first: ModelName, expected: list[str]
) -> None:
    attempts = plan(policy(order=order), first, messages("x"))
    assert [attempt.model.name for attempt in attempts] == expected


@given(st.integers(1, 6), st.floats(0.2, 120))
def test_no_attempt_takes_the_others_time(attempts: int, deadline: float) -> None:
    """Each as slow as it may be; all of them come to their turn, with the same time at least as the first."""
    model = policy().models[CHEAP]
    left, taken = deadline, []
    for others in reversed(range(attempts)):
        taken.append(times(model, {}, left, others).whole)
        left -= taken[-1]
    assert left >= -1e-6
    assert all(later >= taken[0] - 1e-6 for later in taken)


@pytest.mark.parametrize(
    ("spec", "parameters", "left", "others", "expected"),
    [
        ({}, {}, 120.0, 0, (60.0, FIRST_TOKEN_S)),
        ({}, {}, 120.0, 2, (40.0, FIRST_TOKEN_S)),
        ({"timeout": "5s"}, {}, 120.0, 1, (5.0, 5.0)),
        ({"firstTokenTimeout": "2s"}, {}, 120.0, 0, (60.0, 2.0)),
        ({"firstTokenTimeout": "90s"}, {}, 120.0, 0, (60.0, 60.0)),
        ({}, {"reasoning_effort": "high"}, 120.0, 0, (60.0, 60.0)),
    ],
)
def test_a_stream_has_less_time_to_begin_unless_it_thinks_in_secret(
    spec: dict[str, object],
    parameters: JsonObject,
    left: float,
    others: int,
    expected: tuple[float, float],
) -> None:
    setup = Setup("http://a/v1", "http://b/v1", cheap_model=spec)
    limits = times(compiled(setup.objects()).policies[0].models[CHEAP], parameters, left, others)
    assert (limits.whole, limits.first_token) == expected
    assert limits.is_last == (others == 0)


def test_who_may_be_asked_elsewhere_leaves_time_for_that() -> None:
    model = compiled(Setup("http://a/v1", "http://b/v1").objects()).policies[0].models[CHEAP]
    found = [times(model, {}, 60.0, others, elsewhere=True) for others in (0, 1)]
    assert [(each.whole, each.is_last) for each in found] == [(30.0, True), (20.0, False)]


def fault(
    trigger: FallbackTrigger, status: int | None = None, wait: float | None = None, **more: bool
) -> UpstreamFault:
    return UpstreamFault(trigger, status, "", wait, **more)


@pytest.mark.parametrize(
    ("failed", "tries", "least", "most"),
    [
        (fault(FallbackTrigger.CONNECTION, unsent=True), 1, 0.0, 0.25),
        (fault(FallbackTrigger.CONNECTION, unsent=True), 3, 0.0, 1.0),
        (fault(FallbackTrigger.CONNECTION, unsent=True), 9, 0.0, 2.0),
        (fault(FallbackTrigger.RATE_LIMIT, 429, 1.0), 1, 1.0, 2.0),
        (fault(FallbackTrigger.RATE_LIMIT, 429, 0.0), 1, 0.0, 0.25),
        (fault(FallbackTrigger.SERVER_ERROR, 503, 30.0), 1, 30.0, 32.0),
    ],
)
def test_the_same_model_is_tried_again_after_a_while_that_is_drawn(
    failed: UpstreamFault, tries: int, least: float, most: float
) -> None:
    assert (pause_s(failed, tries, 0.0), pause_s(failed, tries, 1.0)) == (least, most)


@pytest.mark.parametrize(
    "failed",
    [
        fault(FallbackTrigger.RATE_LIMIT, 429),
        fault(FallbackTrigger.SERVER_ERROR, 500, 1.0),
        fault(FallbackTrigger.CONNECTION, may_have_run=True),
        fault(FallbackTrigger.TIMEOUT, may_have_run=True),
    ],
)
def test_where_nothing_says_that_it_helps_the_same_model_is_not_tried_again(failed: UpstreamFault) -> None:
    assert pause_s(failed, 1, 0.5) is None


@pytest.mark.parametrize(("pause", "left", "short"), [(1, 4, True), (1, 3, False), (11, 120, False)])
def test_nobody_waits_long_for_a_model_to_come_back(pause: float, left: float, *, short: bool) -> None:
    assert is_short(pause, left) is short


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
        (409, "", "", FallbackTrigger.SERVER_ERROR),
        (400, "content_filter", "", FallbackTrigger.CONTENT_FILTER),
        (400, "", "bad temperature", None),
        (401, "", "Incorrect API key", FallbackTrigger.SERVER_ERROR),
        (402, "", "Insufficient credits", FallbackTrigger.SERVER_ERROR),
        (403, "", "Forbidden", FallbackTrigger.SERVER_ERROR),
        (404, "", "no such model", FallbackTrigger.SERVER_ERROR),
        (422, "", "", None),
    ],
)
def test_a_providers_reply_decides_whether_another_attempt_helps(
    status: int, code: str, message: str, trigger: FallbackTrigger | None
) -> None:
    assert trigger_of(status, code, message) is trigger


def tokens_of(_: Model, several: Sequence[JsonObject], beside: JsonObject) -> int:
    return sum(map(estimate, several)) + 50 * len(beside)


def test_an_overflow_without_another_model_is_tried_again_with_less() -> None:
    (attempt,) = plan(policy(), CHEAP, messages(*["some words " * 50] * 10))[:1]
    (again,) = reduced_attempts(attempt, [], ChatRequest("r", "auto", attempt.messages), tokens_of)
    assert 0 < len(again.messages) < 10
    assert again.messages[-1] == attempt.messages[-1]


def test_an_overflow_of_one_message_is_not_tried_again_where_it_was() -> None:
    (attempt,) = plan(policy(), CHEAP, messages("some words " * 50))[:1]
    assert reduced_attempts(attempt, [], ChatRequest("r", "auto", attempt.messages), tokens_of) == []


@pytest.mark.parametrize(
    ("window", "asked", "added", "kept"),
    [
        (1_000_000, {}, {}, 10),
        (2_000, {}, {}, 9),
        (2_000, {"max_tokens": 1_000}, {}, 5),
        (2_000, {"tools": "x"}, {}, 8),
        (2_000, {}, {"guide": "x"}, 8),
    ],
)
def test_the_next_model_gets_what_fits_its_window_beside_the_answer_and_what_the_policy_adds(
    window: int, asked: JsonObject, added: JsonObject, kept: int
) -> None:
    model = {"contextWindow": window, "maxOutputTokens": 1_500, "extraBody": added}
    setup = Setup("http://a/v1", "http://b/v1", cheap_model={"contextWindow": 4_000}, rich_model=model)
    first, *rest = plan(compiled(setup.objects()).policies[0], CHEAP, messages(*["some words " * 56] * 10))
    assert estimate(first.messages[0]) == 163
    fitted, same = reduced_attempts(first, rest, ChatRequest("r", "auto", first.messages, asked), tokens_of)
    assert (fitted.model.name, len(fitted.messages)) == ("rich", kept)
    assert same.model.name == "cheap", "where no other is well, it has the chat that is cut down"
    assert len(same.messages) < 10


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
