"""A TCP proxy that can be cut, to part two programs that go on running."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class Proxy:
    """Between whoever connects to `port` and the target. Runs in a thread of its own."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self._loop = asyncio.new_event_loop()
        self._pumps: set[asyncio.Task[None]] = set()
        self._cut = False
        self.port = 0

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Ends all connections and takes no new ones."""
        asyncio.run_coroutine_threadsafe(self._set(cut=True), self._loop).result(5)

    def restore(self) -> None:
        asyncio.run_coroutine_threadsafe(self._set(cut=False), self._loop).result(5)

    async def _set(self, *, cut: bool) -> None:
        self._cut = cut
        if cut:
            for pump in self._pumps:
                pump.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        pumps = {
            asyncio.create_task(_pump(reader, there_writer)),
            asyncio.create_task(_pump(there_reader, writer)),
        }
        self._pumps |= pumps
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._pumps -= pumps
        for end in (writer, there_writer):
            end.transport.abort()

    async def _run(self, stop: asyncio.Event, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        await self._set(cut=True)
        await asyncio.sleep(0.1)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    made, ready = Proxy(target), threading.Event()
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
