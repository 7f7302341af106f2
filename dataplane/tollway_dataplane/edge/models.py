"""`GET /v1/models`: what a caller may ask for."""

import time
from collections.abc import Callable, Sequence

import orjson
from starlette.routing import Route
from starlette.types import ASGIApp

from tollway_api.tenant_budget import AUTO
from tollway_dataplane.edge.authentication import key_digest_of
from tollway_dataplane.edge.endpoint import Edge
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.edge.replies import JsonReply
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.errors import Refusal, RefusalCode
from tollway_dataplane.live import Live
from tollway_dataplane.record import Record

# Of who asks. Raises Refusal.
Names = Callable[[Incoming, Record], Sequence[str]]


def names_of(live: Live, request: Incoming, record: Record) -> Sequence[str]:
    """By the policies that hold for a tenant."""
    directory = live.current()
    tenant, record.key = directory.authenticate(key_digest_of(request), time.time())
    record.revision, record.tenant = directory.revision, tenant.name
    policies = directory.policies_for(tenant)
    own = {name for policy in policies if policy.route.allow_explicit_model for name in policy.models}
    aliases = {name for policy in policies for name in policy.match.models}
    aliases |= {alias.name for policy in policies for alias in policy.route.aliases}
    return [AUTO, *sorted(own | aliases)] if policies else []


def models_routes(edge: Edge, names: Names) -> list[Route]:
    async def handle_list(request: Incoming, record: Record) -> ASGIApp:
        data = [_model(name) for name in names(request, record)]
        return _json({"object": "list", "data": data}, record)

    async def handle_one(request: Incoming, record: Record) -> ASGIApp:
        wanted = request.path_parameters["name"]
        known = names(request, record)
        if wanted not in known:
            message = f"no model {wanted[:128]!r}; there are: {', '.join(known)}"
            raise Refusal(404, RefusalCode.MODEL_NOT_FOUND, message, "model")
        return _json(_model(wanted), record)

    return [
        edge.route("GET", "/v1/models", "models", handle_list),
        edge.route("GET", "/v1/models/{name:path}", "models", handle_one),
    ]


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "tollway"}


def _json(value: object, record: Record) -> JsonReply:
    return JsonReply(orjson.dumps(value), headers_of(record))
