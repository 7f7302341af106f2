"""A TCP proxy that can be cut, to part two programs that go on running, or that spoils every answer in one way."""

import asyncio
import contextlib
import enum
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

# The caller reads what came before it hears of a reset, which would be heard first.
_BEFORE_RESET_S: Final = 3.0
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Ending(enum.Enum):
    """Of the connection to the caller."""

    RESET = "reset"
    CLOSED = "closed"
    HALF_CLOSED = "half-closed"  # what the caller says still arrives
    SILENT = "silent"


@dataclass(frozen=True)
class Fault:
    """Of an answer its caller has what ends with the first `after`, at most `at_once` bytes of it at a time, and then
    that. Without an ending it is passed on whole.
    """

    after: bytes = b""
    ending: Ending | None = None
    at_once: int = 65_536


@dataclass(eq=False)
class _Connection:
    """`ask` and `answer` say whether what is said is passed on."""

    asked_at: float = field(default_factory=time.monotonic)
    silent: bool = False
    unanswered: bool = False

    def ask(self) -> bool:
        self.asked_at = time.monotonic()
        return not self.silent

    def answer(self) -> bool:
        return not self.silent and not self.unanswered


class Proxy:
    """Between whoever connects to `port` and the target. Runs in a thread of its own."""

    def __init__(self, target: str, tls: ssl.SSLContext | None = None, fault: Fault | None = None) -> None:
        parts = urlsplit(target)
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self._tls = tls
        self._fault = fault
        self._loop = asyncio.new_event_loop()
        self._pumps: set[asyncio.Task[None]] = set()
        self._connections: set[_Connection] = set()
        self._cut = False
        self._mute = False
        self.port = 0

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Ends all connections and takes no new ones."""
        asyncio.run_coroutine_threadsafe(self._set(cut=True), self._loop).result(5)

    def point_at(self, target: str) -> None:
        """Whoever connects from now on is at another target, and nobody is at this one any more."""
        self.cut()
        parts = urlsplit(target)
        self._host, self._port = parts.hostname, parts.port
        self.restore()

    def restore(self) -> None:
        asyncio.run_coroutine_threadsafe(self._set(cut=False), self._loop).result(5)

    def silence(self, after_s: float) -> None:
        """Lets nothing more through, without a word, on connections whose caller has said nothing for so long. Of a
        program that watches, those are its watches.
        """
        asyncio.run_coroutine_threadsafe(self._silence(after_s), self._loop).result(5)

    def lose_replies(self) -> None:
        """What is asked on the connections that there are arrives, and nobody hears what comes of it."""
        asyncio.run_coroutine_threadsafe(self._lose_replies(), self._loop).result(5)

    def mute(self, *, on: bool) -> None:
        """While it is on, nobody hears anything, also on new connections, which are still made."""
        asyncio.run_coroutine_threadsafe(self._mute_all(on=on), self._loop).result(5)

    async def _mute_all(self, *, on: bool) -> None:
        self._mute = on
        for connection in self._connections:
            connection.unanswered = on

    async def _lose_replies(self) -> None:
        for connection in self._connections:
            connection.unanswered = True

    async def _silence(self, after_s: float) -> None:
        for connection in self._connections:
            connection.silent |= time.monotonic() - connection.asked_at > after_s

    async def _set(self, *, cut: bool) -> None:
        self._cut = cut
        if cut:
            for pump in self._pumps:
                pump.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(unanswered=self._mute)
        answering = (
            _spoil(there_reader, writer, self._fault)
            if self._fault
            else _pump(there_reader, writer, connection.answer)
        )
        pumps = {
            asyncio.create_task(_pump(reader, there_writer, connection.ask)),
            asyncio.create_task(answering),
        }
        self._pumps |= pumps
        self._connections.add(connection)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._pumps -= pumps
        self._connections.discard(connection)
        for end in (writer, there_writer):
            end.transport.abort()

    async def _run(self, stop: asyncio.Event, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        await self._set(cut=True)
        await asyncio.sleep(0.1)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[], bool]
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            if passes():
                writer.write(data)
                await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Aborting alone is an orderly close to the other end, where all that it said was read."""
    end = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


async def _spoil(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
    """Waits for all that the target says, which ends by itself."""
    with contextlib.suppress(OSError):
        answer = await reader.read()
        passed = answer[: answer.index(fault.after) + len(fault.after)] if fault.ending else answer
        for begin in range(0, len(passed), fault.at_once):
            writer.write(passed[begin : begin + fault.at_once])
            await writer.drain()
            await asyncio.sleep(0)
        match fault.ending:
            case Ending.RESET:
                await asyncio.sleep(_BEFORE_RESET_S if passed else 0)
                reset(writer)
            case Ending.HALF_CLOSED:
                writer.write_eof()
                await asyncio.Event().wait()  # until its caller is gone
            case Ending.SILENT:
                await asyncio.Event().wait()


@contextlib.contextmanager
def proxy(target: str, tls: ssl.SSLContext | None = None, fault: Fault | None = None) -> Iterator[Proxy]:
    """With `tls` callers speak TLS to it, and it speaks to the target without."""
    made, ready = Proxy(target, tls, fault), threading.Event()
    stop = asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(made._loop)
        made._loop.run_until_complete(made._run(stop, ready))
        made._loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(10)
    try:
        yield made
    finally:
        made._loop.call_soon_threadsafe(stop.set)
        thread.join()
