"""A POST and the reply to it, over aiohttp's connections but without its session, which can do much that is not wanted
here, such as cookies and redirects, and takes two or three times as long. Used by `openai_upstream`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

# Whoever asks has times of its own; aiohttp's timers take longer to set, and there would be one for each piece.
_UNTIMED: Final = aiohttp.ClientTimeout(total=None)
_READ_BUFFER: Final = 256 * 1024
# Servers give up a kept connection when they like, as uvicorn's and Node's do after five seconds, and a request that
# crosses their word for it is not read. So one that ends without a byte this soon after it was asked has not answered:
# later it may have been at work (RFC 9112, section 9.3.1, leaves it to who knows that nothing was done).
_GIVEN_UP_WITHIN_S: Final = 1.0
_ENDED: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class _Handler(ResponseHandler):
    """aiohttp's resumes its reading and parsing after each piece that is taken of a reply, and at its end, also where
    they were not paused, as they hardly ever are: a fourth of what it takes to receive a piece of a stream.
    """

    def resume_reading(self, *arguments: Any, **named: Any) -> None:
        if self._reading_paused:
            super().resume_reading(*arguments, **named)


class Connections(aiohttp.TCPConnector):
    """Has one time for the look-up of a host, all its addresses and the handshake: aiohttp would wait for the first as
    long as it takes, and for each of the others anew. To wait for a connection that others have is another matter.
    """

    def __init__(self, within_s: float, **more: Any) -> None:
        super().__init__(**more)
        self._factory = cast("partial[ResponseHandler]", partial(_Handler, loop=self._loop))
        self._within_s = within_s
        self.made = 0

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> ResponseHandler:
        self.made += 1
        try:
            async with asyncio.timeout(self._within_s):
                return await super()._create_connection(req, traces, timeout)
        except TimeoutError as exc:
            raise aiohttp.ConnectionTimeoutError from exc


class Target:
    """Where to post to: what is the same of each request that goes there."""

    def __init__(self, url: URL) -> None:
        self.request = aiohttp.ClientRequest("POST", url)  # by which connections are found
        self.headers = {name.lower(): value for name, value in self.request.headers.items()}
        self._first_line = f"POST {url.raw_path_qs} HTTP/1.1"

    def message(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """Names are in lower case. Raises ValueError for a header that would be more than one."""
        fields = {**self.headers, **headers, "content-length": str(len(body))}
        lines = [self._first_line, *[f"{name}: {value}" for name, value in fields.items()], "", ""]
        head = "\r\n".join(lines)
        if head.count("\r") != len(lines) - 1 or head.count("\n") != len(lines) - 1 or "\0" in head:
            raise ValueError("a header has a line break in it")
        return head.encode() + body


@dataclass(slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # by names in any letter case
    content: aiohttp.StreamReader
    connection: aiohttp.connector.Connection


class Exchange:
    """Its reply, of which all has come that is known when its head has. The connection is kept for others where the
    reply was read to its end. Raises what aiohttp does.
    """

    __slots__ = ("_connections", "_message", "_reply", "_target")

    def __init__(self, connections: Connections, target: Target, message: bytes) -> None:
        self._connections = connections
        self._target = target
        self._message = message

    async def __aenter__(self) -> Reply:
        """Sends it again, over another connection, where it went into one that its provider has given up."""
        made, clock = self._connections.made, asyncio.get_running_loop().time
        connection = await self._connect()
        is_kept, began = self._connections.made == made, clock()
        try:
            self._reply = await self._answer(connection)
        except _ENDED as exc:
            if not is_kept or clock() - began >= _GIVEN_UP_WITHIN_S or _had_begun(exc):
                raise
            self._reply = await self._answer(await self._connect())
        self._message = b""  # of which a stream that lasts has no more use
        return self._reply

    async def __aexit__(self, *_: object) -> None:
        connection = self._reply.connection
        transport = connection.transport
        if transport is not None and transport.get_write_buffer_size():
            connection.close()  # answered before all was sent
        else:
            connection.release()

    async def _connect(self) -> aiohttp.connector.Connection:
        return await self._connections.connect(self._target.request, [], _UNTIMED)

    async def _answer(self, connection: aiohttp.connector.Connection) -> Reply:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            connection.close()
            raise aiohttp.ClientConnectionResetError("the connection ended as soon as it was made")
        try:
            protocol.set_response_params(read_until_eof=True, read_bufsize=_READ_BUFFER)
            transport.write(self._message)
            head, content = await protocol.read()
            # Not the answer yet, but for a change of protocols, which nobody has asked for.
            while 100 <= head.code < 200 and head.code != 101:
                head, content = await protocol.read()
        except BaseException:
            connection.close()
            raise
        return Reply(head.code, head.headers, content, connection)


def _had_begun(exc: aiohttp.ClientError) -> bool:
    """Whether some of an answer's head had come, which aiohttp hands over in place of a sentence."""
    return isinstance(exc, aiohttp.ServerDisconnectedError) and not isinstance(exc.message, str)
