"""Callers who go away before they have their reply."""

import asyncio
from typing import Final

from starlette.types import Receive

from tollway_dataplane.errors import CallerGone

# How long a caller's leaving may go unnoticed.
_WATCH_AFTER_S: Final = 0.05


class CallerWatch:
    """Stops the body of the `with` when the caller goes away, and raises CallerGone. The request's body must have
    been read.
    """

    __slots__ = ("_beginning", "_gone", "_receive", "_story", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._story = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    def __enter__(self) -> None:
        # Most answers are there before it begins, and a task for each of them would cost more than it is worth.
        self._beginning = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, self._begin)

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        self._beginning.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._gone and self._story is not None and isinstance(exc, asyncio.CancelledError):
            self._story.uncancel()
            raise CallerGone from None

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._story is not None:
            self._story.cancel()
