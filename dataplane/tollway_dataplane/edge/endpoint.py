"""What every endpoint has in common: a record that is begun and finished, and errors in one shape. An endpoint is a
plain ASGI application, because a framework's layers cost more than most answers from the cache do.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.edge.authentication import key_digest_of
from tollway_dataplane.edge.error_replies import (
    error_response,
    internal_error,
    shutting_down,
    unknown_path,
    wrong_method,
)
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.edge.replies import JsonReply
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.edge.wire_format import parse_json
from tollway_dataplane.errors import CLIENT_CLOSED_REQUEST, CallerGone, Refusal
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.record import Record
from tollway_dataplane.telemetry.observe import Observer

# A request's id: random for the process, counted within it.
_PROCESS: Final = f"req-{secrets.token_hex(8)}"
_NUMBERS: Final = itertools.count()
# What a trace calls a request for nothing that is here.
_NO_ROUTE: Final = "HTTP"

Handler = Callable[[Incoming, Record], Awaitable[ASGIApp]]
# Notes whose key it is, by its digest, or None where there is none. Raises Refusal where it is nobody's we know.
Admit = Callable[[str | None, Record], None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a request's body may take."""

    most_body_bytes: int
    body_deadline_s: float


class Edge:
    """Turns handlers into routes."""

    def __init__(self, admit: Admit, bounds: Bounds, observer: Observer, log: JsonLog) -> None:
        self._admit = admit
        self._bounds = bounds
        self._observer = observer
        self._log = log

    def route(self, method: str, path: str, operation: str, handler: Handler) -> Route:
        return Route(path, self.endpoint(operation, f"{method} {path}", handler, method))

    def endpoint(self, operation: str, route: str, handler: Handler, method: str | None = None) -> ASGIApp:
        """`method` is the one that it answers, where that is not any."""
        return _Endpoint(_Answering(operation, route, method), handler, self._observer, self._log)

    def caller(self, request: Incoming, record: Record) -> str | None:
        """The key's digest of somebody we know: nobody else's body is worth reading. Raises Refusal."""
        caller = key_digest_of(request)
        self._admit(caller, record)
        return caller

    async def json_body(self, request: Incoming) -> JsonObject:
        """Raises Refusal or CallerGone."""
        body = await request.read(self._bounds.most_body_bytes, self._bounds.body_deadline_s)
        return parse_json(body)


@dataclass(frozen=True, slots=True)
class _Answering:
    """What an endpoint is called, and which method it answers; None: any."""

    operation: str
    route: str
    method: str | None


class _Endpoint:
    def __init__(self, answering: _Answering, handler: Handler, observer: Observer, log: JsonLog) -> None:
        self._operation = answering.operation
        self._route = answering.route
        self._method = answering.method
        self._handler = handler
        self._observer = observer
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply = await self._reply(Incoming(scope, receive))
            await reply(scope, receive, send)
        except asyncio.CancelledError:
            return  # the time to drain is over; what was held is settled
        except Exception:
            self._log.exception("unforeseen", operation=self._operation)
            raise

    def _check(self, request: Incoming) -> None:
        request.check()
        if self._method is not None and request.method != self._method:
            raise wrong_method(self._method)

    async def _reply(self, request: Incoming) -> ASGIApp:
        record = Record(f"{_PROCESS}{next(_NUMBERS):08x}", self._operation, self._route)
        try:
            with self._observer.request(record, request.headers):
                self._check(request)
                try:
                    return await self._handler(request, record)
                except asyncio.CancelledError:  # the time to drain is over, and what was held is settled
                    raise shutting_down() from None
        except Refusal as refusal:
            return error_response(refusal, headers_of(record))
        except CallerGone:
            return JsonReply(b"", {}, CLIENT_CLOSED_REQUEST)
        except Exception:  # noqa: BLE001 - the border: a reply in our own shape, and the cause in the log
            self._log.exception("unforeseen", request_id=record.request_id, operation=self._operation)
            return error_response(internal_error(), headers_of(record))


def create_public_app(edge: Edge, routes: Sequence[Route], paths: str) -> ASGIApp:
    """`paths` names them to who asks for another."""

    async def nowhere(request: Incoming, _: Record) -> ASGIApp:
        raise unknown_path(request.path, paths)

    router = Router(
        routes=routes, default=edge.endpoint("unknown", _NO_ROUTE, nowhere), redirect_slashes=False
    )
    # Trying each route's pattern in turn takes longer than the near cache does.
    fixed = {route.path: route.app for route in routes if not route.param_convertors}

    async def public(scope: Scope, receive: Receive, send: Send) -> None:
        await fixed.get(scope["path"], router)(scope, receive, send)

    return public
