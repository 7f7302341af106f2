"""Over which time a limit counts, and what is used of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_api.snapshot import Calendar, Limit, Rolling
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_api.windows import Holds, Usage, usage_of, window_bounds

BERLIN = "Europe/Berlin"


def limit(window: Rolling | Calendar, unit: Unit = Unit.USD) -> Limit:
    return Limit("x", unit, 1, window)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "end"),
    [
        (CalendarPeriod.DAY, "UTC", "2026-03-10T12:34", "2026-03-10T00:00", "2026-03-11T00:00"),
        (CalendarPeriod.DAY, BERLIN, "2026-03-10T23:30", "2026-03-10T23:00", "2026-03-11T23:00"),
        (CalendarPeriod.DAY, BERLIN, "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),  # 23 hours
        (CalendarPeriod.DAY, BERLIN, "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),  # 25 hours
        (CalendarPeriod.DAY, BERLIN, "2026-10-25T00:30", "2026-10-24T22:00", "2026-10-25T23:00"),
        (CalendarPeriod.DAY, BERLIN, "2026-10-25T01:30", "2026-10-24T22:00", "2026-10-25T23:00"),
        (CalendarPeriod.WEEK, "UTC", "2026-11-22T23:59", "2026-11-16T00:00", "2026-11-23T00:00"),
        (CalendarPeriod.MONTH, "UTC", "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        (CalendarPeriod.MONTH, "UTC", "2028-02-29T00:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        (CalendarPeriod.HOUR, "Asia/Kolkata", "2026-03-10T12:10", "2026-03-10T11:30", "2026-03-10T12:30"),
        (
            CalendarPeriod.HOUR,
            "Australia/Lord_Howe",
            "2036-10-04T15:10",
            "2036-10-04T14:30",
            "2036-10-04T15:30",
        ),
        (
            CalendarPeriod.HOUR,
            "Australia/Lord_Howe",
            "2036-10-04T15:40",
            "2036-10-04T15:30",
            "2036-10-04T16:30",
        ),
        (CalendarPeriod.HOUR, BERLIN, "2026-10-25T00:30", "2026-10-25T00:00", "2026-10-25T01:00"),
        (CalendarPeriod.HOUR, BERLIN, "2026-10-25T01:30", "2026-10-25T01:00", "2026-10-25T02:00"),
    ],
)
def test_calendar_windows_follow_the_wall_clock(
    period: CalendarPeriod, zone: str, now: str, start: str, end: str
) -> None:
    bounds = window_bounds(limit(Calendar(period, zone)), moment(now))
    assert (bounds.start_ms, bounds.end_ms) == (
        moment(start).timestamp() * 1000,
        moment(end).timestamp() * 1000,
    )


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001 - made aware below
    st.sampled_from(list(CalendarPeriod)),
    st.sampled_from(
        ["UTC", BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]
    ),
)
def test_every_moment_is_in_its_window_and_the_next_window_follows_on(
    naive: datetime, period: CalendarPeriod, zone: str
) -> None:
    now = naive.replace(tzinfo=UTC)
    bounds = window_bounds(limit(Calendar(period, zone)), now)
    assert bounds.start_ms <= now.timestamp() * 1000 < bounds.end_ms
    after = datetime.fromtimestamp(bounds.end_ms / 1000, UTC) + timedelta(milliseconds=1)
    assert window_bounds(limit(Calendar(period, zone)), after).start_ms == bounds.end_ms


def test_a_rolling_window_is_counted_in_sixtieths_but_never_less_than_a_second() -> None:
    now = moment("2026-01-01T00:00")
    assert window_bounds(limit(Rolling(3_600_000)), now).bucket_ms == 60_000
    assert window_bounds(limit(Rolling(5_000)), now).bucket_ms == 1_000


MINUTE = 60_000
NOW = 1_000 * MINUTE + 5
ROLLING = limit(Rolling(60 * MINUTE))


Recorded = tuple[dict[bytes, bytes], Holds]


def recorded(
    spent: Mapping[str, int | str],
    holds: Mapping[str, int | str] | None = None,
    *expired: str,
    now_ms: int = NOW,
) -> Recorded:
    """What is spent in one account, and what is held in all."""

    def stored(each: Mapping[str, int | str]) -> dict[bytes, bytes]:
        return {name.encode(): str(value).encode() for name, value in each.items()}

    return stored(spent), Holds.read(now_ms, stored(holds or {}), [each.encode() for each in expired])


def test_usage_is_what_the_ledger_counts_within_the_window() -> None:
    spent = {
        f"x:USD|{999 * MINUTE}": 3,
        f"x:USD|{940 * MINUTE}": 4,
        f"x:USD|{939 * MINUTE}": 50,
        f"xx:USD|{999 * MINUTE}": 60,
        f"x:Tokens|{999 * MINUTE}": 70,
    }
    holds: dict[str, int | str] = {"=a:x:USD": 7, "=a:xx:USD": 8, "=a:x:Tokens": 9, "=b:x:USD": 10}
    assert usage_of("a", [ROLLING], *recorded(spent, holds)) == [Usage(ROLLING, 7, 7, 0)]


def test_a_hold_whose_time_has_run_out_is_held_no_more() -> None:
    holds: dict[str, int | str] = {
        "a/1": "a:x:USD=5 team/all:x:USD=5",
        "a/2": "a:x:USD=2 team/all:x:USD=2",
        "=a:x:USD": 7,
        "=team/all:x:USD": 7,
    }
    for account in ("a", "team/all"):
        found = usage_of(account, [ROLLING], *recorded({}, holds, "a/1", "freed meanwhile"))
        assert found == [Usage(ROLLING, 0, 2, 0)]


DAMAGED = {
    "a time that is no number": recorded({"x:USD|soon": 5}),
    "a time before all times": recorded({"x:USD|-1": 5}),
    "no time": recorded({"x:USD": 5}),
    "an amount that is no number": recorded({f"x:USD|{NOW}": "a lot"}),
    "a negative amount": recorded({f"x:USD|{NOW}": -5}),
    "a large amount": recorded({f"x:USD|{NOW}": 2**63}),
    "a monstrous amount": recorded({f"x:USD|{NOW}": "9" * 5_000}),
    "a large sum": recorded({f"x:USD|{NOW}": 2**52, f"x:USD|{NOW - 1}": 2**52, f"x:USD|{NOW - 2}": 1}),
    "a negative sum of holds": recorded({}, {"=a:x:USD": -1}),
    "a dead hold of no number": recorded({}, {"=a:x:USD": 7, "a/1": "a:x:USD=all"}, "a/1"),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_what_the_ledger_cannot_have_counted_is_an_error(damaged: Recorded) -> None:
    with pytest.raises(ValueError, match="count"):
        usage_of("a", [ROLLING], *damaged)


def test_usage_of_a_calendar_window_says_when_it_ends() -> None:
    now_ms = int(moment("2026-03-10T12:30").timestamp() * 1_000)
    start, before = now_ms - 30 * 60_000, now_ms - 90 * 60_000
    hourly = limit(Calendar(CalendarPeriod.HOUR, "UTC"))
    of_today = recorded({f"x:USD|{start}": 3, f"x:USD|{before}": 4}, now_ms=now_ms)
    assert usage_of("a", [hourly], *of_today) == [Usage(hourly, 3, 0, start + 3_600_000)]
