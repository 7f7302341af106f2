"""Work that goes on beside the requests, for as long as a context is open. Started by whoever wires: the application,
`tollway serve`, the log.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Final

_ASK_AGAIN_S: Final = 0.2


@asynccontextmanager
async def running(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Runs `work` until the context is left, and then waits for its end. What it raises is reported at once and does
    not end the process.
    """
    task = begun(work)
    try:
        yield
    finally:
        await end(task)


def begun(work: Coroutine[object, object, None]) -> asyncio.Task[None]:
    """Whoever begins work ends it. What it raises is reported at once and does not end the process."""
    task = asyncio.create_task(work)
    task.add_done_callback(_report_end)
    return task


async def end(task: asyncio.Task[None]) -> None:
    # More than once: Python 3.11's `asyncio.wait_for`, by which the Redis client writes, loses a cancellation that
    # comes when what it waits for is just done.
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_ASK_AGAIN_S)


def report(error: BaseException, what: str) -> None:
    """Of work that nobody waits for; `what` has come of it."""
    message = f"{what}: {type(error).__name__}: {error}"
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        report(error, "work in the background ended")
