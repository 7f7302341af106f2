"""What every endpoint has in common: a record that is begun and finished, and errors in one shape. An endpoint is a
plain ASGI application, because a framework's layers cost more than most answers from the cache do.
"""

import itertools
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.edge.error_replies import error_response, internal_error, unknown_path, wrong_method
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.edge.replies import JsonReply
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.edge.wire_format import parse_json
from tollway_dataplane.errors import CallerGone, Refusal
from tollway_dataplane.observe import CLIENT_CLOSED_REQUEST, Observer
from tollway_dataplane.record import Record

# A request's id: random for the process, counted within it.
_PROCESS: Final = f"req-{secrets.token_hex(8)}"
_NUMBERS: Final = itertools.count()

Handler = Callable[[Incoming, Record], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a request's body may take."""

    most_body_bytes: int
    body_deadline_s: float


class Edge:
    """Turns handlers into routes."""

    def __init__(self, bounds: Bounds, observer: Observer, log: FilteringBoundLogger) -> None:
        self._bounds = bounds
        self._observer = observer
        self._log = log

    def route(self, method: str, path: str, operation: str, handler: Handler) -> Route:
        return Route(path, _Endpoint(method, operation, handler, self._observer, self._log))

    async def json_body(self, request: Incoming) -> JsonObject:
        """Raises Refusal or CallerGone."""
        body = await request.read(self._bounds.most_body_bytes, self._bounds.body_deadline_s)
        return parse_json(body)


class _Endpoint:
    def __init__(
        self, method: str, operation: str, handler: Handler, observer: Observer, log: FilteringBoundLogger
    ) -> None:
        self._method = method
        self._operation = operation
        self._handler = handler
        self._observer = observer
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await self._reply(Incoming(scope, receive))
        await reply(scope, receive, send)

    async def _reply(self, request: Incoming) -> ASGIApp:
        if request.method != self._method:
            return error_response(wrong_method(self._method), {})
        record = Record(f"{_PROCESS}{next(_NUMBERS):08x}", self._operation)
        try:
            with self._observer.request(record):
                return await self._handler(request, record)
        except Refusal as refusal:
            return error_response(refusal, headers_of(record))
        except CallerGone:
            return JsonReply(b"", {}, CLIENT_CLOSED_REQUEST)
        except Exception:  # noqa: BLE001 - the border: a reply in our own shape, and the cause in the log
            self._log.exception("unforeseen", request_id=record.request_id, operation=self._operation)
            return error_response(internal_error(), headers_of(record))


def create_public_app(routes: Sequence[Route]) -> ASGIApp:
    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        await error_response(unknown_path(scope["path"]), {})(scope, receive, send)

    return Router(routes=routes, default=default, redirect_slashes=False)
