"""Tollway's own commands as processes, as a person or a container runs them."""

import contextlib
import multiprocessing
import os
import random
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx

from tollway_dataplane.server import ListenError, listen
from tollway_dataplane.settings import Address

# Below those that the system gives to connections, so that none takes one before whom it is meant for; and each
# process of a test run has its own, since a port may be asked for long before something listens at it.
_PORTS = range(15_000, 32_000)[
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16 :: 16
]
_ENDS_S = 60.0
_LOADED = multiprocessing.get_context("forkserver")
_LOADED.set_forkserver_preload(["tests.preloaded"])


def load_for_all() -> str:
    """Loads here what processes are forked from; where other processes of the test run find it."""
    server = forkserver._forkserver
    server.ensure_running()
    return str(server._forkserver_address)  # type: ignore[attr-defined]  # multiprocessing shares it with nobody


def fork_from(address: str) -> None:
    """From what another process of the test run has loaded, instead of loading it again."""
    server = forkserver._forkserver
    server.ensure_running = lambda: None  # type: ignore[method-assign]  # it runs
    server._forkserver_address = address  # type: ignore[attr-defined]  # multiprocessing shares it with nobody
    # It lives as long as who began it, for which it is given something to hold on to.
    server._forkserver_alive_fd = os.open(os.devnull, os.O_RDONLY)  # type: ignore[attr-defined]  # see above


def free_port() -> int:
    """On loopback; random, so that what was chosen and is not listened at yet is hardly chosen again."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """The same, and each of them another one."""
    found: list[int] = []
    for port in random.sample(_PORTS, 100):
        with contextlib.suppress(ListenError), listen(Address("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no port is free between {_PORTS.start} and {_PORTS.stop}")


def run(
    module: str, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, in a process that has loaded our libraries already: to load them takes two seconds
    of a processor, which is most of what a command does.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder, "out"), Path(folder, "err")
        forked = _forked(outputs, module, arguments, _environment(env))
        with _ended(forked):
            status = forked.wait(_ENDS_S)
        texts = (each.read_text(encoding="utf-8") for each in outputs)
        return subprocess.CompletedProcess([module, *arguments], status, *texts)


def run_alone(
    module: str, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The same of one that loads everything itself, as people start it."""
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=_ENDS_S,
        check=False,
        env=_environment(env),
    )


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "200", **(more or {})}


class Process:
    """A command that goes on; what it prints is in `output`."""

    def __init__(self, process: "subprocess.Popen[bytes] | Forked", log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def started(
    log: Path, module: str, *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[Process]:
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", module, *arguments],
            stdout=output,
            stderr=output,
            env=_environment(env),
            start_new_session=True,
        )
        with _ended(process):
            yield Process(process, log)


ProcessOf = Callable[[Path, str, Mapping[str, str]], contextlib.AbstractContextManager[Process]]


@contextlib.contextmanager
def forked(log: Path, module: str, env: Mapping[str, str], *arguments: str) -> Iterator[Process]:
    """The same of a process that has loaded our libraries already: that takes two seconds, and tests begin them a
    hundred times.
    """
    log.write_bytes(b"")
    forked = _forked((log, log), module, arguments, _environment(env))
    with _ended(forked):
        yield Process(forked, log)


class Forked:
    """A process of `multiprocessing`, used like one of `subprocess`."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, seconds: float) -> int:
        self._process.join(seconds)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, seconds)
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _forked(
    outputs: tuple[Path, Path], module: str, arguments: Sequence[str], env: Mapping[str, str]
) -> Forked:
    process = _LOADED.Process(target=_run_module, args=(outputs, module, arguments, env, Path.cwd()))
    process.start()
    return Forked(process)


def _run_module(
    outputs: tuple[Path, Path], module: str, arguments: Sequence[str], env: Mapping[str, str], folder: Path
) -> None:
    """`outputs` are its standard output and its standard error."""
    os.setsid()
    os.chdir(folder)
    for number, path in enumerate(outputs, start=1):
        with path.open("ab") as output:
            os.dup2(output.fileno(), number)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


@contextlib.contextmanager
def _ended(process: "subprocess.Popen[bytes] | Forked") -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def wait_for(met: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Looks often at first, and then less: what is asked needs the processor as well."""
    deadline, pause_s = time.monotonic() + seconds, 0.05
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if met():
                return
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.2)
    raise AssertionError(f"not within {seconds} seconds: {what}")


def children_of(pid: int) -> list[int]:
    """Processes whose parent is `pid`, from /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(status.parent.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
