"""`POST /v1/feedback`: a caller says that a reply from memory was wrong, or right, by the reply's id.

x-tollway-request-id: the id that the reply had in the header of that name
x-tollway-feedback:   wrong | right
"""

from typing import Final

import orjson
from starlette.routing import Route
from starlette.types import ASGIApp

from tollway_dataplane.edge.endpoint import Edge
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.edge.replies import JsonReply
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.errors import CacheFault, Refusal, RefusalCode
from tollway_dataplane.live import Live
from tollway_dataplane.quality.auditing import Auditor
from tollway_dataplane.record import Record

PATH: Final = "/v1/feedback"
ID_HEADER: Final = "x-tollway-request-id"
FEEDBACK_HEADER: Final = "x-tollway-feedback"
_MOST_ID: Final = 128
UNKNOWN: Final = (
    "no reply from memory by meaning, of an index with spec.accuracy, is known under this id (any more)"
)


def feedback_route(edge: Edge, live: Live, auditor: Auditor) -> Route:
    async def handle(request: Incoming, record: Record) -> ASGIApp:
        edge.caller(request, record)
        directory = live.current()
        record.revision = directory.revision
        request_id, right = _said(request)
        indexes = directory.snapshot.indexes.values()
        try:
            outcome = await auditor.label(indexes, request_id, record.tenant, right=right)
        except CacheFault as fault:
            message = f"the cache's Redis did not say that it was noted ({fault.reason}); say it again"
            raise Refusal(503, RefusalCode.CACHE_UNAVAILABLE, message) from fault
        if outcome is None:
            raise Refusal(404, RefusalCode.NOT_FOUND, UNKNOWN, ID_HEADER)
        return JsonReply(orjson.dumps({"request_id": request_id, "outcome": outcome}), headers_of(record))

    return edge.route("POST", PATH, "feedback", handle)


def _said(request: Incoming) -> tuple[str, bool]:
    """Raises Refusal 400."""
    request_id = request.headers.get(ID_HEADER, "")
    if not 0 < len(request_id) <= _MOST_ID:
        message = f"give the header {ID_HEADER}, as the reply had it"
        raise Refusal(400, RefusalCode.INVALID_REQUEST, message, ID_HEADER)
    word = request.headers.get(FEEDBACK_HEADER, "").strip().lower()
    if word not in {"wrong", "right"}:
        message = f"give the header {FEEDBACK_HEADER} as wrong or right"
        raise Refusal(400, RefusalCode.INVALID_REQUEST, message, FEEDBACK_HEADER)
    return request_id, word == "right"
