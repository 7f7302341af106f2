"""What tenants have spent, read from the ledger now and then for the statuses; the data planes do the counting."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tollway_api.meta import TenantName
from tollway_api.snapshot import Snapshot
from tollway_api.windows import Usage, usage_of
from tollway_operator.errors import StoreFault
from tollway_operator.redis_store import RedisStore

log = logging.getLogger(__name__)

_AT_ONCE: Final = 500
_SOON_S: Final = 0.1


class UsageReader:
    """`usage` by tenant, of those whose account makes sense, for the limits they had then; `fault` says why it is not
    known of any.
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
        self.usage: dict[TenantName, list[Usage]] = {}
        self.fault = ""
        self.has_read = False  # of what is compiled

    async def run(self, current: Callable[[], Snapshot | None]) -> None:
        """Runs for the life of the process, over the tenants of the current snapshot."""
        while True:
            snapshot = current()
            if snapshot is None:
                await asyncio.sleep(_SOON_S)
                continue
            before = (self.usage, self.fault, self.has_read)
            try:
                self.usage, self.fault = await self._read(snapshot), ""
                self.has_read = True
            except StoreFault as fault:
                self.fault = str(fault)
                if self.fault != before[1]:
                    log.warning("what was spent is not known", extra={"reason": self.fault})
            if (self.usage, self.fault, self.has_read) != before:
                self._on_change()
            await asyncio.sleep(self._every_s)

    async def _read(self, snapshot: Snapshot) -> dict[TenantName, list[Usage]]:
        tenants = [each for each in snapshot.tenants.values() if each.limits]
        found: dict[TenantName, list[Usage]] = {}
        for start in range(0, len(tenants), _AT_ONCE):
            some = tenants[start : start + _AT_ONCE]
            now_ms, accounts = await self._ledger.accounts(some)
            for tenant, account in zip(some, accounts, strict=True):
                if account is not None:
                    with suppress(ValueError):
                        found[tenant.name] = usage_of(tenant.limits, account, now_ms)
            await asyncio.sleep(0)
        return found
