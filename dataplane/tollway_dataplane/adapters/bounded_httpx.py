"""Bounds what LiteLLM reads of a provider's answer and whom it asks at all, at the door through which all of it goes:
httpx's clients. Imported by `litellm_upstream` together with LiteLLM, to which httpx belongs.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import httpcore
import httpx

from tollway_api.reach import Reach
from tollway_dataplane.adapters.answer_bounds import CONNECT_TIMEOUT_S
from tollway_dataplane.adapters.event_streams import Lines

# What is decompressed at a time, so that little that comes cannot become much at once.
_PIECE_BYTES: Final = 256 * 1024
_INFLATED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS  # of gzip, or of zlib


class AnswerTooLargeError(ValueError):
    """More than an answer may have."""


def bound(client: httpx.AsyncClient, most_bytes: int, note_status: Callable[[int], None]) -> None:
    """From now on no response of the client has more bytes, decompressed: reading on raises AnswerTooLargeError. The
    status of each is told, in the context of whoever asks.
    """

    async def bound_response(response: httpx.Response) -> None:
        note_status(response.status_code)
        if int(response.headers.get("content-length", "0")) > most_bytes:
            raise AnswerTooLargeError
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - an async client's are
        is_deflated = response.headers.get("content-encoding", "").strip().lower() in _INFLATED
        if is_deflated:
            del response.headers["content-encoding"]  # by which httpx would decompress it, all at once
        response.stream = _Bounded(response.stream, most_bytes, is_deflated=is_deflated)
        # httpx ends a line also at signs that JSON may have in a text as they are, such as U+2028.
        response.aiter_lines = partial(_lines, response, most_bytes)  # type: ignore[method-assign]  # see above

    client.event_hooks = {
        **client.event_hooks,
        "response": [*client.event_hooks["response"], bound_response],
    }


class ForbiddenAddressError(httpcore.ConnectError):
    """Of a host that has no address that may be asked."""


def confine(client: httpx.AsyncClient, reach: Reach) -> None:
    """From now on the client connects to nobody else, and follows no redirect, which would carry keys along."""
    client.follow_redirects = False
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - LiteLLM makes it, and has no word for it
        if transport is None:
            continue
        assert isinstance(transport, httpx.AsyncHTTPTransport)  # noqa: S101 - LiteLLM's are, as it is told
        pool = transport._pool  # noqa: SLF001 - see above
        backend = pool._network_backend  # noqa: SLF001 - see above
        free = backend.free if isinstance(backend, _Confined) else backend
        pool._network_backend = _Confined(free, reach)  # noqa: SLF001 - see above


class _Confined(httpcore.AsyncNetworkBackend):
    """Connects to addresses that it has looked at itself, whatever the name means by then, and waits for a connection
    no longer than a direct call does: LiteLLM has one time for all of an attempt.
    """

    def __init__(self, backend: httpcore.AsyncNetworkBackend, reach: Reach) -> None:
        self.free = backend
        self._reach = reach

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._connected(host, port, timeout, local_address, socket_options)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout from exc

    async def _connected(
        self,
        host: str,
        port: int,
        within_s: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        fault: httpcore.ConnectError | httpcore.ConnectTimeout = ForbiddenAddressError()
        addresses = dict.fromkeys(str(each[4][0]) for each in found)
        allowed = [each for each in addresses if self._reach.allows(each, host)]
        for number, address in enumerate(allowed, start=1):
            # One that is dead leaves the others their share of the time.
            share_s = CONNECT_TIMEOUT_S / len(allowed) if number < len(allowed) else within_s
            try:
                stream = await self.free.connect_tcp(address, port, share_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                fault = exc
            else:
                return _Impatient(stream)
        raise fault

    async def sleep(self, seconds: float) -> None:
        await self.free.sleep(seconds)


class _Impatient(httpcore.AsyncNetworkStream):
    """A connection of which the handshake is bounded as well."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's signature
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        within_s = CONNECT_TIMEOUT_S if timeout is None else min(timeout, CONNECT_TIMEOUT_S)
        return await self._stream.start_tls(ssl_context, server_hostname, within_s)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, most_bytes: int, *, is_deflated: bool) -> None:
        self._stream = stream
        self._most_bytes = most_bytes
        self._is_deflated = is_deflated

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for piece in _inflated(self._stream) if self._is_deflated else self._stream:
            length += len(piece)
            if length > self._most_bytes:
                raise AnswerTooLargeError
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _lines(response: httpx.Response, most_bytes: int) -> AsyncGenerator[str, None]:
    """The last one also where it has not ended."""
    lines = Lines(most_bytes)
    async with aclosing(_ended(response)) as parts:
        async for part in parts:
            for line in lines.read(part):
                yield line.decode(errors="replace")


async def _ended(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for part in response.aiter_bytes():
        yield part
    yield b"\n"


async def _inflated(stream: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(_ANY_HEADER)
    try:
        async for part in stream:
            if inflater.eof:
                break  # the decompressor would keep what comes then, and nobody count it
            piece, rest = b"", part
            while rest or len(piece) == _PIECE_BYTES:
                piece = inflater.decompress(rest, _PIECE_BYTES)
                rest = inflater.unconsumed_tail
                yield piece
                await asyncio.sleep(0)  # a part may be very much, which would keep everybody waiting
        yield inflater.flush()
    except zlib.error as exc:
        raise httpx.DecodingError(str(exc)) from exc
