"""What a process and those that it has begun take of the machine, from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.processes import children_of

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pids: Iterable[int]) -> float:
    """Processor seconds until now, user's and system's, of living processes and of those of theirs that have ended."""
    return sum(sum(map(int, _fields(pid)[11:15])) for pid in pids) / _TICKS


def resident_mb(pids: Iterable[int]) -> float:
    """In MB of 10^6 bytes. What processes share counts for each."""
    return sum(int(_fields(pid)[21]) for pid in pids) * _PAGE / 1e6


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    return [pid, *(each for child in children_of(pid) for each in tree(child))]


def _fields(pid: int) -> list[str]:
    """Of `stat`, from the state on: what stands before may have blanks of its own."""
    return Path("/proc", str(pid), "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
