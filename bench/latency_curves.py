"""Draws how long answers take at each share of a gateway's capacity, beside its baseline. For `added_latency`."""

import math
from collections.abc import Mapping
from html import escape
from typing import Any, Final

from bench.report import number
from bench.svg import curve, sheet

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 300, 230, 46, 90, 36, 30
_LINES: Final = {
    "p99": ("p99_ms", "#1f5fbf"),
    "p50": ("p50_ms", "#0b6e4f"),
    "baseline p99": ("baseline_p99_ms", "#9aa5b1"),
    "baseline p50": ("baseline_p50_ms", "#c2b280"),
}


def drawing(cases: Mapping[str, Any]) -> str:
    """As the report has them; a panel each."""
    return sheet([_panel(name, case["at"]) for name, case in cases.items()], _WIDTH, _HEIGHT, columns=3)


def _panel(name: str, at: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    values = [found[key]["median"] for found in at.values() for key, _ in _LINES.values()]
    least, most = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def height(value: float) -> float:
        return bottom - (bottom - _TOP) * math.log10(value / least) / (math.log10(most / least) or 1.0)

    drawn = [
        f'<text x="8" y="16" font-weight="bold">{escape(name)}, ms</text>',
        f'<path d="M{_LEFT},{_TOP}V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<text x="{_LEFT}" y="{bottom + 28}">share of its capacity</text>',
    ]
    for power in range(round(math.log10(most / least)) + 1):
        tick = least * 10**power
        drawn.append(
            f'<text x="{_LEFT - 6}" y="{height(tick) + 4:.1f}" text-anchor="end">{number(tick)}</text>'
        )
    for share in at:
        place = f'x="{_across(share):.1f}" y="{bottom + 14}" text-anchor="middle"'
        drawn.append(f"<text {place}>{float(share):.0%}</text>")
    for title, (key, colour) in _LINES.items():
        points = [f"{_across(share):.1f},{height(found[key]['median']):.1f}" for share, found in at.items()]
        last = list(at.values())[-1][key]["median"]
        drawn.append(curve(title, points, colour, (right + 4, round(height(last)) + 4)))
    return "".join(drawn)


def _across(share: str) -> float:
    return _LEFT + (_WIDTH - _RIGHT - _LEFT) * float(share)
