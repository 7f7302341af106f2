"""What httpx reads of a reply is bounded by what it is once decompressed."""

import asyncio
import gzip
import os
import zlib
from collections.abc import AsyncIterator, Callable, Mapping

import httpx
import pytest

from tollway_dataplane.adapters.bounded_httpx import AnswerTooLargeError, bound

MOST_BYTES = 1024 * 1024


async def read(pieces: list[bytes], headers: Mapping[str, str], counted: list[int]) -> bytes:
    """A reply of these pieces; `counted` are those that were asked for."""

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            counted.append(len(piece))
            yield piece

    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=body()))
    async with httpx.AsyncClient(transport=transport) as client:
        statuses: list[int] = []
        bound(client, MOST_BYTES, statuses.append)
        try:
            return (await client.get("http://provider/")).content
        finally:
            assert statuses == [200]


def in_pieces(data: bytes, length: int) -> list[bytes]:
    return [data[place : place + length] for place in range(0, len(data), length)]


@pytest.mark.parametrize("length", [1, 1_000, MOST_BYTES])
@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("identity", bytes), ("gzip", gzip.compress), ("X-GZip ", gzip.compress), ("deflate", zlib.compress)],
)
async def test_what_is_no_more_comes_as_it_was(
    encoding: str, compress: Callable[[bytes], bytes], length: int
) -> None:
    said = os.urandom(500) + b"a" * (MOST_BYTES - 500 if length > 1 else 5_000)
    pieces = in_pieces(compress(said), length)
    assert await read(pieces, {"content-encoding": encoding}, []) == said


@pytest.mark.parametrize(
    ("encoding", "compress"), [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_of_what_is_more_the_rest_is_not_read(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    pieces, counted = in_pieces(compress(b"a" * 50 * MOST_BYTES), 1_000), list[int]()
    with pytest.raises(AnswerTooLargeError):
        await read(pieces, {"content-encoding": encoding}, counted)
    assert len(counted) <= len(pieces) // 10


async def test_what_says_that_it_is_more_is_not_read_at_all() -> None:
    counted: list[int] = []
    with pytest.raises(AnswerTooLargeError):
        await read([b"a"], {"content-length": str(MOST_BYTES + 1)}, counted)
    assert not counted


async def test_one_byte_more_is_too_much() -> None:
    with pytest.raises(AnswerTooLargeError):
        await read([b"a"] * 2 + [b"a" * (MOST_BYTES - 1)], {}, [])


async def test_what_is_not_compressed_although_it_says_so_cannot_be_read() -> None:
    with pytest.raises(httpx.DecodingError):
        await read([b"plain"], {"content-encoding": "gzip"}, [])


async def test_what_comes_after_the_end_of_what_is_compressed_is_not_kept() -> None:
    """It would be counted as nothing, however much it is."""
    pieces, counted = [gzip.compress(b"said"), *[b"a" * 1_000] * 1_000], list[int]()
    assert await read(pieces, {"content-encoding": "gzip"}, counted) == b"said"
    assert len(counted) <= 2


async def test_others_have_their_turn_while_much_is_decompressed() -> None:
    turns, is_over = 0, asyncio.Event()

    async def count() -> None:
        nonlocal turns
        while not is_over.is_set():
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await read([gzip.compress(b"a" * MOST_BYTES)], {"content-encoding": "gzip"}, [])
    is_over.set()
    await counting
    assert turns >= 4
