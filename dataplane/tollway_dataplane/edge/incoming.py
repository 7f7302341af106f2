"""A request as it arrives: its headers, laid out once, and its body, bounded in size and time. Starlette's own
`Request` looks for each header from the start of the list and takes longer than the near cache does.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.types import Receive, Scope

from tollway_dataplane.deadline import Within, guarded
from tollway_dataplane.errors import CallerGone, Refusal, RefusalCode

_JSON: Final = "application/json"
# Which of two counts must not depend on who reads first.
_SINGLE: Final = frozenset({"authorization", "content-encoding", "content-type", "host"})


class Incoming:
    """`headers` by lower-case names. What is repeated is joined by commas (RFC 9110, section 5.3), and its name is in
    `repeated`.
    """

    __slots__ = ("headers", "http_version", "method", "path", "path_parameters", "receive", "repeated")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        raw: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self.receive = receive
        self.http_version: str = scope["http_version"]
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.path_parameters: Mapping[str, str] = scope.get("path_params", {})
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
        self.repeated: frozenset[str] = frozenset()
        if len(self.headers) != len(raw):
            values: dict[str, list[str]] = {}
            for name, value in raw:
                values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
            self.headers = {name: ", ".join(each) for name, each in values.items()}
            self.repeated = frozenset(name for name, each in values.items() if len(each) > 1)

    def check(self) -> None:
        """Raises Refusal 400 when what must stand once stands twice (RFC 9110, section 5.3), or the host not at all
        (RFC 9112, section 3.2).
        """
        if "host" not in self.headers and self.http_version == "1.1":
            raise Refusal(400, RefusalCode.INVALID_REQUEST, "no Host header; HTTP/1.1 requires one")
        for name in self.repeated & _SINGLE:
            raise Refusal(400, RefusalCode.INVALID_REQUEST, f"more than one {name} header; send exactly one")

    async def read(self, most_bytes: int, deadline_s: float) -> bytes:
        """The body, when it says that it is JSON. Raises Refusal 415, 413 or 408, or CallerGone."""
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in {"", "identity"}:
            message = f"the body is encoded as {encoding[:64]!r}; send it as it is, without Content-Encoding"
            raise Refusal(415, RefusalCode.UNSUPPORTED_MEDIA_TYPE, message)
        media_type = self.headers.get("content-type", _JSON)
        if media_type != _JSON:  # else there is nothing to take apart
            media_type = media_type.partition(";")[0].strip().lower()
        if media_type != _JSON and not media_type.endswith("+json"):
            message = (
                f"the body is {media_type[:64]!r}; send JSON with the header content-type: application/json"
            )
            raise Refusal(415, RefusalCode.UNSUPPORTED_MEDIA_TYPE, message)
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length) > most_bytes:
            raise _too_large(most_bytes)
        try:
            return await guarded(self._whole(most_bytes), Within(deadline_s))
        except TimeoutError:
            message = f"the body did not arrive within {deadline_s:g} seconds"
            headers = {"connection": "close"}
            raise Refusal(408, RefusalCode.REQUEST_TIMEOUT, message, headers=headers) from None

    async def _whole(self, most_bytes: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise CallerGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > most_bytes:
                raise _too_large(most_bytes)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)


def _too_large(most_bytes: int) -> Refusal:
    message = f"the body is larger than {most_bytes} bytes"
    return Refusal(413, RefusalCode.TOO_LARGE, message, headers={"connection": "close"})
