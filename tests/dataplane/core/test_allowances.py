"""What is left, in the headers that clients know."""

import pytest

from tollway_api.snapshot import Limit, Rolling
from tollway_api.tenant_budget import Unit
from tollway_dataplane.core.allowances import Allowance, duration, rate_limit_headers, what_is_left

HOUR = Rolling(3_600_000)


def limit(amount: int, unit: Unit, name: str = "one") -> Limit:
    return Limit(name, unit, amount, HOUR)


def test_each_unit_has_its_three_headers() -> None:
    money, requests = limit(5_000_000_000, Unit.USD), limit(60, Unit.REQUESTS)
    assert rate_limit_headers([Allowance(money, 1_250_000, 90), Allowance(requests, 59, 3_600)]) == {
        "x-ratelimit-limit-usd": "5",
        "x-ratelimit-remaining-usd": "0.00125",
        "x-ratelimit-reset-usd": "1m30s",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1h0m0s",
    }


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_limits_of_a_unit_the_one_is_said_of_which_less_is_left(order: int) -> None:
    day, month = limit(100, Unit.TOKENS, "day"), limit(1_000, Unit.TOKENS, "month")
    both = [Allowance(day, 50, 1), Allowance(month, 20, 2)][::order]
    assert rate_limit_headers(both)["x-ratelimit-limit-tokens"] == "1000"


def test_nothing_is_left_where_more_is_used_than_there_is() -> None:
    assert (
        rate_limit_headers([Allowance(limit(10, Unit.TOKENS), -3, 5)])["x-ratelimit-remaining-tokens"] == "0"
    )
    assert what_is_left(limit(10, Unit.TOKENS), -3) == "0 of 10 tokens left"


def test_no_limits_no_headers() -> None:
    assert rate_limit_headers([]) == {}


@pytest.mark.parametrize(
    ("seconds", "written"), [(0, "0s"), (59, "59s"), (60, "1m0s"), (3_601, "1h0m1s"), (90_000, "25h0m0s")]
)
def test_durations_are_written_as_go_does(seconds: int, written: str) -> None:
    assert duration(seconds) == written
