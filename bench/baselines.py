"""What gateways are held against: the least that any of them must do on this stack.

`python -m bench.baselines NAME PORT UPSTREAM` serves one of them on one worker.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bench.provider import REPLY

_JSON: Final = {"content-type": "application/json"}


class PassThrough:
    """Sends the body on and the reply back, both unread: no key, no budget, no metrics."""

    def __init__(self, upstream: str) -> None:
        self._url = f"{upstream}/chat/completions"
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1_000)) as self._session:
            yield

    async def whole(self, request: Request) -> Response:
        assert self._session is not None
        async with self._session.post(self._url, data=await request.body(), headers=_JSON) as reply:
            return Response(await reply.read(), reply.status, media_type="application/json")

    async def streamed(self, request: Request) -> Response:
        assert self._session is not None
        reply = await self._session.post(self._url, data=await request.body(), headers=_JSON)

        async def chunks() -> AsyncIterator[bytes]:
            async with reply:
                async for chunk in reply.content.iter_any():
                    yield chunk

        return StreamingResponse(chunks(), reply.status, media_type="text/event-stream")


async def parse_and_reply(request: Request) -> Response:
    """What an answer from memory costs at least: the body is read, and a reply of the usual size is written."""
    orjson.loads(await request.body())
    return Response(orjson.dumps(REPLY), media_type="application/json")


def app(name: str, upstream: str) -> Starlette:
    """`pass-through`, `streaming-pass-through` or `parse-and-reply`."""
    if name == "parse-and-reply":
        return Starlette(routes=[_chat(parse_and_reply)])
    bare = PassThrough(upstream)
    endpoint = bare.streamed if name == "streaming-pass-through" else bare.whole
    return Starlette(routes=[_chat(endpoint)], lifespan=bare.lifespan)


def _chat(endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    return Route("/v1/chat/completions", endpoint, methods=["POST"])


def main() -> None:
    name, port, upstream = sys.argv[1:4]
    served = app(name, upstream)
    uvicorn.run(
        served, port=int(port), http="httptools", loop="uvloop", access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    main()
