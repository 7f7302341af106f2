"""For how long a provider wants to be left alone, by the headers of its reply: Retry-After (RFC 9110, section 10.2.3),
its older cousin in milliseconds, and the rate limits' resets, which OpenAI gives as a duration ("6m0s"), Anthropic as a
time, and others as seconds from now or since the epoch.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,9})?")
_DURATION: Final = re.compile(r"(?=\d)((\d+)d)?((\d+)h)?((\d+)m(?!s))?((\d+(\.\d+)?)s)?((\d+(\.\d+)?)ms)?")
_EPOCH: Final = re.compile(r"\d{10}(\d{3})?(\.\d{1,9})?")  # in seconds, or milliseconds
# What the reset of a limit is called, whoever's it is.
_RESET: Final = re.compile(r"([a-z]+-)?ratelimit(-[a-z-]+)?-reset(-[a-z-]+)?")
# Longer than any provider's day, so that nonsense is none.
_MOST_S: Final = 7 * 86_400.0


def seconds_of(retry_after: str | None, now: float = 0.0) -> float | None:
    """The seconds in a Retry-After header. A date in it is counted from `now`, in seconds since the epoch; None where
    it has neither.
    """
    if not retry_after:
        return None
    if _SECONDS.fullmatch(retry_after):
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    return _bounded((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now) if now else None


def wait_of(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds from `now`, which is in seconds since the epoch; None where the provider does not say. Of limits of which
    something is left the reset says nothing; where it is not said which are used up, the first that is reset may be.
    """
    given = {name.lower(): value.strip() for name, value in headers.items()}
    wait = seconds_of(given.get("retry-after"), now)
    if wait is None and (milliseconds := seconds_of(given.get("retry-after-ms"))) is not None:
        wait = milliseconds / 1_000
    if wait is not None:
        return wait
    resets = list(_resets(given, now))
    used_up = [seconds for seconds, left in resets if left == "0"]
    unknown = [seconds for seconds, left in resets if left is None]
    return max(used_up) if used_up else min(unknown, default=None)


def _resets(headers: Mapping[str, str], now: float) -> Iterator[tuple[float, str | None]]:
    """Seconds to each limit's reset, and what is left of it."""
    for name, value in headers.items():
        if _RESET.fullmatch(name) and (seconds := _until(value, now)) is not None:
            yield seconds, headers.get(name.replace("reset", "remaining"))


def _until(value: str, now: float) -> float | None:
    if found := _EPOCH.fullmatch(value):
        return _bounded(float(value) / (1_000 if found[1] else 1) - now)
    if _SECONDS.fullmatch(value):
        return _bounded(float(value))
    if value and (found := _DURATION.fullmatch(value)):
        days, hours, minutes = (int(found[place] or 0) for place in (2, 4, 6))
        seconds, milliseconds = float(found[8] or 0), float(found[11] or 0)
        return _bounded(((days * 24 + hours) * 60 + minutes) * 60 + seconds + milliseconds / 1_000)
    try:
        return _bounded(datetime.fromisoformat(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _bounded(seconds: float) -> float | None:
    return max(0.0, seconds) if seconds <= _MOST_S else None
