"""A true Kubernetes node for tests, on this machine and apart from it: `python -m tools.node up`.

etcd, the API server, controllers, scheduler, containerd, kubelet, kube-proxy and metrics-server run in network, mount
and process namespaces of their own. `run` brings a node up unless there is one, runs a command on its network, and
takes down what it brought up. It fails where anything is left of that.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tools.cluster_tools import BuildError, build, find
from tools.node import traces
from tools.node.certificates import write_credentials
from tools.node.components import metrics_api
from tools.node.images import ROOT, VALUES, build_images, import_images
from tools.node.layout import Layout, cgroups, layout

START_S = 240.0
STOP_S = 20.0
_PROGRAMS = {
    "buildah": "buildah", "debootstrap": "debootstrap", "runc": "runc", "iptables": "iptables",
    "conntrack": "conntrack", "ip": "iproute2", "nsenter": "util-linux", "openssl": "openssl",
}  # fmt: skip


def up(node: Layout) -> None:
    """Raises BuildError, which says what is missing."""
    _check_machine()
    build("apiserver", "helm", "node", "prometheus", "scaling")
    print("==> images", flush=True)
    archives = build_images()
    if node.running() is None:
        down(node)
        print("==> node", flush=True)
        write_credentials(node)
        _start(node)
        _apply(node, metrics_api())
    import_images(node, archives)


def down(node: Layout) -> None:
    """Raises BuildError where something of it is left."""
    inside = traces.namespaces(node)
    if (pid := node.running()) is not None:
        os.kill(pid, signal.SIGTERM)
        _until_gone(pid)
    for root in cgroups():
        for folder in sorted(root.glob("**/"), reverse=True):
            folder.rmdir()
    shutil.rmtree(node.root, ignore_errors=True)
    deadline = time.monotonic() + STOP_S
    while left := traces.left(node, inside):
        if time.monotonic() > deadline:
            raise BuildError("\n".join(["the node is down, and this is left of it:", *left]))
        time.sleep(0.1)


def _start(node: Layout) -> None:
    with (node.root / "init.log").open("wb") as output:
        process = subprocess.Popen(
            [*("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"),
             *(sys.executable, "-m", "tools.node.init", str(node.root))],
            stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    shown, deadline = 0, time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        children = (
            Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        )
        if children:
            node.init_pid.write_text(children[0], encoding="ascii")
        log = (node.root / "init.log").read_text(encoding="utf-8")
        print(log[shown:], end="", flush=True)
        shown = len(log)
        if (node.root / "up").exists():
            return
        time.sleep(0.2)
    log = (node.root / "init.log").read_text(encoding="utf-8")
    down(node) if process.poll() is None else None
    raise BuildError(f"the node did not come up; see {node.logs}:\n{log[shown:]}")


def _apply(node: Layout, objects: list[dict[str, Any]]) -> None:
    kubectl = [str(Path(sys.executable).with_name("kubectl")), "--kubeconfig", str(node.kubeconfig)]
    command = [*node.entering(), *kubectl, "apply", "-f", "-"]
    text = yaml.safe_dump_all(objects)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stderr}")


def _until_gone(pid: int) -> None:
    deadline = time.monotonic() + STOP_S
    while Path("/proc", str(pid)).exists():
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _check_machine() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise BuildError("a node needs Linux and root; run this as root, or give TOLLWAY_E2E_KUBECONFIG")
    missing = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    if not Path("/usr/lib/cni/bridge").exists():
        missing.append("containernetworking-plugins")
    if missing:
        raise BuildError(f"missing: apt-get install {' '.join(missing)}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.node", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["up", "down", "run"])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="of run")
    arguments = parser.parse_args()
    node = layout()
    try:
        match arguments.verb:
            case "up":
                up(node)
                print(_how_to_use(node))
            case "down":
                down(node)
            case "run":
                return _run(node, arguments.command)
    except BuildError as error:
        print(f"node: {error}", file=sys.stderr)
        return 1
    return 0


def _run(node: Layout, command: list[str]) -> int:
    ours, before = node.running() is None, traces.of_the_machine()
    try:
        up(node)
        environ = {**os.environ, "TOLLWAY_E2E_KUBECONFIG": str(node.kubeconfig)}
        return subprocess.run([*node.entering(), *command], env=environ, check=False).returncode
    finally:
        if ours:
            down(node)
            if changed := before ^ traces.of_the_machine():
                raise BuildError("\n".join(["not as before the node was up:", *sorted(changed)]))


def _how_to_use(node: Layout) -> str:
    enter = f"{' '.join(node.entering())} env KUBECONFIG={node.kubeconfig}"
    kubectl, helm = Path(sys.executable).with_name("kubectl"), f"{enter} {find('helm')['helm']}"
    charts = ROOT / "deploy" / "helm"
    return f"""
The node is up. Its network is apart from this machine's, so enter it to talk to it:

  {enter} {kubectl} get nodes

To install Tollway:

  {helm} install tollway-crds {charts}/tollway-crds
  {helm} install tollway {charts}/tollway -n tollway-system --create-namespace \\
      -f {charts}/tollway/values-trial.yaml -f {VALUES}

logs  {node.logs}
end   make cluster-down"""


if __name__ == "__main__":
    sys.exit(main())
