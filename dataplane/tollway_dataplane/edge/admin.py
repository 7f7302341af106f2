"""The admin port: probes and metrics. Never served on the public port."""

from collections.abc import Callable

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tollway_dataplane.live import Live


def create_admin_app(live: Live, registry: CollectorRegistry, is_draining: Callable[[], bool]) -> Starlette:
    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        """Ready with a valid snapshot, until the drain begins."""
        ready = live.revision is not None and not is_draining()
        state = "ready" if ready else ("draining" if is_draining() else "no snapshot yet")
        body = orjson.dumps({"status": state, "revision": live.revision})
        return Response(body, 200 if ready else 503, media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/livez", livez, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )
