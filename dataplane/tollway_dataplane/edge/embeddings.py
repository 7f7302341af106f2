"""`POST /v1/embeddings`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tollway_dataplane.edge.authentication import api_key_of
from tollway_dataplane.edge.callers import CallerWatch
from tollway_dataplane.edge.endpoint import Edge
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.edge.wire_format import parse_embeddings
from tollway_dataplane.embedding_service import EmbeddingService
from tollway_dataplane.record import Record


def embeddings_route(edge: Edge, service: EmbeddingService) -> Route:
    async def handle(request: Request, record: Record) -> ASGIApp:
        api_key = api_key_of(request.headers)
        body = await edge.json_body(request)
        embeddings = parse_embeddings(body, request.headers, record.request_id)
        with CallerWatch(request.receive):
            reply = await service.embed(embeddings, api_key, record)
        return Response(reply, headers=headers_of(record), media_type="application/json")

    return edge.route("POST", "/v1/embeddings", "embeddings", handle)
