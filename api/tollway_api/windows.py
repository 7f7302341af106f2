"""Over which time a limit counts, and what the ledger's record says is used of it. The data plane counts by these
bounds and the operator reports by them, so the two never disagree. Amounts are integers: nano-USD, tokens or requests.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tollway_api import wire
from tollway_api.snapshot import Calendar, Limit, Rolling
from tollway_api.tenant_budget import CalendarPeriod

# A rolling window is counted in this many buckets; a bucket is dropped only when all of it has left the window, so
# spending is never under-counted, and over-counted for at most one bucket's length.
ROLLING_BUCKETS: Final = 60
_MOST: Final = 2**53  # the ledger's script counts in doubles, which are exact up to here
_DIGITS: Final = re.compile(rb"\d{1,16}")


@dataclass(frozen=True, slots=True)
class WindowBounds:
    """How the ledger counts one limit. Times are milliseconds since the epoch.

    A rolling window has a bucket length; a calendar window is one bucket from `start` to `end`.
    """

    bucket_ms: int  # 0 for a calendar window
    length_ms: int
    start_ms: int = 0
    end_ms: int = 0

    def counts(self, bucket_start_ms: int, now_ms: int) -> bool:
        """Whether a bucket is within the window."""
        if self.bucket_ms == 0:
            return self.start_ms <= bucket_start_ms < self.end_ms
        return bucket_start_ms + self.bucket_ms > now_ms - self.length_ms


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


@dataclass(frozen=True, slots=True)
class Usage:
    """What is used and held of one limit, and when its calendar window ends: in milliseconds since the epoch, or 0
    for a window that rolls.
    """

    limit: Limit
    used: int
    held: int
    resets_ms: int
    refused: bool = False  # whether somebody needed more than is not used of it, in the last ten minutes


@dataclass(frozen=True, slots=True)
class Holds:
    """What is held in all accounts, by what the ledger calls the sums, at one time of its clock."""

    now_ms: int
    sums: Mapping[bytes, bytes]
    given_back: Mapping[bytes, Sequence[bytes]]  # of which the ledger has not taken this out yet
    refused: Collection[bytes] = ()  # limits that had too little left for somebody

    @classmethod
    def read(
        cls,
        now_ms: int,
        recorded: Mapping[bytes, bytes],
        expired: Iterable[bytes],
        refused: Collection[bytes] = (),
    ) -> "Holds":
        """From what stands in Redis; `ledger.lua` says how. `expired` are ids of holds that count no more."""
        given_back = defaultdict[bytes, list[bytes]](list)
        for hold in expired:
            for part in recorded.get(hold, b"").split():
                name, _, amount = part.rpartition(b"=")
                given_back[b"=" + name].append(amount)
        return cls(now_ms, recorded, given_back, refused)

    def of(self, account: str, limit: Limit) -> int:
        """Raises ValueError where somebody has damaged it."""
        name = wire.sum_of(account, limit).encode()
        return _count(self.sums.get(name, b"0")) - sum(map(_count, self.given_back.get(name, ())))


def usage_of(
    account: str, limits: Iterable[Limit], recorded: Mapping[bytes, bytes], holds: Holds
) -> list[Usage]:
    """Reads what is recorded as spent in an account as the ledger's script does. Raises ValueError where somebody has
    damaged it.
    """
    now_ms, now = holds.now_ms, datetime.fromtimestamp(holds.now_ms / 1_000, UTC)
    spent = []
    for field, amount in recorded.items():
        name, _, start = field.rpartition(b"|")
        spent.append((name, _count(start), _count(amount)))
    found = []
    for limit in limits:
        bounds, counted_as = window_bounds(limit, now), wire.counted_as(limit).encode()
        used = sum(amount for of, start, amount in spent if of == counted_as and bounds.counts(start, now_ms))
        held = holds.of(account, limit)
        if used + held > _MOST:
            raise ValueError(f"{counted_as!r} amounts to more than can be counted")
        refused = wire.full_name(account, limit).encode() in holds.refused
        found.append(Usage(limit, used, max(0, held), bounds.end_ms, refused))
    return found


def _count(text: bytes) -> int:
    if not _DIGITS.fullmatch(text) or (count := int(text)) > _MOST:
        raise ValueError(f"{text[:64]!r} is nothing that the ledger counts")
    return count
