"""Draws what a score costs and brings at every threshold, a panel a set. Called by `cache_quality`."""

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from bench.svg import curve, sheet

COLOURS: Final = ("#888888", "#0b6e4f", "#1f5fbf", "#b5651d")
_WIDTH, _HEIGHT, _MARGIN, _COLUMNS = 330, 250, 44, 3


class Curve(NamedTuple):
    name: str
    points: Sequence[tuple[float, float]]  # (wrongly served, served), shares


class Panel(NamedTuple):
    title: str
    across: str  # what the share of wrongly served is of
    up: str
    most_wrong: float  # where the panel ends on the right
    limit: float  # the bound that figures are read at
    curves: Sequence[Curve]


def drawing(panels: Sequence[Panel]) -> str:
    return sheet(list(map(_panel, panels)), _WIDTH, _HEIGHT, _COLUMNS)


def _panel(panel: Panel) -> str:
    right, bottom = _WIDTH - 12, _HEIGHT - _MARGIN
    across, up = right - _MARGIN, bottom - 28

    def at(wrong: float, good: float) -> str:
        return f"{_MARGIN + across * min(1.0, wrong / panel.most_wrong):.1f},{bottom - up * good:.1f}"

    limit = at(panel.limit, 0).partition(",")[0]
    drawn = [
        f'<text x="{_MARGIN}" y="16" font-weight="bold">{escape(panel.title)}</text>',
        f'<path d="M{_MARGIN},28V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<path d="M{limit},28V{bottom}" stroke="#c00" stroke-dasharray="3"/>',
        f'<text x="{_MARGIN}" y="{bottom + 28}">{escape(panel.across)}, 0 to {panel.most_wrong:.1%}</text>',
        f'<text x="12" y="{bottom}" transform="rotate(-90 12 {bottom})">{escape(panel.up)}, 0 to 1</text>',
    ]
    for i, each in enumerate(panel.curves):
        inside = [at(*point) for point in sorted(each.points) if point[0] <= panel.most_wrong]
        drawn.append(curve(each.name, inside, COLOURS[i % len(COLOURS)], (_MARGIN + 8, 42 + 13 * i)))
    return "".join(drawn)
