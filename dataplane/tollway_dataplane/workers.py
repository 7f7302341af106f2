"""Several data planes on one machine: processes that share a port, each of which is started, started again when it has
died, and ended with the others. `supervising` puts them together; what they are and what they do is no business here.
"""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final, Protocol

from tollway_dataplane.logs import JsonLog

FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_SOUND_S: Final = 60.0  # who has lived for as long died of something new
_KILLED: Final = 128  # and the signal's number, as a shell says it


@dataclass(frozen=True, slots=True)
class Command:
    arguments: Sequence[str]
    environ: Mapping[str, str]


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
    gone. Whoever has not ended after `end_s` seconds is killed. Terminals send their signals to this process alone.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        log: JsonLog,
        end_s: float,
        restarted: Callable[[int], None],
        output: IO[str] | None = None,
    ) -> None:
        """`restarted` is told whose successor is started. `output` takes what they print; None: where we print."""
        self._commands = commands
        self._log = log
        self._end_s = end_s
        self._restarted = restarted
        self._output = output
        self._processes: dict[int, Process] = {}

    def pid(self, number: int) -> int | None:
        """Of the process that runs as this worker; None between one and the next."""
        process = self._processes.get(number)
        return process.pid if process is not None and process.returncode is None else None

    async def run(self, stop: asyncio.Event) -> int:
        """Keeps all of them running until `stop`, and then ends them. The worst of their exit statuses."""
        stopping = asyncio.create_task(stop.wait())
        try:
            keeping = (self._keep(number, stopping) for number, _ in enumerate(self._commands, start=1))
            return max(await asyncio.gather(*keeping))
        finally:
            stopping.cancel()
            for process in self._processes.values():
                with suppress(
                    ProcessLookupError
                ):  # only where we are cancelled, for then nobody waits any more
                    process.kill()

    async def _keep(self, number: int, stopping: asyncio.Task[bool]) -> int:
        clock, pause_s = asyncio.get_running_loop().time, FIRST_PAUSE_S
        while True:
            begun = clock()
            status = await self._one(number, stopping)
            if stopping.done():
                return status
            pause_s = FIRST_PAUSE_S if clock() - begun >= _SOUND_S else pause_s
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
        await asyncio.wait([ending, stopping], return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            return _status(process)
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait([ending], timeout=self._end_s)
        if not ending.done():
            self._log.warning("a worker is killed", worker=number, reason=f"it went on for {self._end_s:g} s")
            process.kill()
            await ending
        # One that is ended while it starts has not learned yet to do so in good order.
        return 0 if process.returncode == -signal.SIGTERM else _status(process)


def _status(process: Process) -> int:
    status = process.returncode or 0
    return _KILLED - status if status < 0 else status
