"""The operator's own port: probes and metrics. `health` says what they answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tollway_operator.metrics import Metrics


@asynccontextmanager
async def serving(
    host: str, port: int, metrics: Metrics, trouble: Callable[[], str], ready: Callable[[], str]
) -> AsyncIterator[None]:
    """`trouble` says why the process should be restarted, `ready` why it is not ready; "" means that all is well."""

    async def livez(_: web.Request) -> web.Response:
        return _probe(trouble())

    async def readyz(_: web.Request) -> web.Response:
        return _probe(ready())

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


def _probe(why_not: str) -> web.Response:
    return web.Response(text=why_not or "ok", status=503 if why_not else 200)
