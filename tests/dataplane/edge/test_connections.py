"""What a connection has been given to write is written, whoever closes it; and our form of a reply's head is written as
uvicorn writes ASGI's.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from tests.certificates import Authority
from tollway_dataplane.edge.connections import PEER_NAMES
from tollway_dataplane.edge.replies import Head
from tollway_dataplane.server import Site, listen, serve
from tollway_dataplane.settings import Address
from tollway_tls.certificates import server_context


def _asking(*headers: bytes) -> bytes:
    return b"POST /a%%20b?c HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n%b\r\n" % b"".join(headers)


REQUEST = _asking()


def test_what_was_written_before_its_caller_closed_its_half_still_reaches_it() -> None:
    """On uvloop, which reads the end of a connection before it runs what waits in the loop."""
    with socket.socket() as caller:

        async def app(_: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a token", "more_body": True})
            caller.shutdown(socket.SHUT_WR)
            while (await receive())["type"] != "http.disconnect":
                pass

        assert b"a token" in uvloop.run(_reply(Site(app, listen(Address("127.0.0.1", 0))), caller))


_CLOSE = b"connection: close\r\n"


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        pytest.param({}, REQUEST + _asking(_CLOSE), id="kept, then closed by who asks"),
        pytest.param({}, REQUEST * 3 + _asking(_CLOSE), id="four at once"),
        pytest.param({"connection": "close"}, REQUEST, id="closed by the reply"),
        pytest.param({"connection": "keep-alive"}, REQUEST + _asking(_CLOSE), id="said to be kept"),
        pytest.param({}, REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"), id="HTTP/1.0"),
        pytest.param({}, REQUEST.replace(b"POST", b"HEAD") + _asking(_CLOSE), id="HEAD"),
        pytest.param(
            {}, _asking(b"expect: 100-continue\r\n") + _asking(_CLOSE), id="expects to be told to go on"
        ),
        pytest.param({"content-length": ""}, REQUEST + _asking(_CLOSE), id="in chunks"),
        pytest.param({"content-length": "1"}, REQUEST, id="longer than it says"),
        pytest.param({"content-length": "9"}, REQUEST, id="shorter than it says"),
    ],
)
def test_our_form_of_a_head_is_written_as_the_server_writes_any(
    headers: Mapping[str, str], sent: bytes
) -> None:
    told = {"content-type": "text/plain", "content-length": "4", "x-name": "naïve", **headers}
    head = Head({name: value for name, value in told.items() if value})

    def written(form: object) -> bytes:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 202, "headers": form})
            await send({"type": "http.response.body", "body": scope["path"].encode()})

        with socket.socket() as caller:
            return uvloop.run(_reply(Site(app, listen(Address("127.0.0.1", 0))), caller, sent))

    ours, theirs = (re.sub(rb"date: [^\r]*", b"date: now", written(each)) for each in (head, list(head)))
    assert ours == theirs
    assert ours.count(b"HTTP/1.1 202 Accepted\r\n") == sent.count(b"HTTP/1.")


def test_of_a_head_with_a_value_that_ends_its_line_nothing_is_written() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        head = Head({"content-length": "0", "x-name": "a\r\nset-cookie: b"})
        await send({"type": "http.response.start", "status": 200, "headers": head})

    with socket.socket() as caller:
        reply = uvloop.run(_reply(Site(app, listen(Address("127.0.0.1", 0))), caller))
    assert reply.startswith(b"HTTP/1.1 500 ")
    assert b"cookie" not in reply


def test_the_application_is_told_whose_certificate_was_shown(tmp_path: Path) -> None:
    """On uvloop, whose TLS is its own."""
    Authority.new(tmp_path / "authority").issue(tmp_path)

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        names = " ".join(scope[PEER_NAMES]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"shown: <%s>" % names})

    for shows, told in ((True, b"shown: <tollway-admin>"), (False, b"shown: <>")):
        client = ssl.create_default_context(cafile=tmp_path / "ca.crt")
        if shows:
            client.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
        site = Site(app, listen(Address("127.0.0.1", 0)), server_context(tmp_path, lambda _: None))
        assert told in uvloop.run(_encrypted_reply(site, client))


def test_who_has_gone_without_a_word_keeps_nobody_from_ending(tmp_path: Path) -> None:
    """TLS waits half a minute for the other side to say goodbye."""
    Authority.new(tmp_path / "authority").issue(tmp_path)
    client = ssl.create_default_context(cafile=tmp_path / "ca.crt")

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def ask(address: Address) -> ssl.SSLSocket:
        plain = socket.create_connection((address.host, address.port))
        caller = client.wrap_socket(plain, server_hostname="tollway-admin")
        caller.sendall(REQUEST)
        assert caller.recv(65_536).startswith(b"HTTP/1.1 200")
        return caller

    async def run(site: Site) -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve([site], stop, 60, asyncio.Event()))
        with await asyncio.to_thread(ask, site.address):
            stop.set()
            async with asyncio.timeout(20):
                await serving

    uvloop.run(run(Site(app, listen(Address("127.0.0.1", 0)), server_context(tmp_path, lambda _: None))))


async def _encrypted_reply(site: Site, client: ssl.SSLContext) -> bytes:
    stop = asyncio.Event()
    serving = asyncio.create_task(serve([site], stop, 1.0, asyncio.Event()))
    async with asyncio.timeout(30):
        name, address = "tollway-admin", site.address
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=client, server_hostname=name
        )
        writer.write(REQUEST)
        received = await reader.read()
        writer.close()
    stop.set()
    await serving
    return received


async def _reply(site: Site, caller: socket.socket, sent: bytes = REQUEST) -> bytes:
    """All that comes to who has asked, until the server closes the connection."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    serving = asyncio.create_task(serve([site], stop, 1.0, asyncio.Event()))
    caller.setblocking(False)
    async with asyncio.timeout(30):
        await loop.sock_connect(caller, (site.address.host, site.address.port))
        await loop.sock_sendall(caller, sent)
        received = b""
        while data := await loop.sock_recv(caller, 65_536):
            received += data
    stop.set()
    await serving
    return received
