"""What arrives as bytes: no HTTP at all, offers of other protocols, heads that never end, callers who leave."""

import asyncio
import contextlib
import json

import orjson
import pytest

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, Running, Setup, until
from tests.servers import provider
from tollway_dataplane.edge import connections

CHAT = "/v1/chat/completions"
BODY = json.dumps({"messages": [{"role": "user", "content": "What is a fjord?"}]}).encode()


async def raw(gateway: Running, sent: bytes) -> bytes:
    """Whatever comes back until the other side closes, or for two seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), 2)
    except TimeoutError:
        return b"(still open)"
    finally:
        writer.close()


def head(*lines: str, key: str = ACME_KEY) -> bytes:
    first = (f"POST {CHAT} HTTP/1.1", "host: x", f"authorization: Bearer {key}")
    return "\r\n".join([*first, *lines, "", ""]).encode()


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_is_no_http_gets_an_error_in_our_shape(gateway: Running, sent: bytes) -> None:
    reply = await raw(gateway, sent)
    first, _, body = reply.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 400")
    assert orjson.loads(body)["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("split", [False, True])
async def test_an_offer_of_another_protocol_is_declined_without_losing_the_request(
    gateway: Running, split: bool
) -> None:
    offer = ("connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")
    sent = head("content-type: application/json", f"content-length: {len(BODY)}", *offer)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(sent if split else sent + BODY)
    if split:
        await asyncio.sleep(0.05)
        writer.write(BODY)
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_a_head_that_never_ends_is_let_go(
    start: Start, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_DEADLINE_S", 0.3)
    gateway = await start(setup)
    assert await raw(gateway, b"") == b""
    assert await raw(gateway, b"POST /chat HTTP/1.1\r\nhost: x\r\n") == b""


@pytest.mark.parametrize("endless", [b"x: " + b"a" * 1_000 + b"\r\n", b"a" * 1_000])
async def test_a_head_that_grows_without_end_is_refused_before_it_fills_memory(
    gateway: Running, endless: bytes
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(b"POST /chat HTTP/1.1\r\nhost: x\r\nlong: ")
    sent = 0
    with contextlib.suppress(ConnectionError):
        while not writer.transport.is_closing() and sent < 50_000_000:
            writer.write(endless)
            await writer.drain()
            sent += len(endless)
    assert sent < 50_000_000
    assert (await gateway.ask("Hello")).status == 200


async def test_headers_that_are_too_large_are_said_to_be(gateway: Running) -> None:
    reply = await raw(gateway, b"POST /chat HTTP/1.1\r\nhost: x\r\nlong: " + b"a" * 66_000)
    assert reply.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"larger than 65536 bytes" in reply


async def test_a_second_request_on_a_connection_has_no_more_time(
    start: Start, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start(setup)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"}}")
    monkeypatch.setattr(connections, "HEAD_DEADLINE_S", 0.3)
    writer.write(b"POST /chat HTTP/1.1\r\nhost: x\r\n")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_body_of_somebody_unknown_is_not_read(gateway: Running) -> None:
    sent = head("content-type: application/json", "content-length: 8000000", key="wrong") + b'{"messages": ['
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(sent)
    assert b"401 Unauthorized" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()


async def test_a_caller_who_leaves_in_the_middle_prints_nothing(
    start: Start, setup: Setup, capfd: pytest.CaptureFixture[str]
) -> None:
    with provider("slow", tokens_per_second=5.0) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint))
        streaming = BODY[:-1] + b', "stream": true}'
        for sent in (
            head("content-type: application/json", "content-length: 900") + b'{"messages": [',
            head("content-type: application/json", f"content-length: {len(streaming)}") + streaming,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
            writer.write(sent)
            if sent.endswith(b"}"):
                await reader.readuntil(b"data:")
            else:
                await asyncio.sleep(0.1)
            writer.close()
        await until(lambda: len(gateway.log_lines()) == 2)
        await until(lambda: slow.seen()["in_flight"] == 0)
    assert {line["ended"] for line in gateway.log_lines()} == {"disconnected"}
    assert capfd.readouterr().err == ""
