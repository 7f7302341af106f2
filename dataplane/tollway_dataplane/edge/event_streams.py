"""Server-sent events out, until the stream or its caller ends."""

import asyncio
from contextlib import aclosing

from starlette.types import Message, Receive, Scope, Send

from tollway_dataplane.edge.callers import CallerWatch
from tollway_dataplane.edge.error_replies import error_body, shutting_down
from tollway_dataplane.edge.replies import Head
from tollway_dataplane.errors import CallerGone
from tollway_dataplane.record import Record
from tollway_dataplane.service import Comment, Stream


class EventStream:
    """An ASGI response that sends a stream's events and closes it in any case."""

    def __init__(self, stream: Stream, headers: dict[str, str], record: Record) -> None:
        self._stream = stream
        self._headers = headers
        self._record = record

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            **self._headers,
        }
        try:
            async with aclosing(self._stream.rest) as rest:
                with CallerWatch(receive, self._on_gone):
                    await send({"type": "http.response.start", "status": 200, "headers": Head(headers)})
                    await send(_event(self._stream.first))
                    async for data in rest:
                        await send(_event(data))
        except CallerGone:
            return  # the stream is closed and settled, and nobody is there to be told
        except asyncio.CancelledError:
            # The time to drain is over. The stream is closed and settled, and its caller is not left to guess whether
            # that was all.
            await send(_event(error_body(shutting_down())))
        # Outside: a server reports a finished reply as a disconnect, too.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _on_gone(self) -> None:
        if self._record.ended == "drained":  # what has come to an end by then did not end by this
            self._record.ended = "disconnected"


def _event(data: bytes) -> Message:
    name = b": " if isinstance(data, Comment) else b"data: "
    return {"type": "http.response.body", "body": name + data + b"\n\n", "more_body": True}
