"""What the reports of the benches have in common: of what they are, and how spread is told."""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).parent / "results"
PAGE: Final = RESULTS.parents[1] / "docs" / "performance.md"
Spread = dict[str, float]


def origin(module: str) -> dict[str, object]:
    """Commit, machine, command and day. `busy` is how many processes wanted the processors before we began."""
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False, cwd=RESULTS)
    return {
        "commit": commit.stdout.strip(),
        "machine": f"{os.cpu_count()} × {_processor()}, Python {platform.python_version()}",
        "command": " ".join(["python -m", module, *sys.argv[1:]]),
        "when": time.strftime("%Y-%m-%d"),
        "busy": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    named = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8"), flags=re.MULTILINE)
    return named[1] if named else platform.machine()


def said(origin: Mapping[str, object]) -> str:
    return (
        f"Commit {origin['commit']}; {origin['machine']}; {origin['when']}; `{origin['command']}`.\n"
        f"Before it began, {origin['busy']} processes wanted the processors (load average of a minute)."
    )


def heading(title: str, origin: Mapping[str, object]) -> list[str]:
    """First lines of a page."""
    return [f"# {title}", "", said(origin), ""]


def spread(values: Sequence[float]) -> Spread:
    """Three digits are kept, and all before the point."""
    found = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: _rounded(value) for name, value in found.items()}


def _rounded(value: float) -> float:
    return float(f"{value:.3g}") if abs(value) < 100 else float(round(value))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """In Markdown; all columns but the first are of numbers."""
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def shown(found: Mapping[str, float]) -> str:
    """The median, and from where to where it was."""
    return f"{number(found['median'])} ({number(found['min'])} to {number(found['max'])})"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:g}"


def keep(name: str, report: Mapping[str, object], page: str, picture: str = "") -> None:
    """All of it beside the benchmarks; the picture where there is one."""
    RESULTS.mkdir(exist_ok=True)
    kept = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    for suffix, text in {"json": kept, "md": page, "svg": picture}.items():
        if text:
            (RESULTS / f"{name}.{suffix}").write_text(text, encoding="utf-8")


def save(name: str, report: Mapping[str, object], page: str, brief: str, picture: str) -> None:
    """The same, and what is told in brief on the page for readers."""
    keep(name, report, page, picture)
    PAGE.write_text(told_anew(PAGE.read_text(encoding="utf-8"), name, brief), encoding="utf-8")


def told_anew(page: str, name: str, brief: str) -> str:
    """What stands between two comments of that name, put in other words."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"the page has no place for {name}"
    return f"{before}{begin}{brief}{end}{after}"
