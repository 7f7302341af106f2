"""The admin port: probes, metrics, the console, the operator's word that there is a new snapshot, and people's to
forget what is remembered. Never served on the public port; what is no probe and no metric wants the admin token as
well, because not every cluster enforces network policies, and on a port with TLS a certificate besides.
"""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import orjson
from prometheus_client import CollectorRegistry
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tollway_api import messages
from tollway_api.epochs import Scope
from tollway_api.messages import Lookups, PodState, Purge, Purged, Word
from tollway_api.routing_policy import ModelState
from tollway_api.semantic_cache_index import Scope as Sharing
from tollway_dataplane.cache.forgetting import TRUSTED_S, Forgetting
from tollway_dataplane.edge.admin_requests import Certified, body_of
from tollway_dataplane.edge.feedback import UNKNOWN
from tollway_dataplane.edge.probes import READY, Readiness, probe_routes
from tollway_dataplane.errors import CacheFault, Refusal
from tollway_dataplane.following import Following
from tollway_dataplane.live import Live
from tollway_dataplane.quality.auditing import Feedback

MessageT = TypeVar("MessageT")


# What becomes of what is said of a reply, by its id: whether it was right. None where no such reply is known. Raises
# Refusal and CacheFault.
Labelling = Callable[[str, bool], Awaitable[Feedback | None]]


async def nothing_was_served(_request_id: str, _right: bool) -> None:
    """Of a data plane that answers no requests."""
    return


@dataclass(frozen=True, slots=True)
class Admin:
    """What the admin port speaks of. `tokens` are read at every request, so that they can be rotated. Where it
    `asks_certificates` nobody is let in without, and so nobody at all on a port without TLS.
    """

    live: Live
    following: Following
    forgetting: Forgetting
    registry: CollectorRegistry
    lookups: Callable[[], dict[str, Lookups]]  # by the indexes' ids
    is_draining: Callable[[], bool]
    tokens: Callable[[], Sequence[str]]
    asks_certificates: bool = False
    label: Labelling = nothing_was_served
    unfit: Callable[[], dict[str, str]] = dict  # why vectors for an index's look-ups do not fit, by its id
    unwell: Callable[[], dict[str, dict[str, ModelState]]] = (
        dict  # models that are, by policy id and their name
    )

    def state(self) -> PodState:
        return PodState(
            self.live.revision,
            self.live.digest,
            self.following.rejected,
            self.lookups(),
            self.forgetting.epoch if self.forgetting.is_trusted else 0,
            self.unfit(),
            self.unwell(),
        )

    def knows(self, authorization: str) -> bool:
        """Compares with every token, each in constant time."""
        given = authorization.encode()
        return any(hmac.compare_digest(given, f"Bearer {token}".encode()) for token in self.tokens())


def create_admin_app(admin: Admin, others: Sequence[Route] = ()) -> Starlette:
    """`others` are served beside its own."""

    def readiness() -> Readiness:
        """Ready with a valid snapshot, until the drain begins."""
        revision = admin.live.revision
        state = "draining" if admin.is_draining() else "no snapshot yet" if revision is None else READY
        return {"status": state, "revision": revision}

    async def snapshot(request: Request) -> Response:
        notify = await _said(admin, request, messages.NOTIFY, "a notification; it reads {revision, digest}")
        if isinstance(notify, Response):
            return notify
        if notify.digest != admin.live.digest:
            await admin.following.refresh()
        state = admin.state()
        if state.digest == notify.digest:
            return _reply(200, state)
        rejected = state.rejected or f"the newest snapshot here is not {notify.revision}"
        return _reply(409, replace(state, rejected=rejected))

    async def purge(request: Request) -> Response:
        wanted = await _said(
            admin, request, messages.PURGE, 'a purge; it reads {"index", "tenant"}, or one of them'
        )
        return wanted if isinstance(wanted, Response) else await _purge(admin, wanted)

    async def feedback(request: Request) -> Response:
        said = await _said(
            admin,
            request,
            messages.FEEDBACK,
            'feedback; it reads {"request_id", "feedback": "wrong"}, or "right"',
        )
        return said if isinstance(said, Response) else await _label(admin, said)

    return Starlette(
        routes=[
            *probe_routes(readiness, admin.registry),
            Route(messages.PATH, snapshot, methods=["POST"]),
            Route(messages.PURGE_PATH, purge, methods=["POST"]),
            Route(messages.FEEDBACK_PATH, feedback, methods=["POST"]),
            *others,
        ],
        middleware=[Middleware(Certified)] if admin.asks_certificates else [],
    )


async def _said(
    admin: Admin, request: Request, kind: TypeAdapter[MessageT], name: str
) -> MessageT | Response:
    """What somebody says who may, or the reply to who may not or says something else."""
    if not admin.knows(request.headers.get("authorization", "")):
        return PlainTextResponse("the admin token is missing or wrong", 401)
    body = await body_of(request)
    if isinstance(body, Response):
        return body
    try:
        return kind.validate_json(body)
    except ValidationError:
        return PlainTextResponse(f"not {name}", 400)


async def _purge(admin: Admin, wanted: Purge) -> Response:
    try:
        snapshot = admin.live.current().snapshot
    except Refusal as refusal:
        return PlainTextResponse(refusal.message, refusal.status)
    indexes = [each for each in snapshot.indexes.values() if wanted.index in {"", each.id}]
    shared = [each.id for each in indexes if each.scope is Sharing.SHARED and wanted.tenant]
    touched = [each.id for each in indexes if each.id not in shared]
    if not (wanted.index or wanted.tenant):
        return PlainTextResponse("say of which index, as namespace/name, of which tenant, or both", 400)
    if wanted.tenant and wanted.tenant not in snapshot.tenants:
        message = f"there is no tenant {wanted.tenant!r}; of one that is gone, purge its indexes"
        return PlainTextResponse(message, 404)
    if not indexes:
        return PlainTextResponse(f"there is no index {wanted.index!r}; write it like namespace/name", 404)
    if not touched:
        message = f"{', '.join(shared)} is shared: it does not say whose an answer is; purge all of it"
        return PlainTextResponse(message, 409)
    try:
        epoch = await admin.forgetting.purge(Scope(wanted.index, wanted.tenant))
    except CacheFault as fault:
        message = (
            f"the cache's Redis did not say that it was done ({fault.reason}); do it again until it does"
        )
        return PlainTextResponse(message, 503)
    purged = messages.PURGED.dump_json(Purged(epoch, touched, shared, TRUSTED_S))
    return Response(purged, media_type="application/json")


async def _label(admin: Admin, said: messages.Feedback) -> Response:
    try:
        outcome = await admin.label(said.request_id, said.feedback is Word.RIGHT)
    except Refusal as refusal:
        return PlainTextResponse(refusal.message, refusal.status)
    except CacheFault as fault:
        message = (
            f"the cache's Redis did not say that it was noted ({fault.reason}); say it again until it does"
        )
        return PlainTextResponse(message, 503)
    if outcome is None:
        return PlainTextResponse(UNKNOWN, 404)
    return Response(orjson.dumps({"outcome": outcome}), media_type="application/json")


def _reply(status: int, state: PodState) -> Response:
    return Response(messages.POD_STATE.dump_json(state), status, media_type="application/json")
