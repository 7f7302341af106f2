"""Bounds what LiteLLM reads of a provider's answer, at the door through which all of it comes: the responses of httpx's
clients. Imported by `litellm_upstream` together with LiteLLM, to which httpx belongs.
"""

import zlib
from collections.abc import AsyncIterator
from typing import Final

import httpx

# What is decompressed at a time, so that little that comes cannot become much at once.
_PIECE_BYTES: Final = 256 * 1024
_INFLATED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS  # of gzip, or of zlib


class AnswerTooLargeError(ValueError):
    """More than an answer may have."""


def bound(client: httpx.AsyncClient, most_bytes: int) -> None:
    """From now on no response of the client has more bytes, decompressed: reading on raises AnswerTooLargeError."""

    async def bound_response(response: httpx.Response) -> None:
        if int(response.headers.get("content-length", "0")) > most_bytes:
            raise AnswerTooLargeError
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - an async client's are
        is_deflated = response.headers.get("content-encoding", "").strip().lower() in _INFLATED
        if is_deflated:
            del response.headers["content-encoding"]  # by which httpx would decompress it, all at once
        response.stream = _Bounded(response.stream, most_bytes, is_deflated=is_deflated)

    client.event_hooks = {
        **client.event_hooks,
        "response": [*client.event_hooks["response"], bound_response],
    }


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


async def _inflated(stream: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(_ANY_HEADER)
    try:
        async for part in stream:
            piece, rest = b"", part
            while rest or len(piece) == _PIECE_BYTES:
                piece = inflater.decompress(rest, _PIECE_BYTES)
                rest = inflater.unconsumed_tail
                yield piece
        yield inflater.flush()
    except zlib.error as exc:
        raise httpx.DecodingError(str(exc)) from exc
