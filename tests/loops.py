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
    loop, turns = asyncio.get_running_loop(), 0

    def go_on() -> None:
        nonlocal turns, next_one
        turns += 1
        next_one = loop.call_soon(go_on)

    next_one = loop.call_soon(go_on)
    try:
        yield lambda: turns
    finally:
        next_one.cancel()
