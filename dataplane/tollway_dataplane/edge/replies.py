"""A reply of JSON, already encoded: the plainest ASGI response there is."""

from collections.abc import Iterator, Mapping
from typing import Final

from starlette.types import Receive, Scope, Send

_LINE_END: Final = b"\r\n"
# All but control characters, of which a tab may stand in a value (RFC 9110, section 5.5).
_HARMLESS: Final = bytes({9, *range(32, 256)} - {127})


class Head:
    """A reply's headers, by lower-case names: in pairs of bytes as ASGI has them, for any server; and for ours as they
    are written, since pairs of twenty take several times as long to make, to check and to put together again.
    """

    __slots__ = ("headers",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return ((name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items())

    def lines(self) -> bytes:
        """Raises ValueError where a name or a value would end its line, or has another control character."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()]).encode("latin-1")
        if lines.translate(None, _HARMLESS) != _LINE_END * len(self.headers):
            raise ValueError("a header with control characters")
        return lines


class JsonReply:
    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, body: bytes, headers: Mapping[str, str], status: int = 200) -> None:
        self._body = body
        self._headers = headers
        self._status = status

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        framing = {"content-type": "application/json", "content-length": str(len(self._body))}
        head = Head({**self._headers, **framing})
        await send({"type": "http.response.start", "status": self._status, "headers": head})
        await send({"type": "http.response.body", "body": self._body})
