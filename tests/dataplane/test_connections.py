"""What a connection has been given to write is written, whoever closes it."""

import asyncio
import socket

import uvloop
from starlette.types import Receive, Scope, Send

from tollway_dataplane.server import Site, listen, serve
from tollway_dataplane.settings import Address

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
