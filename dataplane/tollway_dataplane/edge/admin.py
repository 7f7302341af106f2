"""The admin port: probes, metrics, and the operator's word that there is a new snapshot. Never served on the public
port; what changes anything wants the admin token as well, because not every cluster enforces network policies.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tollway_api import messages
from tollway_api.messages import Lookups, PodState
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.errors import CallerGone, Refusal
from tollway_dataplane.following import Following
from tollway_dataplane.live import Live
from tollway_dataplane.observe import CLIENT_CLOSED_REQUEST

_MOST_BODY_BYTES: Final = 4_096
_BODY_DEADLINE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Admin:
    """What the admin port speaks of. `tokens` are read at every request, so that they can be rotated."""

    live: Live
    following: Following
    registry: CollectorRegistry
    lookups: Mapping[str, Lookups]
    is_draining: Callable[[], bool]
    tokens: Callable[[], Sequence[str]]

    def state(self) -> PodState:
        return PodState(self.live.revision, self.live.digest, self.following.rejected, dict(self.lookups))

    def knows(self, authorization: str) -> bool:
        """Compares with every token, each in constant time."""
        given = authorization.encode()
        return any(hmac.compare_digest(given, f"Bearer {token}".encode()) for token in self.tokens())


def create_admin_app(admin: Admin) -> Starlette:
    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        """Ready with a valid snapshot, until the drain begins."""
        ready = admin.live.revision is not None and not admin.is_draining()
        state = "ready" if ready else ("draining" if admin.is_draining() else "no snapshot yet")
        body = orjson.dumps({"status": state, "revision": admin.live.revision})
        return Response(body, 200 if ready else 503, media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(admin.registry), media_type=CONTENT_TYPE_LATEST)

    async def snapshot(request: Request) -> Response:
        if not admin.knows(request.headers.get("authorization", "")):
            return PlainTextResponse("the admin token is missing or wrong", 401)
        try:
            body = await Incoming(request.scope, request.receive).read(_MOST_BODY_BYTES, _BODY_DEADLINE_S)
            notify = messages.NOTIFY.validate_json(body)
        except Refusal as refusal:
            return PlainTextResponse(refusal.message, refusal.status, refusal.headers)
        except CallerGone:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        except ValidationError:
            return PlainTextResponse("not a notification; it reads {revision, digest}", 400)
        if notify.digest != admin.live.digest:
            await admin.following.refresh()
        state = admin.state()
        if state.digest == notify.digest:
            return _reply(200, state)
        rejected = state.rejected or f"the newest snapshot here is not {notify.revision}"
        return _reply(409, PodState(state.revision, state.digest, rejected, state.lookups))

    return Starlette(
        routes=[
            Route("/livez", livez, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
            Route(messages.PATH, snapshot, methods=["POST"]),
        ]
    )


def _reply(status: int, state: PodState) -> Response:
    return Response(messages.POD_STATE.dump_json(state), status, media_type="application/json")
