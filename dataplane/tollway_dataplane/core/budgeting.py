"""What a request can cost at most, and what it did cost. Amounts are integers: nano-USD, tokens or requests, one per
limit of the tenant, in the tenant's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tollway_api.snapshot import Limit, Model, Price
from tollway_api.tenant_budget import Unit
from tollway_dataplane.core.facts import ChatRequest, JsonObject, Usage
from tollway_dataplane.core.pricing import cost
from tollway_dataplane.core.tokens import most_tokens


@dataclass(frozen=True, slots=True)
class Denied:
    """A limit has no room for the request."""

    limit: Limit
    asked: int  # what the request may take at most
    used: int
    held: int
    retry_after_s: int


def worst_case(request: ChatRequest, messages: Sequence[JsonObject], model: Model) -> Usage:
    """More tokens than the request can use: every byte of the prompt, and the whole bound on the answer."""
    tools = [request.parameters.get(name) for name in ("tools", "functions", "response_format")]
    prompt = most_tokens(list(messages), tools)
    return Usage(prompt, output_bound(request, model) * request.choices, estimated=True)


def output_bound(request: ChatRequest, model: Model) -> int:
    """Most tokens of one choice: the caller's bound within the model's."""
    limit = request.output_limit
    return model.max_output_tokens if limit is None else min(limit, model.max_output_tokens)


def amounts(limits: Sequence[Limit], usage: Usage, price: Price, requests: int = 1) -> list[int]:
    """What a usage counts against each limit."""
    by_unit = {Unit.USD: cost(usage, price), Unit.TOKENS: usage.total, Unit.REQUESTS: requests}
    return [by_unit[limit.unit] for limit in limits]
