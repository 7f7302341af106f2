"""For how long providers want to be left alone, in the words that each has for it."""

import pytest

from tollway_dataplane.core.retry_after import seconds_of, wait_of

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Mon, 21 Sep 2026 14:13:50 GMT"}, 30.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360.0),
        ({"x-ratelimit-reset": "1790000005"}, 5.0),
        ({"X-RateLimit-Reset": "1790000005000"}, 5.0),
        ({"x-ratelimit-reset": "1790000005.5"}, 5.5),
        ({"ratelimit-reset": "7"}, 7.0),
        ({"anthropic-ratelimit-requests-reset": "2026-09-21T14:13:30Z"}, 10.0),
        ({"x-ratelimit-reset-tokens": "1d2h3m4.5s"}, 93_784.5),
        ({"x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"x-ratelimit-reset": ""}, None),
        ({"x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-reset": "0001-01-01T00:00:00Z"}, 0.0),
        ({"x-ratelimit-reset": "9999999999"}, None),
    ],
)
def test_how_long_a_provider_wants_to_be_left_alone(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_of(headers, NOW) == seconds


def test_what_is_not_used_up_need_not_be_waited_for() -> None:
    left = {"x-ratelimit-remaining-tokens": "10", "x-ratelimit-reset-tokens": "1h"}
    assert wait_of(left, NOW) is None
    used_up = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2s"}
    assert wait_of({**left, **used_up}, NOW) == 2.0


def test_of_resets_that_do_not_say_what_is_left_the_first_may_be_the_one() -> None:
    assert wait_of({"x-ratelimit-reset-requests": "2s", "x-ratelimit-reset-tokens": "1h"}, NOW) == 2.0


def test_retry_after_says_more_than_a_reset() -> None:
    assert wait_of({"retry-after": "1", "x-ratelimit-reset": "60"}, NOW) == 1.0


def test_without_a_clock_a_date_says_nothing() -> None:
    assert seconds_of("Mon, 21 Sep 2026 14:13:50 GMT") is None
