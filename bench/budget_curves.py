"""Draws what was spent, held and refused over the time of a run, a panel a run. For `budgets`."""

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from bench.svg import curve, sheet
from tests.spending import Sample

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 460, 260, 46, 40, 30
_MOST: Final = 1.1  # of all limits together
_COLOURS: Final = {"spent": "#0b6e4f", "spent and held": "#1f5fbf", "refused, of all requests": "#b5651d"}


class Run(NamedTuple):
    title: str
    samples: Sequence[Sample]
    requests: int


def drawing(runs: Sequence[Run]) -> str:
    return sheet(list(map(_panel, runs)), _WIDTH, _HEIGHT, columns=len(runs))


def _panel(run: Run) -> str:
    right, bottom = _WIDTH - 14, _HEIGHT - _BOTTOM
    ends = max((sample.seconds for sample in run.samples), default=1.0)

    def at(seconds: float, share: float) -> str:
        across, up = (right - _LEFT) * seconds / ends, (bottom - _TOP) * share / _MOST
        return f"{_LEFT + across:.1f},{bottom - up:.1f}"

    curves = {
        "spent": [at(each.seconds, each.spent) for each in run.samples],
        "spent and held": [at(each.seconds, each.spent + each.held) for each in run.samples],
        "refused, of all requests": [at(each.seconds, each.refused / run.requests) for each in run.samples],
    }
    drawn = [
        f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(run.title)}</text>',
        f'<path d="M{_LEFT},{_TOP}V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<path d="M{at(0, 1)}L{at(ends, 1)}" stroke="#c00" stroke-dasharray="3"/>',
        f'<text x="6" y="{at(0, 1).partition(",")[2]}" fill="#c00">limits</text>',
        f'<text x="{_LEFT}" y="{bottom + 28}">seconds, 0 to {ends:.0f}</text>',
    ]
    for place, (name, points) in enumerate(curves.items()):
        drawn.append(curve(name, points, _COLOURS[name], (right - 150, bottom - 44 + 13 * place)))
    return "".join(drawn)
