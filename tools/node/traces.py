"""What a node could leave on the machine that it ran on. Each is a line for a person; where there are none, nothing is
left. Only what bears the node's names is looked at, since others have mounts and chains as well.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tools.node.layout import BRIDGE, Layout, cgroups

_PROC: Final = Path("/proc")
# The kubelet sets these for the whole machine.
TUNED: Final = (
    "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
)  # fmt: skip


def namespaces(node: Layout) -> frozenset[str]:
    """Those that the processes of a node that runs are in, its pods' too, and nobody else is."""
    inside = {each for pid in _descendants(node.running()) for each in _namespaces_of(pid)}
    return frozenset(inside - _namespaces_of(os.getpid()))


def left(node: Layout, inside: frozenset[str]) -> list[str]:
    """Of a node that was taken down, and that had these namespaces."""
    processes = [pid for pid in _processes() if _namespaces_of(pid) & inside]
    mounts = _PROC.joinpath("self", "mountinfo").read_text(encoding="utf-8").splitlines()
    return [
        *(f"process {pid}" for pid in processes),
        *(
            f"mount {line}"
            for line in mounts
            if str(node.root) in line or any(each in line for each in inside)
        ),
        *(f"folder {each}" for each in (node.root, *cgroups()) if each.exists()),
    ]


def of_the_machine() -> frozenset[str]:
    """What is the machine's own, and is to be after a node as it was before."""
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout.splitlines()
    interfaces = [each.name for each in Path("/sys/class/net").iterdir()]
    settings = [path for name in TUNED if (path := _PROC / "sys" / name).exists()]
    return frozenset(
        [
            *(f"chain {line.split()[0]}" for line in saved if line.startswith((":KUBE-", ":CNI-"))),
            *(f"interface {each}" for each in interfaces if each.startswith((BRIDGE, "veth"))),
            *(f"{path} = {path.read_text(encoding='ascii').strip()}" for path in settings),
        ]
    )


def _processes() -> Iterator[int]:
    for folder in _PROC.glob("[0-9]*"):
        yield int(folder.name)


def _descendants(pid: int | None) -> set[int]:
    """With itself."""
    found = {pid} if pid is not None else set()
    parents = {each: _parent_of(each) for each in _processes()}
    while more := {each for each, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _parent_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return int((_PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return None


def _namespaces_of(pid: int) -> set[str]:
    """As `net:[4026531840]`; those of a process that has just ended are none."""
    with contextlib.suppress(OSError):
        return {str((_PROC / str(pid) / "ns" / kind).readlink()) for kind in ("net", "mnt", "pid")}
    return set()
