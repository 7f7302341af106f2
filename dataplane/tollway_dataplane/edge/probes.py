"""What each process of the data plane answers at its admin port: whether it lives and wants requests; its metrics."""

from collections.abc import Callable, Mapping
from typing import Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

READY: Final = "ready"
# Its `status`, and what else there is to say.
Readiness = Mapping[str, str | None]


def probe_routes(readiness: Callable[[], Readiness], registry: CollectorRegistry) -> list[Route]:
    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        said = readiness()
        status = 200 if said["status"] == READY else 503
        return Response(orjson.dumps(said), status, media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
