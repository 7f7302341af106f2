"""The admin port of several workers, as one data plane has it: ready when all are, the metrics of all by the label
`worker`, told of a snapshot together. What any data plane does for all, such as a purge, any of them does; the console
shows each as a data plane of its own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tollway_api import messages
from tollway_dataplane.core.exposition import merged
from tollway_dataplane.edge.admin_requests import Certified, body_of
from tollway_dataplane.edge.probes import READY
from tollway_dataplane.telemetry.worker_metrics import WorkerMetrics
from tollway_dataplane.workers import Ports, WorkerAnswer

_FORWARDED: Final = ("accept", "authorization", "content-type")


def create_workers_app(
    ports: Ports, metrics: WorkerMetrics, is_draining: Callable[[], bool], *, asks_certificates: bool
) -> Starlette:
    async def livez(_: Request) -> Response:
        # Workers that have died are started again from here, so the whole is not to be.
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        said = {"status": "draining", "revision": None} if is_draining() else await readiness(ports)
        status = 200 if said["status"] == READY else 503
        return Response(orjson.dumps(said), status, media_type="application/json")

    async def exposed(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        answers = await _ask_all(ports, "GET", "/metrics", {"accept": accept})
        for number, answer in answers.items():
            metrics.observe(number, is_up=answer is not None)
        pages = {str(number): answer.body.decode() for number, answer in answers.items() if answer}
        own, media_type = metrics.page(accept)
        return Response(merged(pages, own), headers={"content-type": media_type})

    async def told(request: Request) -> Response:
        body = await body_of(request)
        if isinstance(body, Response):
            return body
        answers = await _ask_all(ports, "POST", messages.PATH, _headers(request), body)
        silent = [number for number, answer in answers.items() if answer is None]
        if silent:
            return _unanswered(silent)
        return _as_reply(max((each for each in answers.values() if each), key=lambda each: each.status))

    async def forwarded(request: Request) -> Response:
        body = await body_of(request)
        if isinstance(body, Response):
            return body
        for number in ports.numbers:
            answer = await ports.ask(number, request.method, request.url.path, _headers(request), body)
            if answer is not None:
                return _as_reply(answer)
        return _unanswered(ports.numbers)

    return Starlette(
        routes=[
            Route("/livez", livez, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", exposed, methods=["GET"]),
            Route(messages.PATH, told, methods=["POST"]),
            Route("/{path:path}", forwarded, methods=["GET", "POST"]),
        ],
        middleware=[Middleware(Certified)] if asks_certificates else [],
    )


async def readiness(ports: Ports) -> Mapping[str, str | None]:
    """Ready when all are. Until all run the same there is no one revision."""
    answers = await _ask_all(ports, "GET", "/readyz", {})
    said: dict[int, Mapping[str, str | None]] = {
        number: orjson.loads(answer.body) if answer else {"status": "does not answer"}
        for number, answer in answers.items()
    }
    unready = [
        f"worker {number}: {each['status']}" for number, each in said.items() if each["status"] != READY
    ]
    revisions = {each.get("revision") for each in said.values()}
    return {
        "status": ", ".join(unready) or READY,
        "revision": revisions.pop() if len(revisions) == 1 else None,
    }


async def _ask_all(
    ports: Ports, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
) -> dict[int, WorkerAnswer | None]:
    asking = (ports.ask(number, method, path, headers, body) for number in ports.numbers)
    return dict(zip(ports.numbers, await asyncio.gather(*asking), strict=True))


def _headers(request: Request) -> dict[str, str]:
    return {name: value for name in _FORWARDED if (value := request.headers.get(name)) is not None}


def _as_reply(answer: WorkerAnswer) -> Response:
    return Response(answer.body, answer.status, answer.headers)


def _unanswered(numbers: Sequence[int]) -> Response:
    return PlainTextResponse(f"no answer of worker {', '.join(map(str, numbers))}; try again", 503)
