"""A provider that costs next to nothing: `python -m bench.scale_provider PORT CHUNKS PAUSE_S` answers at once, or as a
stream of so many chunks with so many seconds between two. Each chunk says when it was sent, by the machine's monotonic
clock, which all its processes share.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import Final

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

_HEAD: Final = {"id": "scale", "created": 1, "model": "gpt-4o-mini"}
_USAGE: Final = {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}


def whole() -> bytes:
    message = {"role": "assistant", "content": "word " * 30}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return orjson.dumps({**_HEAD, "object": "chat.completion", "choices": choices, "usage": _USAGE})


def event(delta: dict[str, str], reason: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    return (
        b"data: " + orjson.dumps({**_HEAD, "object": "chat.completion.chunk", "choices": choices}) + b"\n\n"
    )


def provider(chunks: int, pause_s: float) -> Starlette:
    answer = whole()

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(chunks):
            yield event({"content": f"{time.monotonic():.6f} "})
            await asyncio.sleep(pause_s)
        yield event({}, "stop")
        last = {**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}
        yield b"data: " + orjson.dumps(last) + b"\n\ndata: [DONE]\n\n"

    async def chat(request: Request) -> Response:
        if orjson.loads(await request.body()).get("stream"):
            return StreamingResponse(stream(), media_type="text/event-stream")
        return Response(answer, media_type="application/json")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


def main() -> None:
    port, chunks, pause_s = sys.argv[1:4]
    app = provider(int(chunks), float(pause_s))
    uvicorn.run(
        app,
        port=int(port),
        http="httptools",
        loop="uvloop",
        access_log=False,
        log_level="warning",
        backlog=4096,
        timeout_keep_alive=600,  # as long as real ones keep connections that are idle
    )


if __name__ == "__main__":
    main()
