"""Windows and worst cases."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_api.snapshot import Calendar, Limit, Price, Rolling
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_dataplane.core.budgeting import amounts, window_bounds
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.core.pricing import as_usd, cost
from tollway_dataplane.core.tokens import most_tokens

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


def test_a_usage_counts_against_each_limit_in_its_own_unit() -> None:
    limits = [limit(Rolling(1_000), unit) for unit in (Unit.USD, Unit.TOKENS, Unit.REQUESTS)]
    assert amounts(limits, Usage(1_000, 100), Price(150_000, 600_000)) == [210_000, 1_100, 1]


def test_a_fraction_of_a_nano_dollar_is_rounded_up() -> None:
    assert cost(Usage(1, 0), Price(1, 0)) == 1
    assert cost(Usage(0, 0), Price(1, 1)) == 0


@pytest.mark.parametrize(
    ("nano", "text"), [(0, "0"), (1, "0.000000001"), (1_500_000_000, "1.5"), (12_500, "0.0000125")]
)
def test_money_is_shown_as_decimal_dollars(nano: int, text: str) -> None:
    assert as_usd(nano) == text


@given(
    st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": st.text()}), min_size=1, max_size=5)
)
def test_a_prompt_never_has_more_tokens_than_the_bound(messages: list[dict[str, str]]) -> None:
    """A byte-level tokenizer's worst case is a token a byte."""
    most = most_tokens(list(messages), None)
    assert most >= sum(len(message["content"].encode("utf-8", "surrogatepass")) + 4 for message in messages)
