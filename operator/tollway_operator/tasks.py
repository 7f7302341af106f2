"""Tasks that belong together: the first end is the end of all."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final

_ASK_AGAIN_S: Final = 0.5


async def until_first_ends(
    tasks: Collection[asyncio.Task[Any]], strays: Callable[[], set[asyncio.Task[Any]]] = set
) -> None:
    """Ends the others then, or when this is cancelled itself; and after that `strays`, which they have begun and may
    have left behind. Raises what the first one raised.
    """
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(lambda: {task for task in tasks if not task.done()})
        await _end(strays)


async def _end(left: Callable[[], set[asyncio.Task[Any]]]) -> None:
    """Cancels more than once: Python 3.11's `asyncio.wait_for`, by which the Redis client writes and kopf reads, loses
    a cancellation that comes when what it waits for is just done; and kopf, when it is cancelled, begins tasks that
    wait for others which are cancelled as well.
    """
    while tasks := left():
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_ASK_AGAIN_S)
