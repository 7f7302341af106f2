"""The node's first process, in network, mount and process namespaces of its own: it lays out what the programs want to
find, starts them one after the other, and collects what becomes orphaned. When it ends, for whatever reason, the kernel
ends everything that it started, and unmounts and unlinks with it.

Started by `tools.node` with the node's folder as its argument; prints what it does.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

from tools.cluster_tools import find
from tools.node.components import Component, components
from tools.node.layout import ADDRESS, API_URL, BRIDGE, CONTAINERD_SOCKET, NOWHERE, Layout, cgroups
from tools.node.traces import TUNED

READY_S = 120.0


def main() -> int:
    layout = Layout(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _tuning_restored():
        _mount(layout)
        _make_network()
        for cgroup in cgroups():
            cgroup.mkdir(exist_ok=True)
        pids = {}
        for name, component in components(layout, find("apiserver", "node")).items():
            pids[_start(layout, name, component)] = name
            _until_ready(layout, name, component)
        (layout.root / "up").touch()
        return _reap(pids)


def _reap(pids: dict[int, str]) -> int:
    while True:
        pid, status = os.wait()
        if pid in pids:
            print(f"{pids[pid]} ended with {os.waitstatus_to_exitcode(status)}", flush=True)
            return 1


def _mount(layout: Layout) -> None:
    """/run and /var are the node's own: programs have fixed places in them, and the machine's stay as they are."""
    upper, work = layout.root / "var" / "upper", layout.root / "var" / "work"
    for folder in (upper, work, layout.logs):
        folder.mkdir(parents=True)
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    _run("mount", "-t", "overlay", "-o", f"lowerdir=/var,upperdir={upper},workdir={work}", "overlay", "/var")


def _make_network() -> None:
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "address", "add", f"{ADDRESS}/24", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    _run("ip", "route", "add", "default", "via", NOWHERE, "dev", BRIDGE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")


def _start(layout: Layout, name: str, component: Component) -> int:
    # The programs that containerd and the kubelet run by name.
    path = os.pathsep.join((str(Path(component.command[0]).parent), os.environ["PATH"], "/usr/sbin", "/sbin"))
    with (layout.logs / f"{name}.log").open("ab") as output:
        process = subprocess.Popen(
            component.command, stdout=output, stderr=output, env={**os.environ, "PATH": path}
        )
    return process.pid


def _until_ready(layout: Layout, name: str, component: Component) -> None:
    began = time.monotonic()
    if name == "containerd":
        _wait_for(Path(CONTAINERD_SOCKET).exists, name)
    elif component.ready:
        user = yaml.safe_load(layout.kubeconfig.read_text(encoding="utf-8"))["users"][0]["user"]
        with httpx.Client(
            base_url=API_URL,
            headers={"authorization": f"Bearer {user['token']}"},
            verify=str(layout.certificates / "ca.crt"),
            trust_env=False,
        ) as client:
            _wait_for(lambda: _is_ready(client.get(component.ready)), name)
    print(f"    {name} {time.monotonic() - began:.1f} s", flush=True)


def _is_ready(reply: httpx.Response) -> bool:
    if not reply.is_success or "json" not in reply.headers["content-type"]:
        return reply.is_success
    status: dict[str, Any] = reply.json().get("status", {})
    return all(each["status"] == "True" for each in status.get("conditions", []) if each["type"] == "Ready")


def _wait_for(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if met():
                return
        time.sleep(0.1)
    raise SystemExit(f"{what} is not ready after {READY_S:.0f} s")


@contextlib.contextmanager
def _tuning_restored() -> Iterator[None]:
    paths = [path for name in TUNED if (path := Path("/proc/sys") / name).exists()]
    before = {path: path.read_text(encoding="ascii") for path in paths}
    try:
        yield
    finally:
        for path, value in before.items():
            with contextlib.suppress(OSError):
                path.write_text(value, encoding="ascii")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
