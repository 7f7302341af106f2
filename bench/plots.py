"""Plots of a few named lines over one axis, for the benchmarks whose figures are just that."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from bench.svg import curve

WIDTH: Final = 460
HEIGHT: Final = 280
_LEFT, _BOTTOM, _TOP, _RIGHT = 56, 40, 30, 14
_COLOURS: Final = ("#1f5fbf", "#0b6e4f", "#b5651d", "#7a3fa0", "#c00")
Points = Sequence[tuple[float, float]]


def lines(title: str, across: str, series: Mapping[str, Points], *, log: bool = False) -> str:
    """A panel. Both axes begin at zero, but for `log`, where the lower one has powers of ten. A line without points is
    left out.
    """
    shown = {name: points for name, points in series.items() if points}
    every = [point for points in shown.values() for point in points]
    least, most = min(x for x, _ in every), max(x for x, _ in every)
    top = 1.1 * (max(y for _, y in every) or 1.0)
    begin, end = (math.log10(least), math.log10(most)) if log else (0.0, most)
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def at(point: tuple[float, float]) -> str:
        place = math.log10(point[0]) if log else point[0]
        share = (place - begin) / ((end - begin) or 1.0)
        return f"{_LEFT + (right - _LEFT) * share:.1f},{bottom - (bottom - _TOP) * point[1] / top:.1f}"

    drawn = [
        f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{_LEFT},{_TOP}V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<text x="{_LEFT}" y="{bottom + 30}">{escape(across)}</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        height = top / 1.1 * share
        y = at((most, height)).partition(",")[2]
        drawn.append(f'<text x="{_LEFT - 4}" y="{y}" text-anchor="end">{height:.3g}</text>')
    marked = sorted({least, most} | (_decades(least, most) if log else {most / 2}))
    drawn += [
        f'<text x="{at((x, 0)).partition(",")[0]}" y="{bottom + 14}" text-anchor="middle">{x:,.6g}</text>'
        for x in marked
    ]
    for place, (name, points) in enumerate(shown.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        drawn.append(curve(name, [at(each) for each in points], colour, (_LEFT + 10, _TOP + 12 + 13 * place)))
    return "".join(drawn)


def _decades(least: float, most: float) -> set[float]:
    return {10.0**power for power in range(math.ceil(math.log10(least)), int(math.log10(most)) + 1)}
