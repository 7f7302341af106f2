"""What labels say of the indexes whose error rate is bounded, read from the cache now and then for the statuses; the
data planes count them, and serve by them.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tollway_api.error_control import Standing, standing
from tollway_api.snapshot import Snapshot
from tollway_operator.errors import StoreFault
from tollway_operator.redis_store import RedisStore

log = logging.getLogger(__name__)

_SOON_S: Final = 0.1


class AccuracyReader:
    """`standings` by index id; `fault` says why they are not known, or no longer."""

    def __init__(self, cache: RedisStore, every_s: float, on_change: Callable[[], None]) -> None:
        self._cache = cache
        self._every_s = every_s
        self._on_change = on_change
        self.standings: dict[str, Standing] = {}
        self.fault = ""

    async def run(self, current: Callable[[], Snapshot | None]) -> None:
        """Runs for the life of the process, over the indexes of the current snapshot."""
        while True:
            snapshot = current()
            if snapshot is None:
                await asyncio.sleep(_SOON_S)
                continue
            before = (self.standings, self.fault)
            try:
                self.standings, self.fault = await self._read(snapshot), ""
            except StoreFault as fault:
                self.fault = str(fault)
                if self.fault != before[1]:
                    log.warning("how often hits are wrong is not known", extra={"reason": self.fault})
            if (self.standings, self.fault) != before:
                self._on_change()
            await asyncio.sleep(self._every_s)

    async def _read(self, snapshot: Snapshot) -> dict[str, Standing]:
        return {
            index.id: standing(await self._cache.tallies(index, index.accuracy), index.accuracy.bound)
            for index in snapshot.indexes.values()
            if index.accuracy is not None
        }
