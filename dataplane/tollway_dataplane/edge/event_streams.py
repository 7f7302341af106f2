"""Server-sent events out, and callers who go away in the middle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

from starlette.types import Receive, Scope, Send

from tollway_dataplane.errors import CallerGone
from tollway_dataplane.service import Stream

# How long a caller's leaving may go unnoticed.
_WATCH_AFTER_S: Final = 0.05


class EventStream:
    """An ASGI response that sends a stream's events and closes it in any case."""

    def __init__(self, stream: Stream, headers: dict[str, str]) -> None:
        self._stream = stream
        self._headers = headers

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            **self._headers,
        }
        raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        async with aclosing(self._stream.rest), cancelled_on_disconnect(receive):
            await send({"type": "http.response.start", "status": 200, "headers": raw_headers})
            await _send_event(send, self._stream.first)
            async for data in self._stream.rest:
                await _send_event(send, data)
        # Outside: a server reports a finished reply as a disconnect, too.
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_event(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})


@asynccontextmanager
async def cancelled_on_disconnect(receive: Receive) -> AsyncIterator[None]:
    """Stops the body of the `with` when the caller goes away, and raises CallerGone. The request's body must have
    been read.
    """
    story, loop = asyncio.current_task(), asyncio.get_running_loop()
    watcher: asyncio.Task[None] | None = None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        if story is not None:
            story.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = asyncio.create_task(watch())

    # Most answers are there before it begins, and a task for each of them would cost more than it is worth.
    beginning = loop.call_later(_WATCH_AFTER_S, begin)
    try:
        yield
    except asyncio.CancelledError:
        if not gone or story is None:
            raise
        story.uncancel()
        raise CallerGone from None
    finally:
        beginning.cancel()
        if watcher is not None:
            watcher.cancel()
