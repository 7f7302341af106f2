"""What every saved result says of itself, so that runs can be compared over time: commit, machine, command and day. And
what a process has used, from /proc.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).parent / "results"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def stamp(module: str) -> dict[str, str]:
    """Of a run of `python -m MODULE` with the arguments of this process."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "command": " ".join(["python -m", module, *sys.argv[1:]]),
        "when": time.strftime("%Y-%m-%d"),
    }


def heading(title: str, stamped: Mapping[str, str]) -> list[str]:
    """First lines of a report."""
    return [
        f"# {title}",
        "",
        f"Commit {stamped['commit']}, {stamped['machine']}, {stamped['when']}; `{stamped['command']}`.",
        "",
    ]


def save(name: str, text: str, figures: Mapping[str, object], picture: str) -> None:
    """As NAME.md, NAME.json and, where there is a picture, NAME.svg."""
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if picture:
        (RESULTS / f"{name}.svg").write_text(picture, encoding="utf-8")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has had, of all its threads, in and for user code."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
