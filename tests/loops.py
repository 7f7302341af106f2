"""What runs for the life of a process, for as long as a test needs it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def under_way(loop: Coroutine[object, object, None]) -> AsyncIterator[None]:
    running = asyncio.create_task(loop)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
