"""`POST /v1/embeddings`."""

from starlette.routing import Route
from starlette.types import ASGIApp

from tollway_dataplane.edge.callers import CallerWatch
from tollway_dataplane.edge.endpoint import Edge
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.edge.replies import JsonReply
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.edge.wire_format import parse_embeddings
from tollway_dataplane.embedding_service import EmbeddingService
from tollway_dataplane.record import Record


def embeddings_route(edge: Edge, service: EmbeddingService) -> Route:
    async def handle(request: Incoming, record: Record) -> ASGIApp:
        caller = edge.caller(request, record)
        body = await edge.json_body(request)
        embeddings = parse_embeddings(body, request.headers, record.request_id)
        with CallerWatch(request.receive):
            reply = await service.embed(embeddings, caller, record)
        return JsonReply(reply, headers_of(record))

    return edge.route("POST", "/v1/embeddings", "embeddings", handle)
