"""Draws medians as bars, with a whisker from the least to the most; logarithmic, since gateways differ by hundreds."""

import math
from collections.abc import Mapping
from html import escape
from typing import Final

from bench.report import Spread, number
from bench.svg import sheet

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 560, 150, 70, 30, 24
_OURS, _OTHERS, _WHISKER = "#1f5fbf", "#9aa5b1", "#333"


def drawing(panels: Mapping[str, Mapping[str, Spread]]) -> str:
    """A panel for each title."""
    height = _TOP + _ROW * max(len(bars) for bars in panels.values()) + 14
    return sheet([_panel(title, bars) for title, bars in panels.items()], _WIDTH, height, columns=2)


def _panel(title: str, bars: Mapping[str, Spread]) -> str:
    least = 10 ** math.floor(math.log10(min(each["min"] for each in bars.values())))
    most = max(each["max"] for each in bars.values())
    span: Final = math.log10(most / least) or 1.0

    def at(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log10(value / least) / span

    drawn = [f'<text x="8" y="16" font-weight="bold">{escape(title)} (logarithmic)</text>']
    for place, (name, found) in enumerate(bars.items()):
        y = _TOP + _ROW * place
        colour = _OURS if name.startswith("Tollway") else _OTHERS
        drawn += [
            f'<text x="{_LEFT - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{at(found["median"]) - _LEFT:.1f}" height="16" fill="{colour}"/>',
            f'<path d="M{at(found["min"]):.1f},{y + 8}H{at(found["max"]):.1f}" stroke="{_WHISKER}"/>',
            f'<text x="{at(found["max"]) + 5:.1f}" y="{y + 12}">{number(found["median"])}</text>',
        ]
    return "".join(drawn)
