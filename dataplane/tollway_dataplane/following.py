"""Keeps the process on the newest snapshot that any of its sources has: when it is told of one, and now and then by
itself, so that a notification that is lost is only late.
"""

import asyncio
import random
from collections.abc import Sequence

from tollway_dataplane.errors import SnapshotFault
from tollway_dataplane.live import Live
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.ports import SnapshotSource

_UNTIL_FIRST_S = 1.0


class Following:
    """`rejected` says why the newest snapshot is not the one that runs, and is empty when it is."""

    def __init__(self, live: Live, sources: Sequence[SnapshotSource], log: JsonLog) -> None:
        self._live = live
        self._sources = sources
        self._log = log
        self._lock = asyncio.Lock()
        self.rejected = ""

    async def run(self, every_s: float) -> None:
        """Runs for the life of the process."""
        while True:
            await self.refresh()
            wait_s = every_s if self._live.revision else min(every_s, _UNTIL_FIRST_S)
            # Spread out, so that the pods of a large installation do not ask all at once.
            await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret

    async def refresh(self) -> None:
        """Takes what is new. What cannot be run is said once, and the last good one stays."""
        async with self._lock:
            trouble = ""
            for source in self._sources:
                try:
                    await self._take(source)
                except SnapshotFault as fault:
                    trouble = str(fault)
            if trouble and trouble != self.rejected:
                self._log.warning("snapshot rejected", reason=trouble, keeps=self._live.revision)
            self.rejected = trouble

    async def _take(self, source: SnapshotSource) -> None:
        head = await source.head()
        # A mounted Secret lags behind the API, so an older head is no news.
        if head is None or head.digest == self._live.digest or head.order < self._live.order:
            return
        revision = await self._live.offer(await source.encoded(head), head.order)
        self._log.info("snapshot runs", revision=revision)
