"""The plan of attempts, made before the first one, how long each may take, and what to do after a failed one. Bounded:
never more than one attempt and `maxFallbacks` more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tollway_api.meta import ModelName
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Model, Policy
from tollway_dataplane.core.context import reduce_context
from tollway_dataplane.core.facts import ChatRequest, JsonObject
from tollway_dataplane.core.parameters import is_seen, sent_parameters
from tollway_dataplane.core.values import value
from tollway_dataplane.errors import UpstreamFault

# When a provider finds a prompt too long that fits by our count, that is off by an unknown factor.
_SHRINK: Final = 0.5

# For a stream to begin, of models that are seen to write. The slowest take a few seconds; longer is a queue, or nobody.
FIRST_TOKEN_S: Final = 30.0
# Nobody is kept waiting for longer until a model may be tried again.
MOST_PAUSE_S: Final = 10.0
_BACKOFF_S: Final = 0.25
_MOST_BACKOFF_S: Final = 2.0
# With these a provider says that it is busy: 529 is Anthropic's word for 503.
_COME_BACK: Final = frozenset({429, 503, 529})

_STATUS_TRIGGERS: Final = {
    # Our key is refused, no money or no such model there: which says nothing of another provider.
    401: FallbackTrigger.SERVER_ERROR,
    402: FallbackTrigger.SERVER_ERROR,
    403: FallbackTrigger.SERVER_ERROR,
    404: FallbackTrigger.SERVER_ERROR,
    408: FallbackTrigger.TIMEOUT,
    409: FallbackTrigger.SERVER_ERROR,
    413: FallbackTrigger.CONTEXT_OVERFLOW,
    429: FallbackTrigger.RATE_LIMIT,
}
# What is wrong with our key or account at one endpoint of a model is so at all of them, which take the same.
_EVERYWHERE: Final = frozenset({401, 402, 403})
_FILTER_CODES: Final = frozenset({"content_filter", "content_policy_violation"})
_OVERFLOW_CODES: Final = frozenset({"context_length_exceeded", "string_above_max_length"})
_OVERFLOW_WORDS: Final = ("maximum context length", "context window", "prompt is too long", "context length")


@value
class Attempt:
    model: Model
    messages: Sequence[JsonObject]


def plan(policy: Policy, first: ModelName, messages: Sequence[JsonObject]) -> list[Attempt]:
    """The first model and then the policy's fallback order without it. Those to be passed over are in it as well, so it
    may be longer than attempts are allowed.
    """
    others = [name for name in dict.fromkeys(policy.fallback.order) if name != first]
    return [Attempt(policy.models[name], messages) for name in (first, *others)]


@value
class Times:
    """What an attempt may take, in seconds."""

    whole: float  # to a whole answer
    first_token: float  # until a stream begins to say something
    idle: float  # between two chunks of it
    is_last: bool = False  # whether no other model can be asked after it


def times(
    model: Model, parameters: JsonObject, left_s: float, others: int, *, elsewhere: bool = False
) -> Times:
    """How long an attempt may take after which so many other models may be asked, and this one elsewhere. The time that
    is left is shared equally, so that none takes the others'; what an attempt does not need is left to them.
    """
    whole = min(model.timeout_ms / 1_000, left_s / (1 + others + elsewhere))
    if model.first_token_ms is not None:
        first_token = model.first_token_ms / 1_000
    else:
        first_token = FIRST_TOKEN_S if is_seen(model.upstream_id, parameters) else whole
    return Times(whole, min(first_token, whole), model.timeout_ms / 1_000, is_last=not others)


def pause_s(fault: UpstreamFault, tries: int, draw: float) -> float | None:
    """After how long the same model may be tried again, when no other is left; None where that would not help. It does
    where the request never reached it, and where it says itself when to come back. `draw` is from 0 to 1: those who
    failed together shall not come back together (full jitter, as in "Exponential Backoff And Jitter", AWS, 2015).
    """
    if fault.unsent:
        return draw * min(_MOST_BACKOFF_S, _BACKOFF_S * 2.0 ** (tries - 1))
    if fault.status in _COME_BACK and fault.retry_after_s is not None:
        return fault.retry_after_s + draw * min(_MOST_BACKOFF_S, max(_BACKOFF_S, fault.retry_after_s))
    return None


def is_short(pause_s: float, left_s: float) -> bool:
    """Whether it is worth waiting for, of the time that is left."""
    return pause_s <= min(MOST_PAUSE_S, left_s / 4)


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed, the last of so many tries of its model."""

    attempt: Attempt
    fault: UpstreamFault
    tries: int


def is_everywhere(fault: UpstreamFault) -> bool:
    """Whether another endpoint of the same model would fail alike."""
    return fault.status in _EVERYWHERE


def endpoints_tried(model: Model, failures: Sequence[Failure]) -> set[str | None]:
    return {each.attempt.model.endpoint for each in failures if each.attempt.model.name == model.name}


# Tokens of messages and of what is asked beside them, as a model counts them.
TokensOf = Callable[[Model, Sequence[JsonObject], JsonObject], int]


def reduced_attempts(
    failed: Attempt, rest: Sequence[Attempt], request: ChatRequest, tokens_of: TokensOf
) -> list[Attempt]:
    """What remains to be tried after a context overflow: models with a larger window as they are, and on others, and
    at last on the same one, a chat that is cut down. Counting a long one takes a tenth of a second.
    """
    others = [attempt for attempt in rest if attempt.model.name != failed.model.name]
    candidates = [_fitted(attempt, failed, request, tokens_of) for attempt in (*others, failed)]
    # What could not be cut down would fail again where it has failed.
    return [
        each
        for each in candidates
        if each.model.name != failed.model.name or len(each.messages) < len(failed.messages)
    ]


def _fitted(attempt: Attempt, failed: Attempt, request: ChatRequest, tokens_of: TokensOf) -> Attempt:
    model = attempt.model
    if model.context_window > failed.model.context_window:
        return attempt
    sizes = [tokens_of(model, [message], {}) for message in failed.messages]
    answer = min(model.max_output_tokens, request.output_limit or model.context_window // 4)
    room = model.context_window - answer - tokens_of(model, [], sent_parameters(request.parameters, model))
    if (size := sum(sizes)) <= room:
        room = int(size * _SHRINK)
    return replace(attempt, messages=reduce_context(failed.messages, sizes, room))


def trigger_of(status: int, code: str, message: str) -> FallbackTrigger | None:
    """What a provider's error reply means for the next attempt; None when the request itself is wrong."""
    if code in _OVERFLOW_CODES:
        return FallbackTrigger.CONTEXT_OVERFLOW
    if code in _FILTER_CODES:
        return FallbackTrigger.CONTENT_FILTER
    if status == 400 and any(words in message.lower() for words in _OVERFLOW_WORDS):
        return FallbackTrigger.CONTEXT_OVERFLOW
    if status >= 500:
        return FallbackTrigger.SERVER_ERROR
    return _STATUS_TRIGGERS.get(status)
