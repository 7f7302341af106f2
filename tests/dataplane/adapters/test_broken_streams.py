"""What a provider has written before its connection ends is heard, though nobody was listening; and silence ends a
stream, but not while nobody waits for it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.budgets import FREE_OF_CHARGE
from tollway_api.reach import OWN
from tollway_dataplane.adapters.openai_upstream import open_upstream
from tollway_dataplane.core.completions import written_in_chunk
from tollway_dataplane.core.facts import Operation
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import Chunk, UpstreamCall

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(token: str) -> bytes:
    data = b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % token.encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


@asynccontextmanager
async def provider(*parts: bytes) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Writes these one after the other, and ends the connection when it is told to."""
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD + parts[0])
        await go_on.wait()
        writer.write(b"".join(parts[1:]))
        writer.close()
        ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}/v1", go_on
        finally:
            go_on.set()
            await ended.wait()


def call(endpoint: str, idle_s: float = 5.0) -> UpstreamCall:
    fields = {"messages": [{"role": "user", "content": "What is a fjord?"}]}
    return UpstreamCall(replace(FREE_OF_CHARGE, endpoint=endpoint), Operation.CHAT, fields, 5.0, idle_s)


async def listen(chunks: AsyncIterator[Chunk], heard: list[str]) -> None:
    async for chunk in chunks:
        heard.append(written_in_chunk(chunk.event))  # noqa: PERF401 - what came before a fault counts as well


@pytest.mark.parametrize("half", [b"", b"7\r\ndata: {\r\n"])
async def test_what_was_written_before_a_connection_broke_is_heard(half: bytes) -> None:
    async with (
        provider(_event("one"), _event("two"), _event("three"), half) as (endpoint, go_on),
        open_upstream(reach=OWN) as upstream,
        upstream.stream(call(endpoint)) as chunks,
    ):
        heard = [written_in_chunk((await anext(chunks)).event)]
        go_on.set()
        await asyncio.sleep(0.2)  # it all comes while nobody listens
        with pytest.raises(UpstreamFault, match="broke"):
            await listen(chunks, heard)
    assert heard == ["one", "two", "three"]


async def test_silence_ends_a_stream() -> None:
    async with (
        provider(_event("one")) as (endpoint, _),
        open_upstream(reach=OWN) as upstream,
        upstream.stream(call(endpoint, idle_s=0.2)) as chunks,
    ):
        heard: list[str] = []
        with pytest.raises(UpstreamFault, match="no answer in time"):
            await listen(chunks, heard)
    assert heard == ["one"]


async def test_signs_of_life_are_silence() -> None:
    """A provider that says nothing else has no more time than one that says nothing."""
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD + _event("one"))
        while not writer.is_closing():
            writer.write(b"4\r\n: .\n\r\n")
            await asyncio.sleep(0.02)
        ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with (
            open_upstream(reach=OWN) as upstream,
            upstream.stream(call(endpoint, idle_s=0.3)) as chunks,
        ):
            with pytest.raises(UpstreamFault, match="no answer in time"):
                await listen(chunks, [])
        await ended.wait()


async def test_who_reads_slowly_is_not_taken_for_a_silent_provider() -> None:
    async with (
        provider(_event("one"), _event("two"), b"e\r\ndata: [DONE]\n\n\r\n") as (endpoint, go_on),
        open_upstream(reach=OWN) as upstream,
        upstream.stream(call(endpoint, idle_s=0.5)) as chunks,
    ):
        heard = [written_in_chunk((await anext(chunks)).event)]
        await asyncio.sleep(1.2)
        go_on.set()
        await listen(chunks, heard)
    assert heard == ["one", "two"]


async def test_a_process_that_stands_still_takes_no_provider_for_silent() -> None:
    """What has come meanwhile is read before anybody is given up, and the stream goes on."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD + _event("one"))
        await asyncio.sleep(0.1)
        writer.write(_event("two"))
        time.sleep(0.6)  # noqa: ASYNC251 - nothing is read, and no timer looked at
        await asyncio.sleep(0.1)
        writer.write(_event("three") + b"e\r\ndata: [DONE]\n\n\r\n")
        writer.close()

    heard: list[str] = []
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with (
            open_upstream(reach=OWN) as upstream,
            upstream.stream(call(endpoint, idle_s=0.5)) as chunks,
        ):
            await listen(chunks, heard)
    assert heard == ["one", "two", "three"]
