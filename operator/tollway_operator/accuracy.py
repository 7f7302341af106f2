"""What labels say of what is bounded, of the error rate of indexes and of the simple models' answers, read from the
cache now and then for the statuses; the data planes count them, and serve by them.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tollway_api.error_control import Standing, standing
from tollway_api.snapshot import Snapshot
from tollway_api.wire import Sample, choices_of, hits_of
from tollway_operator.errors import StoreFault
from tollway_operator.redis_store import RedisStore

log = logging.getLogger(__name__)

_SOON_S: Final = 0.1


class AccuracyReader:
    """`standings` by what is counted; `fault` says why they are not known, or no longer."""

    def __init__(self, cache: RedisStore, every_s: float, on_change: Callable[[], None]) -> None:
        self._cache = cache
        self._every_s = every_s
        self._on_change = on_change
        self.standings: dict[Sample, Standing] = {}
        self.fault = ""

    async def run(self, current: Callable[[], Snapshot | None]) -> None:
        """Runs for the life of the process, over the current snapshot."""
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
                    log.warning("how good served answers are is not known", extra={"reason": self.fault})
            if (self.standings, self.fault) != before:
                self._on_change()
            await asyncio.sleep(self._every_s)

    async def _read(self, snapshot: Snapshot) -> dict[Sample, Standing]:
        samples = filter(
            None, (*map(hits_of, snapshot.indexes.values()), *map(choices_of, snapshot.policies))
        )
        return {
            sample: standing(await self._cache.tallies(sample), sample.control.bound) for sample in samples
        }
