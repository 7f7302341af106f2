"""What is spent of each budget, read from the ledger now and then for the statuses; the data planes do the counting."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tollway_api.snapshot import Snapshot
from tollway_api.windows import Usage, usage_of
from tollway_operator.errors import StoreFault
from tollway_operator.redis_store import RedisStore

log = logging.getLogger(__name__)

_AT_ONCE: Final = 500
_SOON_S: Final = 0.1


class UsageReader:
    """`usage` by account, of those that make sense, for the limits there were then; `fault` says why it is not known of
    any.
    """

    def __init__(
        self,
        ledger: RedisStore,
        every_s: float,
        on_change: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._every_s = every_s
        self._on_change = on_change
        self.usage: dict[str, list[Usage]] = {}
        self.fault = ""
        self.has_read = False  # of what is compiled

    async def run(self, current: Callable[[], Snapshot | None]) -> None:
        """Runs for the life of the process, over the budgets of the current snapshot."""
        while True:
            snapshot = current()
            if snapshot is None:
                await asyncio.sleep(_SOON_S)
                continue
            before = (self.usage, self.fault, self.has_read)
            try:
                self.usage, self.fault = await read_usage(self._ledger, snapshot), ""
                self.has_read = True
            except StoreFault as fault:
                self.fault = str(fault)
                if self.fault != before[1]:
                    log.warning("what was spent is not known", extra={"reason": self.fault})
            if (self.usage, self.fault, self.has_read) != before:
                self._on_change()
            await asyncio.sleep(self._every_s)


async def read_usage(ledger: RedisStore, snapshot: Snapshot) -> dict[str, list[Usage]]:
    """By account, of those that make sense. Raises StoreFault."""
    budgets = [each for each in snapshot.budgets if each.limits]
    found: dict[str, list[Usage]] = {}
    # Before what is spent: what is settled in between is then shown twice for a moment, and never not at all.
    holds = await ledger.holds()
    for start in range(0, len(budgets), _AT_ONCE):
        some = budgets[start : start + _AT_ONCE]
        spent = await ledger.spent([each.account for each in some])
        for each, recorded in zip(some, spent, strict=True):
            if recorded is not None:
                with suppress(ValueError):
                    found[each.account] = usage_of(each.account, each.limits, recorded, holds)
        await asyncio.sleep(0)
    return found
