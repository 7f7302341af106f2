"""Who waits for what others hold of a limit. They wait in the order they came, and only the first of them asks the
ledger; whoever comes while some wait for a limit that counts him goes behind them. Called by `budgets`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from tollway_api.meta import TenantName
from tollway_api.snapshot import Limit, Tenant
from tollway_api.wire import account_of, full_name
from tollway_dataplane.core.budgeting import Denied, Standing

# Of one tenant, for one limit, in one data plane. A request that waits keeps its connection and its body.
MOST_WAITING: Final = 100


@dataclass(slots=True)
class Queue:
    """For one limit."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: Counter[TenantName] = field(default_factory=Counter)
    denied: Denied | None = None  # what its first heard last of the limit; None while the ledger is away

    def is_full_for(self, tenant: Tenant) -> bool:
        return self.waiting[tenant.name] >= MOST_WAITING


class Queues:
    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}

    def ahead_of(self, tenant: Tenant, amounts: list[int]) -> Denied | None:
        """What others were told who wait already, where it takes something of the limit that they wait for; `amounts`
        are one per limit.
        """
        for limit, amount in zip(tenant.limits, amounts, strict=True) if self._queues else ():
            queue = self._queues.get(_place(tenant, limit)) if amount else None
            if queue is not None and (told := queue.denied) is not None:
                # They may be others' requests, and of the limit alone it is the same for all.
                return replace(told, standings=[Standing(limit, told.used, told.held)], number=0, asked=0)
        return None

    def is_full(self, tenant: Tenant, limit: Limit) -> bool:
        queue = self._queues.get(_place(tenant, limit))
        return queue is not None and queue.is_full_for(tenant)

    @asynccontextmanager
    async def turn(self, tenant: Tenant, limit: Limit, until: float) -> AsyncIterator[Queue | None]:
        """None where it was not one's turn before `until`, of the event loop's clock."""
        place = _place(tenant, limit)
        queue = self._queues.setdefault(place, Queue())
        queue.waiting[tenant.name] += 1
        try:
            try:
                async with asyncio.timeout_at(until):
                    await queue.turn.acquire()
            except TimeoutError:
                yield None
                return
            try:
                yield queue
            finally:
                queue.turn.release()
        finally:
            queue.waiting[tenant.name] -= 1
            if not queue.waiting.total():
                del self._queues[place]


def _place(tenant: Tenant, limit: Limit) -> str:
    return full_name(account_of(tenant.name, limit), limit)
