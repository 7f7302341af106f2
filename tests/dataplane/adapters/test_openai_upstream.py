"""What an OpenAI-compatible endpoint sends is bounded, however much it sends, and read however it comes; how long it is
looked for; what becomes of a connection that was kept, and that calls do not wait for each other.
"""

import asyncio
import gzip
import json
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NoReturn

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.dataplanes import Setup, compiled
from tests.faulty_provider import completion, events
from tests.servers import served
from tollway_api.meta import ModelName
from tollway_api.reach import OWN
from tollway_api.routing_policy import FallbackTrigger
from tollway_dataplane.adapters import http_exchange
from tollway_dataplane.adapters.openai_upstream import OpenAIUpstream, open_upstream
from tollway_dataplane.core.facts import Operation
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import UpstreamCall

MOST_BYTES = 100_000


async def endless(request: Request) -> StreamingResponse:
    """A provider that goes on and on, in a stream's small events or in one body."""
    is_stream = (await request.json()).get("stream")
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "on and on"}}]}\n\n'

    async def events() -> AsyncIterator[bytes]:
        while True:
            yield event if is_stream else b" " * 1_000
            await asyncio.sleep(0)

    return StreamingResponse(events(), media_type="text/event-stream" if is_stream else "application/json")


async def heard(upstream: OpenAIUpstream, call: UpstreamCall, *, stream: bool) -> int:
    """Bytes of a stream's events."""
    if not stream:
        await upstream.complete(call)
        return 0
    length = 0
    try:
        async with upstream.stream(call) as chunks:
            async for chunk in chunks:
                length += len(chunk.data)
    finally:
        assert length <= MOST_BYTES
    return length


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_an_end_is_none(*, stream: bool) -> None:
    with served(Starlette(routes=[Route("/v1/chat/completions", endless, methods=["POST"])])) as url:
        model = compiled(Setup(f"{url}/v1", f"{url}/v1").objects()).policies[0].models[ModelName("cheap")]
        call = UpstreamCall(model, Operation.CHAT, {"messages": []}, timeout_s=60.0, idle_s=60.0)
        async with open_upstream(most_bytes=MOST_BYTES, reach=OWN) as upstream:
            with pytest.raises(UpstreamFault, match="has no end") as caught:
                await heard(upstream, call, stream=stream)
    assert (caught.value.trigger, caught.value.may_have_run) == (FallbackTrigger.SERVER_ERROR, True)


@pytest.fixture
async def lost_name(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A host whose look-up does not end before the test does."""
    asked = asyncio.Event()

    async def look_up(*_: object, **__: object) -> NoReturn:
        await asked.wait()
        raise OSError("too late")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    yield "http://lost.example.com/v1"
    asked.set()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_look_up_that_hangs_is_waited_for_as_long_as_a_connection(
    lost_name: str, *, stream: bool
) -> None:
    model = compiled(Setup(lost_name, lost_name).objects()).policies[0].models[ModelName("cheap")]
    call = UpstreamCall(model, Operation.CHAT, {"messages": []}, timeout_s=600.0, idle_s=600.0)
    async with open_upstream(connect_s=0.05) as upstream:
        with pytest.raises(UpstreamFault, match="could not connect") as caught:
            await heard(upstream, call, stream=stream)
    assert (caught.value.trigger, caught.value.may_have_run) == (FallbackTrigger.CONNECTION, False)


Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def wire(answering: Answering) -> AsyncIterator[UpstreamCall]:
    """A call to a provider that is a function of the bytes on a connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answering(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # its caller has what it wants
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        model = compiled(Setup(url, url).objects()).policies[0].models[ModelName("cheap")]
        yield UpstreamCall(model, Operation.CHAT, {"messages": []}, timeout_s=60.0, idle_s=60.0)


async def take_request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))


def reply(status: int, body: bytes, *headers: str) -> bytes:
    head = "".join(f"{each}\r\n" for each in (f"content-length: {len(body)}", *headers))
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_that_comes_in_pieces_is_read_whole(*, stream: bool) -> None:
    sentence = {"error": {"message": "Too long.", "code": "context_length_exceeded"}}
    whole = reply(400, json.dumps(sentence).encode())
    gone_on = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        writer.write(whole[:-40])
        await asyncio.wait_for(gone_on.wait(), 10)
        writer.write(whole[-40:])

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        asked = asyncio.create_task(heard(upstream, call, stream=stream))
        await asyncio.sleep(0.1)
        gone_on.set()
        with pytest.raises(UpstreamFault, match="Too long") as caught:
            await asked
    assert caught.value.trigger is FallbackTrigger.CONTEXT_OVERFLOW


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_whose_sentence_does_not_come_is_known_by_its_status(*, stream: bool) -> None:
    whole = reply(429, b'{"error": {}}', "retry-after: 7")
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        writer.write(whole[:-4])
        await ended.wait()

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        with pytest.raises(UpstreamFault) as caught:
            await heard(upstream, call, stream=stream)
        ended.set()
    assert (caught.value.trigger, caught.value.retry_after_s) == (FallbackTrigger.RATE_LIMIT, 7)


async def test_what_little_becomes_much_of_keeps_nobody_waiting() -> None:
    """A body of 128 kB that is 128 MB when it is decompressed: others have their turn while it is."""
    bomb = gzip.compress(b" " * 128 * 1024 * 1024, 1)
    turns = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        writer.write(reply(200, bomb, "content-encoding: gzip"))

    async with wire(answer) as call, open_upstream(most_bytes=64 * 1024 * 1024, reach=OWN) as upstream:
        asked = asyncio.create_task(upstream.complete(call))
        while not asked.done():
            turns += 1
            await asyncio.sleep(0)
        with pytest.raises(UpstreamFault, match="has no end"):
            await asked
    assert turns > 64


async def test_an_answer_whose_reading_has_to_pause_comes_whole() -> None:
    """One of 16 MB, of which few are kept until they are taken."""
    text = "fjord " * 2_700_000

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        writer.write(reply(200, gzip.compress(completion(text), 1), "content-encoding: gzip"))

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        assert (await upstream.complete(call)).answer_text == text


async def test_a_content_type_is_one_in_capitals_too() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        writer.write(reply(200, b"".join(events("Tuesday")), "Content-Type: Text/Event-Stream"))

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        assert await heard(upstream, call, stream=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_choice_that_failed_is_no_answer(*, stream: bool) -> None:
    """As OpenRouter says it, within a success."""
    failed = {"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "Overloaded."}}
    said = json.dumps({"choices": [{**failed, "delta" if stream else "message": {"content": ""}}]}).encode()
    body = b"data: " + said + b"\n\n" if stream else said
    kind = "text/event-stream" if stream else "application/json"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        writer.write(reply(200, body, f"content-type: {kind}"))

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        with pytest.raises(UpstreamFault) as caught:
            await heard(upstream, call, stream=stream)
    assert caught.value.trigger is FallbackTrigger.SERVER_ERROR


@pytest.mark.parametrize("prompt", ["Hello", "x" * 1_000_000], ids=["short", "a megabyte"])
@pytest.mark.parametrize("is_read", [False, True], ids=["unread", "read"])
async def test_what_went_into_a_connection_that_was_given_up_is_sent_again(
    prompt: str, *, is_read: bool
) -> None:
    """Each connection is kept after its first answer, and closed when it is to be used again."""
    answered = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        await take_request(reader)
        answered += 1
        writer.write(reply(200, completion("Tuesday"), "content-type: application/json"))
        await (take_request(reader) if is_read else reader.readexactly(1))

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        asked = replace(call, fields={"messages": [{"role": "user", "content": prompt}]})
        for _ in range(4):
            await upstream.complete(asked)
    assert answered == 4


async def test_what_is_given_up_later_may_have_been_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not sent again, since both might be billed."""
    monkeypatch.setattr(http_exchange, "_GIVEN_UP_WITHIN_S", 0.0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        writer.write(reply(200, completion("Tuesday"), "content-type: application/json"))
        await take_request(reader)

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        await upstream.complete(call)
        with pytest.raises(UpstreamFault, match="broke") as caught:
            await upstream.complete(call)
    assert caught.value.may_have_run


@pytest.mark.parametrize("half", [b"HT", b"HTTP/1.1 200 OK\r\ncontent-ty"])
async def test_what_breaks_off_within_its_head_is_not_sent_again(half: bytes) -> None:
    """Whoever has begun to answer was at work, and both might be billed."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        for said in (reply(200, completion("Tuesday"), "content-type: application/json"), half):
            await take_request(reader)
            asked += 1
            writer.write(said)

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        await upstream.complete(call)
        with pytest.raises(UpstreamFault, match="broke") as caught:
            await upstream.complete(call)
    assert (asked, caught.value.may_have_run) == (2, True)


async def test_a_new_connection_that_ends_without_an_answer_is_a_fault() -> None:
    asked = 0

    async def answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal asked
        await take_request(reader)
        asked += 1

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        with pytest.raises(UpstreamFault, match="broke") as caught:
            await upstream.complete(call)
    assert (asked, caught.value.may_have_run) == (1, True)


async def test_a_reply_that_is_still_to_come_is_waited_for() -> None:
    """A provider may say first that it has heard (RFC 9110, section 15.2)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n")
        writer.write(reply(200, completion("Tuesday"), "content-type: application/json"))

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        assert (await upstream.complete(call)).answer_text == "Tuesday"


async def test_what_was_answered_before_all_was_sent_goes_into_no_kept_connection() -> None:
    """The next request would stand behind what nobody reads any more."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(429, b"{}", "content-type: application/json"))
        await writer.drain()
        await asyncio.sleep(0.2)

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        asked = replace(call, fields={"messages": [{"role": "user", "content": "x" * 16_000_000}]})
        for _ in range(2):
            with pytest.raises(UpstreamFault) as caught:
                await upstream.complete(asked)
            assert caught.value.trigger is FallbackTrigger.RATE_LIMIT
    assert connections == 2


@pytest.mark.parametrize("key", ["sk-a\r\nx-other: b", "sk-a\nx", "sk-a\rx", "sk-a\0x"])
async def test_a_key_that_would_be_two_headers_is_sent_to_nobody(key: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("nothing is to be sent")

    async with wire(answer) as call, open_upstream(reach=OWN) as upstream:
        asked = replace(call, model=replace(call.model, api_key=key))
        with pytest.raises(UpstreamFault) as caught:
            await upstream.complete(asked)
    assert key not in str(caught.value)


async def test_nobody_waits_for_the_connection_of_another() -> None:
    """More calls at once than a pool of connections would have, of which none is answered before all are there."""
    count = 1_100
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    arrived, all_there = 0, asyncio.Event()
    answer = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}'
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await reader.readuntil(b"\r\n\r\n")
        arrived += 1
        if arrived == count:
            all_there.set()
        await all_there.wait()
        writer.write(head.encode() + answer)
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2_048)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        model = compiled(Setup(url, url).objects()).policies[0].models[ModelName("cheap")]
        call = UpstreamCall(model, Operation.CHAT, {"messages": []}, timeout_s=60.0, idle_s=60.0)
        async with open_upstream(reach=OWN, connect_s=60.0) as upstream:
            await asyncio.gather(*(upstream.complete(call) for _ in range(count)))
    assert arrived == count
