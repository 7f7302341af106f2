"""What each process of the data plane answers at its admin port: whether it lives and wants requests; its metrics."""

from collections.abc import Callable, Mapping
from typing import Final

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

READY: Final = "ready"
PROBE_PATHS: Final = frozenset({"/livez", "/readyz", "/metrics"})
# Its `status`, and what else there is to say.
Readiness = Mapping[str, str | None]


def probe_routes(readiness: Callable[[], Readiness], registry: CollectorRegistry) -> list[Route]:
    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        said = readiness()
        status = 200 if said["status"] == READY else 503
        return Response(orjson.dumps(said), status, media_type="application/json")

    async def metrics(request: Request) -> Response:
        # Only OpenMetrics, which scrapers must ask for, has exemplars.
        encoded, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encoded(registry), headers={"content-type": media_type})

    return [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
