"""`make bench-scale`: what grows when there is more of something. `python -m bench.scale --part NAME`, or all parts:
`tenants`, `policies`, `bodies`, `planes`, `streams`; what a look-up costs in a large cache is `bench.cache_scale`'s.

Servers are processes of their own, the provider costs nothing, and callers are in this process. `--save` writes
results/scale-PART.md, .json and .svg.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.plots import HEIGHT, WIDTH, lines
from bench.report import heading, keep, origin
from bench.scale_out import planes
from bench.scale_rig import Table
from bench.scale_size import bodies, policies, tenants
from bench.scale_streams import streams
from bench.svg import sheet

PARTS: Final[Mapping[str, Callable[[Path, int], Table]]] = {
    "tenants": tenants,
    "policies": policies,
    "bodies": bodies,
    "planes": planes,
    "streams": streams,
}


def cell(value: float) -> str:
    """Large numbers as whole ones, others to three digits; nothing where nothing was measured."""
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_markdown(name: str, table: Table, begun: Mapping[str, object]) -> str:
    drawn = [f"![{table.title}](scale-{name}.svg)", ""] if table.plots else []
    return "\n".join(
        [
            *heading(table.title, begun),
            *([table.notes, ""] if table.notes else []),
            f"| {' | '.join(table.heads)} |",
            f"|{'---:|' * len(table.heads)}",
            *(f"| {' | '.join(map(cell, row))} |" for row in table.rows),
            "",
            *drawn,
        ]
    )


def picture(table: Table) -> str:
    """Nothing, where there is nothing to draw."""
    panels = [
        lines(
            title,
            table.heads[0],
            {
                table.heads[column]: [
                    (row[0], row[column]) for row in table.rows if not math.isnan(row[column])
                ]
                for column in columns
            },
            log=True,
        )
        for title, columns in table.plots.items()
    ]
    return sheet(panels, WIDTH, HEIGHT, columns=2) if panels else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part", action="append", choices=list(PARTS), help="may be given again; default: all"
    )
    parser.add_argument("--calls", type=int, default=2_000, help="requests that are measured at each size")
    parser.add_argument("--save", action="store_true", help="write the results to bench/results/")
    given = parser.parse_args()
    for name in given.part or PARTS:
        begun = origin("bench.scale")
        with tempfile.TemporaryDirectory() as folder:
            table = PARTS[name](Path(folder), given.calls)
        text = as_markdown(name, table, begun)
        print(f"\n{text}")
        if given.save:
            known = [[None if math.isnan(value) else value for value in row] for row in table.rows]
            rows = [dict(zip(table.heads, row, strict=True)) for row in known]
            keep(f"scale-{name}", {**begun, "rows": rows}, text, picture(table))
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
