"""`POST /v1/chat/completions`, streaming and not."""

from starlette.routing import Route
from starlette.types import ASGIApp

from tollway_dataplane.deadline import guarded
from tollway_dataplane.edge.callers import CallerWatch
from tollway_dataplane.edge.endpoint import Edge
from tollway_dataplane.edge.event_streams import EventStream
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.edge.replies import JsonReply
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.edge.wire_format import parse_chat
from tollway_dataplane.record import Record
from tollway_dataplane.service import Service, Whole


def chat_completions_route(edge: Edge, service: Service) -> Route:
    async def handle(request: Incoming, record: Record) -> ASGIApp:
        caller = edge.caller(request, record)
        body = await edge.json_body(request)
        chat = parse_chat(body, request.headers, record.request_id)
        record.streaming = chat.stream
        reply = await guarded(service.chat(chat, caller, record), CallerWatch(request.receive))
        headers = headers_of(record)
        if isinstance(reply, Whole):
            return JsonReply(reply.body, headers)
        return EventStream(reply, headers, record)

    return edge.route("POST", "/v1/chat/completions", "chat", handle)
