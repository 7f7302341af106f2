"""Several data planes on one machine: processes that share a port, each of which is started, started again when it has
died or does not answer any more, and ended with the others. `supervising` puts them together; what they are and what
they do is no business here.
"""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final, Protocol

from tollway_dataplane.errors import TollwayError
from tollway_dataplane.logs import JsonLog

_LONGEST_PAUSE_S: Final = 30.0
_SOUND_S: Final = 60.0  # who has lived for as long died of something new
_KILLED: Final = 128  # and the signal's number, as a shell says it


@dataclass(frozen=True, slots=True)
class Command:
    arguments: Sequence[str]
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Patience:
    """With workers. What is counted in questions and not by a clock is not used up while all of us are paused."""

    end_s: float  # after SIGTERM
    first_pause_s: float = 0.5  # before the next start
    ask_every_s: float = 2.0
    # In a row without an answer. With the deadline of each, half a minute, as a pod's liveness probe has.
    silences: int = 4
    starts: int = 5  # in a row of one that never answered, while no other does


class WorkersError(TollwayError):
    """None can be started."""


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Ports(Protocol):
    """The admin ports of workers, by their numbers, which begin with 1."""

    @property
    def numbers(self) -> Sequence[int]: ...

    async def ask(
        self, number: int, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> WorkerAnswer | None:
        """None where it does not answer in time, as one that is being started."""


class Workers:
    """Each is told to end by SIGTERM, and by the end of its standard input, which is what it sees when this process is
    gone. Who does not answer any more is killed, and so is who goes on after SIGTERM; for how long, `patience` says.
    Who does not listen yet may be waiting for its first snapshot. Terminals send their signals to this process alone.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        log: JsonLog,
        patience: Patience,
        lives: Callable[[int], Awaitable[bool | None]],
        restarted: Callable[[int], None],
        output: IO[str] | None = None,
    ) -> None:
        """`lives` says whether a worker answers, and None where it does not listen. `restarted` is told whose successor
        is started. `output` takes what they print; None: where we print.
        """
        self._commands = commands
        self._log = log
        self._patience = patience
        self._lives = lives
        self._restarted = restarted
        self._output = output
        self._processes: dict[int, Process] = {}
        self._sound: set[int] = set()  # of which the process that runs has answered
        self._trouble = ""

    def pid(self, number: int) -> int | None:
        """Of the process that runs as this worker; None between one and the next."""
        process = self._processes.get(number)
        return process.pid if process is not None and process.returncode is None else None

    async def run(self, stop: asyncio.Event) -> int:
        """Keeps all of them running until `stop`, and then ends them. The worst of their exit statuses. Where none can
        be started it sets `stop` itself, and raises WorkersError.
        """
        stopping = asyncio.create_task(stop.wait())
        try:
            keeping = (self._keep(number, stop, stopping) for number, _ in enumerate(self._commands, start=1))
            status = max(await asyncio.gather(*keeping))
        finally:
            stopping.cancel()
            for process in self._processes.values():
                with suppress(
                    ProcessLookupError
                ):  # only where we are cancelled, for then nobody waits any more
                    process.kill()
        if self._trouble:
            raise WorkersError(self._trouble)
        return status

    async def _keep(self, number: int, stop: asyncio.Event, stopping: asyncio.Task[bool]) -> int:
        clock, pause_s = asyncio.get_running_loop().time, self._patience.first_pause_s
        failed = 0
        while True:
            begun = clock()
            status = await self._one(number, stopping)
            failed = 0 if number in self._sound else failed + 1
            self._sound.discard(number)
            if stopping.done():
                return status
            if failed >= self._patience.starts and not self._sound:
                self._trouble = (
                    f"no worker can be started: worker {number} has ended {failed} times before it could "
                    f"answer, at last with status {status}; it says above why"
                )
                stop.set()
                return status
            if clock() - begun >= _SOUND_S:
                pause_s = self._patience.first_pause_s
            self._log.warning("a worker has ended", worker=number, status=status, next_one_in_s=pause_s)
            await asyncio.wait([stopping], timeout=pause_s)
            if stopping.done():
                return status
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._restarted(number)

    async def _one(self, number: int, stopping: asyncio.Task[bool]) -> int:
        """From its start to its end, by itself or because all are to. Its exit status."""
        command = self._commands[number - 1]
        try:
            process = await asyncio.create_subprocess_exec(
                *command.arguments,
                env=command.environ,
                stdin=PIPE,
                stdout=self._output,
                stderr=None,
                start_new_session=True,
            )
        except OSError as error:  # no memory or no process is left, for now
            self._log.warning("a worker cannot be started", worker=number, reason=error.strerror)
            return 1
        self._processes[number] = process
        ending = asyncio.create_task(process.wait())
        silent = asyncio.create_task(self._silent(number))
        await asyncio.wait([ending, silent, stopping], return_when=asyncio.FIRST_COMPLETED)
        silent.cancel()
        if ending.done():
            return _status(process)
        if not stopping.done():
            await self._kill(number, process, "it does not answer any more")
            return _status(process)
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait([ending], timeout=self._patience.end_s)
        if not ending.done():
            await self._kill(number, process, f"it went on for {self._patience.end_s:g} s")
        # One that is ended while it starts has not learned yet to do so in good order.
        return 0 if process.returncode == -signal.SIGTERM else _status(process)

    async def _silent(self, number: int) -> None:
        """Returns when one that listens, or has answered, does not answer any more."""
        silences = 0
        while silences < self._patience.silences:
            await asyncio.sleep(self._patience.ask_every_s)
            lives = await self._lives(number)
            if lives:
                self._sound.add(number)
                silences = 0
            elif lives is False or number in self._sound:
                silences += 1

    async def _kill(self, number: int, process: Process, why: str) -> None:
        self._log.warning("a worker is killed", worker=number, reason=why)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _status(process: Process) -> int:
    status = process.returncode or 0
    return _KILLED - status if status < 0 else status
