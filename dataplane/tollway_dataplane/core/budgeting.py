"""What a request can cost at most, and what it did cost. Amounts are integers: nano-USD, tokens or requests, one per
limit of the tenant, in the tenant's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tollway_api.snapshot import Limit, Model, Price
from tollway_api.tenant_budget import Unit
from tollway_dataplane.core.facts import ChatRequest, JsonObject, Usage
from tollway_dataplane.core.pricing import cost
from tollway_dataplane.core.tokens import most_tokens, tokens_that_fit_beside


class Taken(NamedTuple):
    """Of a limit."""

    used: int
    held: int


@dataclass(frozen=True, slots=True)
class Denied:
    """A limit has no room for the request."""

    limit: Limit
    asked: int  # what the request may take at most
    used: int
    held: int
    retry_after_s: int


def worst_case(request: ChatRequest, messages: Sequence[JsonObject], model: Model) -> Usage:
    """More tokens than the request can use: every byte of what is sent, since a provider may read any field of it as
    part of the prompt, and the whole bound on the answer.
    """
    prompt = most_tokens(messages, request.parameters)
    return Usage(prompt, _output_bound(request, prompt, model) * request.choices, estimated=True)


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


def amounts(limits: Sequence[Limit], usage: Usage, price: Price, requests: int = 1) -> list[int]:
    """What a usage counts against each limit."""
    by_unit = {Unit.USD: cost(usage, price), Unit.TOKENS: usage.total, Unit.REQUESTS: requests}
    return [by_unit[limit.unit] for limit in limits]
