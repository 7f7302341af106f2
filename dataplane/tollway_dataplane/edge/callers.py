"""Callers who go away before they have their reply."""

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.types import Receive

from tollway_dataplane.errors import CallerGone

# How long a caller's leaving may go unnoticed.
_WATCH_AFTER_S: Final = 0.05


def _unnoticed() -> None:
    """Nobody has to know."""


class CallerWatch:
    """Stops the body of the `with` when the caller goes away, and raises CallerGone. The request's body must have
    been read. Before that `on_gone` is called, so that what is stopped knows by whom.
    """

    __slots__ = ("_beginning", "_gone", "_on_gone", "_receive", "_story", "_watcher")

    def __init__(self, receive: Receive, on_gone: Callable[[], None] = _unnoticed) -> None:
        self._receive = receive
        self._on_gone = on_gone
        self._story: asyncio.Task[object] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    def __enter__(self) -> None:
        self._story = asyncio.current_task()
        # Most answers are there before it begins, and a task for each of them would cost more than it is worth.
        self._beginning = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, self._begin)

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        self._beginning.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None  # else it would keep us, and we it, until garbage is looked for
        if self._gone and self._story is not None and isinstance(exc, asyncio.CancelledError):
            self._story.uncancel()
            raise CallerGone from None

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._on_gone()
        if self._story is not None:
            self._story.cancel()
