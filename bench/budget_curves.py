"""Draws what was spent, held and refused over the time of a run, a panel a run, as an SVG by hand. For `budgets`."""

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from tests.spending import Sample

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 460, 260, 46, 40, 30
_MOST: Final = 1.1  # of all limits together
_COLOURS: Final = {"spent": "#0b6e4f", "spent and held": "#1f5fbf", "refused, of all requests": "#b5651d"}


class Run(NamedTuple):
    title: str
    samples: Sequence[Sample]
    requests: int


def drawing(runs: Sequence[Run]) -> str:
    body = "".join(
        f'<g transform="translate({place * _WIDTH},0)">{_panel(run)}</g>' for place, run in enumerate(runs)
    )
    size = f'width="{len(runs) * _WIDTH}" height="{_HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
    )


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
        colour = _COLOURS[name]
        drawn.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
            f'<text x="{right - 150}" y="{bottom - 44 + 13 * place}" fill="{colour}">{escape(name)}</text>'
        )
    return "".join(drawn)
