"""Over which time a limit counts, and what is used of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_api.snapshot import Calendar, Limit, Rolling
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_api.windows import Usage, usage_of, window_bounds

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


def test_usage_is_what_the_ledger_counts_within_the_window() -> None:
    minute = 60_000
    now_ms = 1_000 * minute + 5
    spent = {
        f"x:USD|{999 * minute}": 3,
        f"x:USD|{940 * minute}": 4,
        f"x:USD|{939 * minute}": 50,
        f"xx:USD|{999 * minute}": 60,
        f"x:Tokens|{999 * minute}": 70,
    }
    rolling = limit(Rolling(60 * minute))
    assert usage_of([rolling], spent, {"=x:USD": 7, "=xx:USD": 8, "=x:Tokens": 9}, now_ms) == [Usage(7, 7, 0)]


def test_usage_of_a_calendar_window_says_when_it_ends() -> None:
    now_ms = int(moment("2026-03-10T12:30").timestamp() * 1_000)
    start, before = now_ms - 30 * 60_000, now_ms - 90 * 60_000
    hourly = limit(Calendar(CalendarPeriod.HOUR, "UTC"))
    assert usage_of([hourly], {f"x:USD|{start}": 3, f"x:USD|{before}": 4}, {}, now_ms) == [
        Usage(3, 0, start + 3_600_000)
    ]
