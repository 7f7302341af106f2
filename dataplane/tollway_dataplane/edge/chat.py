"""`POST /chat`: a prompt in, an answer out, for people without an OpenAI client. A used-up budget and an outage are
answers here, in polite words, with the status that says so.
"""

from typing import Final

import orjson
from starlette.routing import Route
from starlette.types import ASGIApp

from tollway_dataplane.core.completions import text_of
from tollway_dataplane.core.decision import Source
from tollway_dataplane.core.pricing import as_usd
from tollway_dataplane.deadline import guarded
from tollway_dataplane.edge.callers import CallerWatch
from tollway_dataplane.edge.endpoint import Edge
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.edge.replies import JsonReply
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.edge.wire_format import parse_prompt
from tollway_dataplane.errors import Refusal, RefusalCode
from tollway_dataplane.record import Record
from tollway_dataplane.service import Service, Whole

UNAVAILABLE: Final = "I am sorry, no model can answer right now. Please try again in a moment."
_SOURCES: Final = {Source.EXACT: "cache", Source.SEMANTIC: "cache"}


def chat_route(edge: Edge, service: Service) -> Route:
    async def handle(request: Incoming, record: Record) -> ASGIApp:
        caller = edge.caller(request, record)
        body = await edge.json_body(request)
        chat, claimed = parse_prompt(body, request.headers, record.request_id)
        if claimed is not None and claimed != record.tenant:
            message = (
                "tenant_id: is not the tenant this API key belongs to; leave it out, the key says who calls"
            )
            raise Refusal(403, RefusalCode.FORBIDDEN, message, "tenant_id")
        try:
            reply = await guarded(service.chat(chat, caller, record), CallerWatch(request.receive))
        except Refusal as refusal:
            polite = _polite(refusal, record)
            if polite is None:
                raise  # from here: what is raised by a name keeps itself, until garbage is looked for
            return polite
        assert isinstance(reply, Whole)  # noqa: S101 - the request did not ask for a stream
        source = _SOURCES.get(record.source or Source.LIVE, record.source or Source.LIVE)
        return _reply(text_of(orjson.loads(reply.body)), source, record)

    return edge.route("POST", "/chat", "prompt", handle)


def _polite(refusal: Refusal, record: Record) -> JsonReply | None:
    """The refusals that are no fault of the caller's, as answers: a used-up budget, and that nobody could answer, for
    whatever reason.
    """
    unavailable = refusal.code in {RefusalCode.PROVIDERS_UNAVAILABLE, RefusalCode.PROVIDER_REFUSED}
    record.status, record.refusal = 503 if unavailable else refusal.status, refusal.code
    if refusal.code is RefusalCode.BUDGET_EXCEEDED:
        return _reply(refusal.message, "budget_limit", record, refusal)
    if unavailable:
        return _reply(UNAVAILABLE, "unavailable", record, refusal)
    return None


def _reply(content: str, source: str, record: Record, refusal: Refusal | None = None) -> JsonReply:
    answer = {
        "content": content,
        "source": source,
        "latency_ms": record.elapsed_ms(),
        "cost": float(as_usd(record.cost_nano)),
        "model": record.model or None,
    }
    headers = {**headers_of(record), **(refusal.headers if refusal else {})}
    return JsonReply(orjson.dumps(answer), headers, record.status)
