"""Who waits for money that others of the tenant hold. They wait in the order they came, and only the first of them asks
the ledger. Called by `budgets`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tollway_api.meta import TenantName

# Of one tenant, in one data plane. A request that waits keeps its connection and its body.
MOST_WAITING: Final = 100


@dataclass(slots=True)
class _Queue:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


class Queues:
    def __init__(self) -> None:
        self._queues: dict[TenantName, _Queue] = {}

    @asynccontextmanager
    async def turn(self, tenant: TenantName, until: float) -> AsyncIterator[bool]:
        """Whether it was one's turn before `until`, of the event loop's clock; not where too many wait already."""
        queue = self._queues.setdefault(tenant, _Queue())
        if queue.length >= MOST_WAITING:
            yield False
            return
        queue.length += 1
        try:
            try:
                async with asyncio.timeout_at(until):
                    await queue.turn.acquire()
            except TimeoutError:
                yield False
                return
            try:
                yield True
            finally:
                queue.turn.release()
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[tenant]
