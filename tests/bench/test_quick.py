"""A ratio has moved where no round is like any before."""

import pytest

from bench.quick import moved
from bench.report import number, spread


@pytest.mark.parametrize(
    ("now", "expected"),
    [([0.2, 0.3], "slower"), ([0.2, 0.45], "within what it was"), ([0.55, 0.7], "faster")],
)
def test_what_moved_is_said_with_its_direction(now: list[float], expected: str) -> None:
    assert moved(spread(now), spread([0.4, 0.5])) == expected


def test_a_spread_keeps_three_digits_and_all_before_the_point() -> None:
    assert spread([1_234.5, 0.12345, 99.96]) == {"min": 0.123, "median": 100.0, "max": 1_234.0}
    assert [number(each) for each in (1_234.0, 100.0, 12.3, 0.123)] == ["1,234", "100", "12.3", "0.123"]
