"""The plan of attempts, made before the first one, and what to do after a failed one. Bounded: never more than
one attempt and `maxFallbacks` more.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tollway_api.meta import ModelName
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Model, Policy
from tollway_dataplane.core.context import reduce_context
from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.core.tokens import estimate

# When the provider finds a prompt too long that we thought would fit, our estimate was off by an unknown factor.
_SHRINK: Final = 0.5

_STATUS_TRIGGERS: Final = {
    # No money or no such model there: which says nothing of another provider.
    402: FallbackTrigger.SERVER_ERROR,
    404: FallbackTrigger.SERVER_ERROR,
    408: FallbackTrigger.TIMEOUT,
    409: FallbackTrigger.SERVER_ERROR,
    413: FallbackTrigger.CONTEXT_OVERFLOW,
    429: FallbackTrigger.RATE_LIMIT,
}
_OVERFLOW_CODES: Final = frozenset({"context_length_exceeded", "string_above_max_length"})
_OVERFLOW_WORDS: Final = ("maximum context length", "context window", "prompt is too long", "context length")


@dataclass(frozen=True, slots=True)
class Attempt:
    model: Model
    messages: Sequence[JsonObject]
    reduced: bool = False  # turns were left out, so the answer is not one to remember


def plan(policy: Policy, first: ModelName, messages: Sequence[JsonObject]) -> list[Attempt]:
    """The first model and then the policy's fallback order without it."""
    others = [name for name in policy.fallback.order if name != first]
    names = [first, *others][: 1 + policy.fallback.max_fallbacks]
    return [Attempt(policy.models[name], messages) for name in names]


def next_attempts(
    policy: Policy, failed: Attempt, trigger: FallbackTrigger | None, rest: Sequence[Attempt], made: int
) -> list[Attempt]:
    """What remains to be tried after a failure: nothing when the policy does not fall back on it.

    After a context overflow the next model is tried as it is if its window is larger; otherwise the turns are cut
    down, on the next model or, when there is no other, on the same one.
    """
    left = 1 + policy.fallback.max_fallbacks - made
    if trigger is None or trigger not in policy.fallback.triggers or left <= 0:
        return []
    if trigger is not FallbackTrigger.CONTEXT_OVERFLOW:
        return list(rest)[:left]
    candidates = [_fitted(attempt, failed) for attempt in list(rest) or [failed]]
    # What could not be cut down would fail again where it has failed.
    return [
        each for each in candidates if each.model != failed.model or len(each.messages) < len(failed.messages)
    ][:left]


def _fitted(attempt: Attempt, failed: Attempt) -> Attempt:
    if attempt.model.context_window > failed.model.context_window and not failed.reduced:
        return attempt
    size = sum(map(estimate, failed.messages))
    window = min(attempt.model.context_window, failed.model.context_window)
    room = window - min(attempt.model.max_output_tokens, window // 4)
    reduced = reduce_context(failed.messages, min(room, int(size * _SHRINK)))
    return replace(attempt, messages=reduced, reduced=True)


# OpenAI's own, which refuse the older name of the bound on an answer; many other servers know only that one.
_OPENAIS_REASONING: Final = ("o1", "o3", "o4", "gpt-5")
_UNSEEN: Final = (*_OPENAIS_REASONING, "gemini-2.5", "gemini-3")


def bound_name(upstream_id: str) -> str:
    """What a model calls the bound on its answer."""
    return "max_completion_tokens" if _bare(upstream_id).startswith(_OPENAIS_REASONING) else "max_tokens"


def is_seen(upstream_id: str, parameters: JsonObject) -> bool:
    """Whether all that an answer costs is seen as it comes, so that it can be ended where the budget does. Otherwise a
    part is thought in secret, or spoken.
    """
    thinks = any(
        parameters.get(name) is not None for name in ("reasoning_effort", "reasoning", "thinking", "audio")
    )
    return not thinks and not _bare(upstream_id).startswith(_UNSEEN)


def _bare(upstream_id: str) -> str:
    return upstream_id.rpartition("/")[2]


def trigger_of(status: int, code: str, message: str) -> FallbackTrigger | None:
    """What a provider's error reply means for the next attempt; None when the request itself is wrong."""
    if code in _OVERFLOW_CODES:
        return FallbackTrigger.CONTEXT_OVERFLOW
    if status == 400 and any(words in message.lower() for words in _OVERFLOW_WORDS):
        return FallbackTrigger.CONTEXT_OVERFLOW
    if status >= 500:
        return FallbackTrigger.SERVER_ERROR
    return _STATUS_TRIGGERS.get(status)


def seconds_of(retry_after: str | None) -> float | None:
    """Of a Retry-After header that gives seconds (RFC 9110, section 10.2.3); None for a date, or more than days."""
    return float(retry_after) if retry_after and re.fullmatch(r"\d{1,6}(\.\d{1,9})?", retry_after) else None
