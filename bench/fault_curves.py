"""Draws how long requests take while a provider is away, and how many it gets while it comes back. For `faults`."""

from collections.abc import Sequence
from html import escape
from typing import Final

from bench.svg import curve, sheet

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 560, 260, 46, 40, 30
_SERVED, _FAILED, _ASKED = "#1f5fbf", "#c00", "#0b6e4f"
Points = Sequence[tuple[float, float]]


def drawing(
    latencies: Points, errors: Points, asked: Points, away: tuple[float, float], seconds: float
) -> str:
    """Latencies in seconds and requests a second, over seconds; errors are latencies of replies that are none."""
    top = 1.1 * max((latency for _, latency in [*latencies, *errors]), default=1.0)
    first = _frame("seconds a request took", seconds, top, away)
    first += _dots(latencies, seconds, top, _SERVED) + _dots(errors, seconds, top, _FAILED)
    most = 1.1 * max((rate for _, rate in asked), default=1.0)
    second = _frame("requests a second to the provider that was away", seconds, most, away)
    second += curve("asked", [_at(each, seconds, most) for each in asked], _ASKED, (_WIDTH - 90, _TOP + 12))
    return sheet([first, second], _WIDTH, _HEIGHT, columns=2)


def _at(point: tuple[float, float], seconds: float, top: float) -> str:
    right, bottom = _WIDTH - 14, _HEIGHT - _BOTTOM
    return (
        f"{_LEFT + (right - _LEFT) * point[0] / seconds:.1f},{bottom - (bottom - _TOP) * point[1] / top:.1f}"
    )


def _dots(points: Points, seconds: float, top: float, colour: str) -> str:
    places = (_at(each, seconds, top).split(",") for each in points)
    return "".join(
        f'<circle cx="{x}" cy="{y}" r="1.2" fill="{colour}" fill-opacity="0.5"/>' for x, y in places
    )


def _frame(title: str, seconds: float, top: float, away: tuple[float, float]) -> str:
    right, bottom = _WIDTH - 14, _HEIGHT - _BOTTOM
    began, ended = (float(_at((each, 0), seconds, top).partition(",")[0]) for each in away)
    unit: Final = top / 1.1
    return (
        f'<rect x="{began}" y="{_TOP}" width="{ended - began:.1f}" height="{bottom - _TOP}" fill="#eee"/>'
        f'<text x="{began + 4}" y="{_TOP + 12}" fill="#777">it is away</text>'
        f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(title)}</text>'
        f'<path d="M{_LEFT},{_TOP}V{bottom}H{right}" fill="none" stroke="black"/>'
        f'<text x="6" y="{_at((0, unit), seconds, top).partition(",")[2]}">{unit:.3g}</text>'
        f'<text x="{_LEFT}" y="{bottom + 28}">seconds, 0 to {seconds:.0f}</text>'
    )
