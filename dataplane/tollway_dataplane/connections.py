"""A connection of uvicorn's, with three manners of ours: what is no HTTP gets an error in our shape, an offer to speak
another protocol is declined without losing the request, and whoever never finishes a request's head, in time or in
size, is let go.
"""

import asyncio
import re
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tollway_dataplane.edge.error_replies import error_body, head_too_large, malformed_http

HEAD_DEADLINE_S: Final = 30.0
_MOST_HEAD: Final = 65_536  # bytes; no key is known yet, so whoever it is may not fill our memory
_MALFORMED: Final = error_body(malformed_http())
_TOO_LARGE: Final = error_body(head_too_large(_MOST_HEAD))
# Java's client, for one, offers HTTP/2 in every first request. A server may ignore that (RFC 9110, 7.8), but the parser
# would take the body for the other protocol's bytes.
_OFFER: Final = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)


class Connection(HttpToolsProtocol):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn has streams here, and never anything else
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before: RequestResponseCycle | None = self.cycle
        if before is not None and before.more_body:
            super().data_received(data)
            return
        if b"pgrade:" in data:
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _OFFER.sub(b"", head) + end + rest
        self._head_size += len(data)
        super().data_received(data)
        if self.cycle is before and self._head_timer is None:  # a head came in part
            self._await_head()
        if self._head_timer is not None and self._head_size > _MOST_HEAD:
            self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._head_has_come()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parent's signature
        self._refuse(b"400 Bad Request", _MALFORMED)

    def _refuse(self, status: bytes, body: bytes) -> None:
        """Before there is a request that could be answered; the connection ends with it."""
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nconnection: close\r\n" % status
        self.transport.write(b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body))
        self.transport.close()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_DEADLINE_S, self.transport.close)

    def _head_has_come(self) -> None:
        self._head_size = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
