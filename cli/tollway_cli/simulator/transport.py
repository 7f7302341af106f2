"""Breaking a connection on purpose. ASGI has no word for it, so this reaches for uvicorn's transport: the one place
that knows how.
"""

import socket
import struct

from starlette.types import Send

# SO_LINGER with a time of zero makes closing send a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)


def break_connection(send: Send, *, reset: bool) -> None:
    """Closes the caller's connection at once. Under another server than uvicorn it raises, which breaks it, too."""
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise ConnectionAbortedError("a simulated fault")
    connection = transport.get_extra_info("socket")
    if reset and connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
