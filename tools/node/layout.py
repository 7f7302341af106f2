"""Where the node's files are and which addresses it has. One node a machine: its folder is in the cache folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.cluster_tools import cache_folder

NAME: Final = "node1"
ADDRESS: Final = "10.244.0.1"  # of the node, on the bridge that its pods are on
BRIDGE: Final = "cni0"
POD_SUBNET: Final = "10.244.0.0/24"
FIRST_POD: Final = "10.244.0.10"
NOWHERE: Final = "10.244.0.254"  # kubelet and apiserver want a default route; nobody is there
SERVICE_SUBNET: Final = "10.0.0.0/24"
API_SERVICE: Final = "10.0.0.1"
API_PORT: Final = 6443
METRICS_PORT: Final = 4443  # of metrics-server
API_URL: Final = f"https://{ADDRESS}:{API_PORT}"
CGROUP: Final = "tollway-node"  # all of its pods are below it
CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"  # /run is the node's own


@dataclass(frozen=True)
class Layout:
    root: Path

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def certificates(self) -> Path:
        return self.root / "certificates"

    @property
    def configuration(self) -> Path:
        return self.root / "configuration"

    @property
    def init_pid(self) -> Path:
        """Written when the node is up: its first process, as this machine numbers it."""
        return self.root / "init.pid"

    def running(self) -> int | None:
        """The process id of the node's init, when there is one."""
        try:
            pid = int(self.init_pid.read_text())
            command = Path("/proc", str(pid), "cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if b"tools.node.init" in command else None

    def entering(self) -> list[str]:
        """What stands before a command to run it on the node's network."""
        return ["nsenter", f"--net=/proc/{self.running()}/ns/net", "--"]

    def inside(self) -> list[str]:
        """What stands before a command to run it where containerd is."""
        return ["nsenter", f"--target={self.running()}", "--net", "--mount", "--pid", "--"]


def cgroups() -> list[Path]:
    """The node's, one in every hierarchy: there are several in version 1, and one in version 2."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return [root / CGROUP]
    # A controller may be reached by a second name, which is a link.
    return [each / CGROUP for each in root.iterdir() if each.is_dir() and not each.is_symlink()]


def layout() -> Layout:
    return Layout((cache_folder().parent / "node").resolve())
