"""What a request can cost at most, what it did cost, and over which time each limit counts. Amounts are integers:
nano-USD, tokens or requests, one per limit of the tenant, in the tenant's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tollway_api.snapshot import Calendar, Limit, Model, Price, Rolling
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_dataplane.core.facts import ChatRequest, JsonObject, Usage
from tollway_dataplane.core.pricing import cost
from tollway_dataplane.core.tokens import most_tokens

# A rolling window is counted in this many buckets; a bucket is dropped only when all of it has left the window, so
# spending is never under-counted, and over-counted for at most one bucket's length.
ROLLING_BUCKETS: Final = 60


@dataclass(frozen=True, slots=True)
class WindowBounds:
    """How the ledger counts one limit. Times are milliseconds since the epoch.

    A rolling window has a bucket length; a calendar window is one bucket from `start` to `end`.
    """

    bucket_ms: int  # 0 for a calendar window
    length_ms: int
    start_ms: int = 0
    end_ms: int = 0


@dataclass(frozen=True, slots=True)
class Denied:
    """A limit has no room for the request."""

    limit: Limit
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


def window_bounds(limit: Limit, now: datetime) -> WindowBounds:
    """The window of a limit around `now`, which must be timezone-aware."""
    match limit.window:
        case Rolling(milliseconds):
            return WindowBounds(max(1_000, milliseconds // ROLLING_BUCKETS), milliseconds)
        case Calendar(period, time_zone):
            start, end = _period(period, now.astimezone(ZoneInfo(time_zone)))
            start_ms, end_ms = _milliseconds(start), _milliseconds(end)
            return WindowBounds(0, end_ms - start_ms, start_ms, end_ms)


def _period(period: CalendarPeriod, local: datetime) -> tuple[datetime, datetime]:
    """Start and end on the wall clock, so that a day with a change to summer time is 23 hours long."""
    if period is CalendarPeriod.HOUR:
        # Counted on the absolute clock: the hour that autumn repeats is two, though the wall clock shows one. Summer
        # time is left out, because where it shifts by half an hour, hours of the wall clock would overlap.
        shift = (local.utcoffset() or timedelta()) - (local.dst() or timedelta())
        standard = local.astimezone(UTC) + shift
        start = standard.replace(minute=0, second=0, microsecond=0) - shift
        return start, start + timedelta(hours=1)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period is CalendarPeriod.DAY:
        return day, day + timedelta(days=1)
    if period is CalendarPeriod.WEEK:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)
