"""Installs the gateways of others, once, into the cache folder: LiteLLM Proxy from PyPI into an environment of its own,
Portkey's gateway from npm. A folder's name is the digest of the lock, so that a change of it installs anew.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.cluster_tools import cache_folder

LITELLM_LOCK: Final = Path(__file__).parent / "litellm-proxy.txt"
PORTKEY_LOCK: Final = Path(__file__).parent / "portkey" / "package-lock.json"


class PeerError(Exception):
    """A gateway cannot be installed here; the message says why and how to mend it."""


def litellm_proxy() -> Path:
    """The environment's `bin/litellm`. Raises PeerError."""
    folder = _folder("litellm-proxy", LITELLM_LOCK)
    if not (folder / "ready").exists():
        python = folder / "bin" / "python"
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        # --no-deps: the lock is complete.
        options = ("--no-deps", "--require-hashes", "--quiet", "--requirement", str(LITELLM_LOCK))
        _run(str(python), "-m", "pip", "install", *options)
        (folder / "ready").touch()
    return folder / "bin" / "litellm"


def portkey() -> Path:
    """The script that Node is started with. Raises PeerError."""
    if shutil.which("npm") is None:
        raise PeerError(
            "npm not found; install Node.js 20 or later, or leave Portkey out with --without portkey"
        )
    folder = _folder("portkey", PORTKEY_LOCK)
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PORTKEY_LOCK.parent / name, folder / name)
        # Nothing that is downloaded is run before the gateway itself.
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder))
        (folder / "ready").touch()
    return folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"


def _folder(name: str, lock: Path) -> Path:
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    return cache_folder().parent / "peers" / f"{name}-{digest[:12]}"


def _run(*command: str) -> None:
    print(f"==> {' '.join(command[:4])} … (once)", flush=True)
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as fault:
        raise PeerError(f"could not be installed: {fault}") from fault


if __name__ == "__main__":
    try:
        print(litellm_proxy(), portkey(), sep="\n")
    except PeerError as refused:
        sys.exit(str(refused))
