"""A connection of uvicorn's, with five manners of ours: what is no HTTP gets an error in our shape, an offer to speak
another protocol is declined without losing the request, whoever never finishes a request's head, in time or in size, is
let go, a reply's head is checked and written in one piece, and it leaves together with the body. On a port with TLS the
application is told whose certificate it was.
"""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, Final, TypeGuard
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from tollway_dataplane.edge.error_replies import error_body, head_too_large, malformed_http
from tollway_dataplane.edge.replies import Head

HEAD_DEADLINE_S: Final = 30.0
# In a request's scope: the DNS names in the certificate that was shown and verified; none where none was shown.
PEER_NAMES: Final = "tollway.peer_names"
_FAREWELL_S: Final = 1.0
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
        super().connection_made(_OneWrite(transport, self.loop))
        self._await_head()

    def eof_received(self) -> None:
        # The server's transport does so itself when this returns, and drops what it has not been given by then.
        self.transport.close()

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
        """As uvicorn's, without what is not offered here: other protocols, and a bound on requests at once."""
        self._head_has_come()
        version, url = self.parser.get_http_version(), httptools.parse_url(self.url)
        self.scope |= {
            "http_version": version,
            "method": self.parser.get_method().decode("ascii"),
            "path": unquote(url.path.decode("ascii")),
            "raw_path": url.path,
            "query_string": url.query or b"",
        }
        before: RequestResponseCycle | None = self.cycle
        self.cycle = _Exchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            task = self.loop.create_task(self.cycle.run_asgi(self.app))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)
        else:  # it has been sent before the reply to the last one
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

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


class _Exchange(RequestResponseCycle):
    """A request and its reply as uvicorn has them, but for the head of a reply in our own form, which uvicorn takes
    three times as long to write.
    """

    def send(self, message: Any) -> Awaitable[None]:  # type: ignore[override]  # a chunk passes no further coroutine
        head = message.get("headers")
        return self._begin(head, message["status"]) if self._is_usual(head) else super().send(message)

    async def _begin(self, head: Head, status: int) -> None:
        lines = head.lines()
        self.response_started = True
        self.waiting_for_100_continue = self.chunked_encoding = False
        self.expected_content_length = int(head.headers["content-length"])
        of_servers = [b"%b: %b\r\n" % pair for pair in self.default_headers]
        self.transport.write(b"".join([STATUS_LINE[status], *of_servers, lines, b"\r\n"]))

    def _is_usual(self, head: object) -> TypeGuard[Head]:
        """Whether it leaves now and for itself says how long the body is, and another request may follow."""
        if not isinstance(head, Head):
            return False
        is_ready = not (self.response_started or self.disconnected or self.flow.write_paused)
        is_kept = self.keep_alive and "connection" not in head.headers
        return is_ready and is_kept and "content-length" in head.headers


class EncryptedConnection(Connection):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as above
        super().connection_made(transport)
        shown = transport.get_extra_info("peercert") or {}
        self._peer_names = frozenset(name for kind, name in shown.get("subjectAltName", ()) if kind == "DNS")

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            # TLS has the other side say goodbye as well, and whoever is gone would keep us from ending for 30 s.
            self.loop.call_later(_FAREWELL_S, self.transport.abort)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[PEER_NAMES] = self._peer_names  # type: ignore[typeddict-unknown-key]  # ours, beside ASGI's


class _OneWrite(asyncio.Transport):
    """What uvicorn needs of its transport, and what it writes in one turn of the event loop as one system call: a
    reply's head and its body would take two, and so would reading them.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._waiting.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def _flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._transport.write(b"".join(waiting))
