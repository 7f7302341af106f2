"""What is left of a tenant's limits, in words and in the headers by which OpenAI's clients know how much they may ask
(its guide "Rate limits", section "Rate limits in headers"). OpenAI has them for requests and tokens; for money there
are the same three with `usd`, in dollars.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tollway_api.snapshot import Limit
from tollway_api.tenant_budget import Unit
from tollway_dataplane.core.pricing import as_usd
from tollway_dataplane.core.values import value

# Of each unit, what the limit is, what remains of it, and when it is reset.
_HEADERS: Final = {
    unit: tuple(f"x-ratelimit-{what}-{unit.noun.lower()}" for what in ("limit", "remaining", "reset"))
    for unit in Unit
}


@value
class Allowance:
    """What is left of one limit."""

    limit: Limit
    left: int  # of its unit: nano-USD, tokens or requests
    resets_in_s: int  # until all of it may be used again, or of a refusal until so much is left as it wants


def rate_limit_headers(allowances: Iterable[Allowance]) -> dict[str, str]:
    """The headers for each unit: they tell of the limit of which the least is left."""
    least: dict[Unit, Allowance] = {}
    for each in allowances:
        before = least.setdefault(each.limit.unit, each)
        if each.left < before.left:
            least[each.limit.unit] = each
    headers = {}
    for unit, each in least.items():
        limit, remaining, reset = _HEADERS[unit]
        headers[limit] = _amount(each.limit.amount, unit)
        headers[remaining] = _number(max(0, each.left), unit)
        headers[reset] = duration(each.resets_in_s)
    return headers


def what_is_left(limit: Limit, left: int) -> str:
    """Like "0.25 of 5 USD left"."""
    return (
        f"{_number(max(0, left), limit.unit)} of {_number(limit.amount, limit.unit)} {limit.unit.noun} left"
    )


@lru_cache(1_024)
def duration(seconds: int) -> str:
    """A time as OpenAI writes it, which is as Go does: "1h2m3s"."""
    minutes, rest = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h"] if hours else []
    parts += [f"{minutes}m"] if hours or minutes else []
    return "".join([*parts, f"{rest}s"])


def _number(amount: int, unit: Unit) -> str:
    return as_usd(amount) if unit is Unit.USD else str(amount)


# Of limits, which say the same in every reply.
_amount = lru_cache(1_024)(_number)
