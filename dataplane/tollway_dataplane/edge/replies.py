"""A reply of JSON, already encoded: the plainest ASGI response there is."""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

RawHeaders = list[tuple[bytes, bytes]]


class JsonReply:
    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, body: bytes, headers: Mapping[str, str], status: int = 200) -> None:
        self._body = body
        self._headers = headers
        self._status = status

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = raw_headers(self._headers)
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", b"%d" % len(self._body)))
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})


def raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
