"""What every endpoint has in common: a record that is begun and finished, and errors in one shape."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp
from structlog.typing import FilteringBoundLogger

from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.edge.bodies import read_body
from tollway_dataplane.edge.error_replies import error_response, internal_error
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.edge.wire_format import parse_json
from tollway_dataplane.errors import CallerGone, Refusal
from tollway_dataplane.observe import CLIENT_CLOSED_REQUEST, Observer
from tollway_dataplane.record import Record

Handler = Callable[[Request, Record], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a request's body may take."""

    most_body_bytes: int
    body_deadline_s: float


class Edge:
    """Turns handlers into endpoints."""

    def __init__(self, bounds: Bounds, observer: Observer, log: FilteringBoundLogger) -> None:
        self._bounds = bounds
        self._observer = observer
        self._log = log

    def endpoint(self, operation: str, handler: Handler) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def respond(request: Request) -> ASGIApp:
            record = Record(f"req-{secrets.token_hex(12)}", operation)
            try:
                with self._observer.request(record):
                    return await handler(request, record)
            except Refusal as refusal:
                return error_response(refusal, headers_of(record))
            except CallerGone:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            except Exception:  # noqa: BLE001 - the border: a reply in our own shape, and the cause in the log
                self._log.exception("unforeseen", request_id=record.request_id, operation=operation)
                return error_response(internal_error(), headers_of(record))

        return respond

    async def json_body(self, request: Request) -> JsonObject:
        """Raises Refusal."""
        body = await read_body(request, self._bounds.most_body_bytes, self._bounds.body_deadline_s)
        return parse_json(body)
