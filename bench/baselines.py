"""What Tollway is held against: the least that any Python gateway must do.

`python -m bench.baselines passthrough|litellm PORT UPSTREAM` serves one of them on one worker.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def passthrough(upstream: str) -> Starlette:
    """Reads the body, sends it on, sends the reply back: no key, no budget, no metrics."""
    sessions: list[aiohttp.ClientSession] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1_000)) as session:
            sessions.append(session)
            yield

    async def chat(request: Request) -> Response:
        body = await request.body()
        headers = {"content-type": "application/json"}
        async with sessions[0].post(f"{upstream}/chat/completions", data=body, headers=headers) as reply:
            return Response(await reply.read(), reply.status, media_type="application/json")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])], lifespan=lifespan)


def litellm_sdk(upstream: str) -> Starlette:
    """The same through `litellm.acompletion`."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - takes seconds; only when asked for

    litellm.suppress_debug_info = True

    async def chat(request: Request) -> Response:
        body = orjson.loads(await request.body())
        reply = await litellm.acompletion(
            model="openai/gpt-4o-mini", messages=body["messages"], api_base=upstream, api_key="x"
        )
        return Response(reply.model_dump_json(), media_type="application/json")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


def main() -> None:
    name, port, upstream = sys.argv[1:4]
    app = passthrough(upstream) if name == "passthrough" else litellm_sdk(upstream)
    uvicorn.run(app, port=int(port), http="httptools", loop="uvloop", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
