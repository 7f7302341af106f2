"""What the pictures of the benchmarks have in common, as SVG by hand: no plotting library is among what Tollway is
built with.
"""

from collections.abc import Sequence
from html import escape


def sheet(panels: Sequence[str], width: int, height: int, columns: int) -> str:
    """Panels of one size beside and below each other."""
    rows = -(-len(panels) // columns)
    body = "".join(
        f'<g transform="translate({i % columns * width},{i // columns * height})">{panel}</g>'
        for i, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * width}" height="{rows * height}"'
        ' font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
    )


def curve(name: str, points: Sequence[str], colour: str, named_at: tuple[int, int]) -> str:
    """A line through points "x,y", and what it is called."""
    x, y = named_at
    return (
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        f'<text x="{x}" y="{y}" fill="{colour}">{escape(name)}</text>'
    )
