"""What a connection has been given to write is written, whoever closes it."""

import asyncio
import socket
import ssl
from pathlib import Path

import uvloop
from starlette.types import Receive, Scope, Send

from tests.certificates import Authority
from tollway_dataplane.edge.connections import PEER_NAMES
from tollway_dataplane.server import Site, listen, serve
from tollway_dataplane.settings import Address
from tollway_tls.certificates import server_context

REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


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


async def _reply(site: Site, caller: socket.socket) -> bytes:
    """All that comes to who has asked, until the server closes the connection."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    serving = asyncio.create_task(serve([site], stop, 1.0, asyncio.Event()))
    caller.setblocking(False)
    async with asyncio.timeout(30):
        await loop.sock_connect(caller, (site.address.host, site.address.port))
        await loop.sock_sendall(caller, REQUEST)
        received = b""
        while data := await loop.sock_recv(caller, 65_536):
            received += data
    stop.set()
    await serving
    return received
