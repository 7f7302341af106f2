"""What is said of a long run."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.soak import Sample, as_markdown, grown, picture

WARM = Sample(0.0, 0, 350.0, 48, 47, 10, 5.0, 1.5)


def course(**last: float) -> list[Sample]:
    """Forty samples, the last quarter of which has other figures, and the first of which is not warm yet."""
    cold = [replace(WARM, rss_mb=200.0, tasks=2) for _ in range(10)]
    return [
        replace(each, seconds=10.0 * number, requests=100 * number)
        for number, each in enumerate([*cold, *[WARM] * 20, *[replace(WARM, **last)] * 10])  # type: ignore[arg-type]  # a test may give anything
    ]


def test_what_grows_while_it_becomes_warm_is_no_leak() -> None:
    assert grown(course()) == []


def test_a_single_sample_that_is_high_is_no_leak() -> None:
    samples = course()
    assert grown([*samples[:-1], replace(samples[-1], tasks=500)]) == []


@pytest.mark.parametrize(
    ("name", "value"), [("rss_mb", 400.0), ("descriptors", 90), ("tasks", 80), ("cache_mb", 20.0)]
)
def test_what_there_is_more_of_in_the_end_is_named(name: str, value: float) -> None:
    (found,) = grown(course(**{name: value}))
    assert found.startswith(f"{name} grew from")


def test_redis_has_more_of_a_cache_where_more_was_asked() -> None:
    samples = course(cache_mb=15.0)
    busier = [
        replace(each, requests=each.requests + 200 * max(0, number - 25))
        for number, each in enumerate(samples)
    ]
    assert grown(samples) != []
    assert grown(busier) == []


def test_the_report_has_both_quarters_and_a_picture() -> None:
    begun = {"commit": "c", "machine": "m", "when": "w", "busy": 0.1, "command": "python -m bench.soak"}
    text = as_markdown(course(tasks=60), Counter({"200": 3_800, "left": 100}), begun)
    assert "| tasks | 47 | 60 |" in text
    assert "3,900 requests in 6 minutes: 3,800 200, 100 left." in text
    assert picture(course()).startswith("<svg")
