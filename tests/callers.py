"""Traffic that goes on while a test looks at what comes of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def callers(ask: Callable[[], Awaitable[object]], many: int = 1) -> AsyncIterator[None]:
    """So many who ask all the time."""

    async def call() -> None:
        while True:
            await ask()
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:  # a caller that fails ends the test at once
        calling = [group.create_task(call()) for _ in range(many)]
        try:
            yield
        finally:
            for task in calling:
                task.cancel()
