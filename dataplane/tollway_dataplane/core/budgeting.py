"""What a request can cost at most, what it did cost, and how much of an answer fits into what is left. Amounts are
integers: nano-USD, tokens or requests, one per limit of the tenant, in the tenant's order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tollway_api.snapshot import PICO_PER_NANO, Limit, Model, OnExceeded, Price, SharedLimit, Tenant
from tollway_api.tenant_budget import Unit
from tollway_dataplane.core.facts import ChatRequest, JsonObject, JsonValue, Usage
from tollway_dataplane.core.parameters import sent_parameters
from tollway_dataplane.core.pricing import cost
from tollway_dataplane.core.tokens import most_tokens, tokens_that_fit_beside

# A budget is plenty for a request while the worst case is no more than this share of what is left of each limit: eight
# such holds at once would fit, and while they do, nobody is refused for money that is only held.
PLENTY: Final = 8
# Of an answer that is paid for as it comes, the share of what is left that is held to begin with, and tokens that are
# held in any case, or fewer where no more are left. More would be held in vain, for longer than those have patience who
# wait for it; with less, more answers begin than can be finished.
FIRST_SHARE: Final = 16
FIRST_TOKENS: Final = 32
FEWEST_TOKENS: Final = 16
# Of one of which a part is not seen as it comes, and may be all there is.
FEWEST_UNSEEN_TOKENS: Final = 1_024
# By how many more a hold grows.
STEP_TOKENS: Final = 64
# No answer has as many.
_BOUNDLESS: Final = 1 << 40


class Taken(NamedTuple):
    """What is taken of a limit."""

    used: int
    held: int


class LimitState(NamedTuple):
    """How a limit stands."""

    limit: Limit
    used: int
    held: int

    @property
    def left(self) -> int:
        return self.unused - self.held

    @property
    def unused(self) -> int:
        """What is left together with what is held, which may come back."""
        return self.limit.amount - self.used


@dataclass(frozen=True, slots=True)
class Denied:
    """A limit has no room for the request: the one that stands at `number` of all that count it."""

    states: Sequence[LimitState]
    number: int
    asked: int  # what the request may take at most
    retry_after_s: int
    leased: int = 0  # of what is held, what pods have set aside

    @property
    def is_recalled(self) -> bool:
        """Whether what pods have set aside is in the way, and is given back for that."""
        return self.leased > 0 and self.used + self.asked <= self.limit.amount

    @property
    def limit(self) -> Limit:
        return self.states[self.number].limit

    @property
    def used(self) -> int:
        return self.states[self.number].used

    @property
    def held(self) -> int:
        return self.states[self.number].held

    @property
    def left(self) -> int:
        return self.states[self.number].left


def on_exceeded(tenant: Tenant, limit: Limit) -> OnExceeded:
    """What the budget says whose limit it is."""
    return limit.budget.on_exceeded if isinstance(limit, SharedLimit) else tenant.on_exceeded


def tokens_that_fit(limit: Limit, left: int, price: Price) -> int:
    """Tokens of an answer for what is left of a limit; below zero where there is less than nothing."""
    if limit.unit is Unit.TOKENS:
        return left
    if limit.unit is Unit.USD and (price.output or left < 0):
        return left * PICO_PER_NANO // (price.output or PICO_PER_NANO)
    return _BOUNDLESS


def tokens_that_fit_after(limit: Limit, left: int, prompt_tokens: int, price: Price) -> int:
    """The same beside a prompt."""
    (prompt,) = amounts([limit], Usage(prompt_tokens, 0), price)
    return tokens_that_fit(limit, left - prompt, price)


def tokens_that_fit_all(rooms: Iterable[tuple[Limit, int]], prompt_tokens: int, price: Price) -> int:
    """The same of several limits, each with what is left of it."""
    found = (tokens_that_fit_after(limit, left, prompt_tokens, price) for limit, left in rooms)
    return min(found, default=_BOUNDLESS)


def worst_case(request: ChatRequest, messages: Sequence[JsonObject], model: Model) -> Usage:
    """More tokens than the request can use: every byte of what is sent, since a provider may read any field of it as
    part of the prompt, and the whole bound on the answer.
    """
    parameters = sent_parameters(request.parameters, model)
    prompt = most_tokens(messages, parameters)
    tier = parameters.get("service_tier")
    return Usage(
        prompt,
        _output_bound(request, prompt, model) * request.choices,
        estimated=True,
        hour_tokens=prompt if asks_for_an_hour([*messages, parameters.get("tools")]) else 0,
        tier=tier if isinstance(tier, str) else "",
    )


def asks_for_an_hour(value: JsonValue) -> bool:
    """Whether any part of a prompt is to be kept in the provider's cache for an hour, which is dearer (Anthropic's
    documentation, "Prompt caching", section "1-hour cache duration").
    """
    if isinstance(value, dict):
        kept = value.get("cache_control")
        is_long = isinstance(kept, dict) and kept.get("ttl") == "1h"
        return is_long or any(map(asks_for_an_hour, value.values()))
    return isinstance(value, list) and any(map(asks_for_an_hour, value))


def _output_bound(request: ChatRequest, prompt_bytes: int, model: Model) -> int:
    """Most tokens of one choice: the caller's bound within the model's. Of a caller who gave none, what the prompt
    leaves of the context window, since many providers refuse a bound that cannot be reached.
    """
    limit = request.output_limit
    if limit is not None:
        return min(limit, model.max_output_tokens)
    most, likely = tokens_that_fit_beside(prompt_bytes, model.context_window)
    # An answer that is cut short is worse than a prompt that turns out too long, which the next attempt mends.
    room = max(most, likely // 2)
    return min(model.max_output_tokens, room) if room > 0 else model.max_output_tokens


def room_for(limits: Sequence[Limit], worst: Sequence[int]) -> list[int]:
    """What must be left for these amounts to be plenty. A request is one request, of which there is no worst case."""
    pairs = zip(limits, worst, strict=True)
    return [amount if limit.unit is Unit.REQUESTS else PLENTY * amount for limit, amount in pairs]


def amounts(limits: Sequence[Limit], usage: Usage, price: Price, requests: int = 1) -> list[int]:
    """What a usage counts against each limit."""
    by_unit = {Unit.USD: cost(usage, price), Unit.TOKENS: usage.total, Unit.REQUESTS: requests}
    return [by_unit[limit.unit] for limit in limits]
