"""What reaches an admin port, whoever answers there: certificates, and bodies, which are bounded in size and time."""

from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tollway_dataplane.edge.connections import PEER_NAMES
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.edge.probes import PROBE_PATHS
from tollway_dataplane.errors import CLIENT_CLOSED_REQUEST, CallerGone, Refusal
from tollway_tls.certificates import NAME

_MOST_BODY_BYTES: Final = 4_096
_BODY_DEADLINE_S: Final = 5.0


class Certified:
    """Who has shown no certificate of ours sees probes and metrics, whatever else there is: kubelets have none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["path"] not in PROBE_PATHS and NAME not in scope.get(PEER_NAMES, ()):
            app = PlainTextResponse(f"this needs a client certificate for {NAME}", 403)
        await app(scope, receive, send)


async def body_of(request: Request) -> bytes | Response:
    """Or the reply to one that is too large, or does not come."""
    try:
        return await Incoming(request.scope, request.receive).read(_MOST_BODY_BYTES, _BODY_DEADLINE_S)
    except Refusal as refusal:
        return PlainTextResponse(refusal.message, refusal.status, refusal.headers)
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
