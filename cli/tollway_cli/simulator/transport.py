"""Breaking a connection on purpose, and seeing that it is broken. ASGI has no words for it, so this reaches for
uvicorn's transport: the one place that knows how. Frameworks wrap `send`, so the server's own is put aside before they
do.
"""

import asyncio
import socket
import struct

from starlette.types import ASGIApp, Receive, Scope, Send

# SO_LINGER with a time of zero makes closing send a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)


_SEND = "tollway.simulator.send"


class KeepsTransport:
    """Outermost: remembers the server's own `send`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_SEND] = send
        await self._app(scope, receive, send)


def is_open(scope: Scope) -> bool:
    """Whether what is sent is still written to the caller's connection; the server throws it away otherwise."""
    transport = _transport(scope)
    return transport is None or not transport.is_closing()


def _transport(scope: Scope) -> asyncio.Transport | None:
    return getattr(getattr(scope[_SEND], "__self__", None), "transport", None)


def break_connection(scope: Scope, *, reset: bool) -> None:
    """Closes the caller's connection at once. Under another server than uvicorn it raises, which breaks it, too."""
    transport = _transport(scope)
    if transport is None:
        raise ConnectionAbortedError("a simulated fault")
    connection = transport.get_extra_info("socket")
    if reset and connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
