"""What runs for the life of a process, for as long as a test needs it; and the event loop's turns."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager


@asynccontextmanager
async def under_way(loop: Coroutine[object, object, None]) -> AsyncIterator[None]:
    running = asyncio.create_task(loop)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextmanager
def counted_turns() -> Iterator[Callable[[], int]]:
    """Which turn of the event loop it is; there is always a next one while the context is open."""
    loop, turns, over = asyncio.get_running_loop(), 0, False

    def go_on() -> None:
        nonlocal turns
        turns += 1
        if not over:
            loop.call_soon(go_on)

    go_on()
    try:
        yield lambda: turns
    finally:
        over = True
