"""What is to be forgotten, in this process: the epochs of purges, by which partitions are named, and the answers that
it keeps itself. It follows the shared cache, and trusts what it knows for a few seconds only: a data plane that cannot
ask answers nothing from memory, so that a purge holds everywhere after that time, whoever could be told.
"""

import asyncio
import random
import time
from typing import Final

from tollway_api import wire
from tollway_api.epochs import Epochs, Scope
from tollway_api.semantic_cache_index import Scope as Sharing
from tollway_api.snapshot import Index, Tenant
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.ports import Forgetter, NearCache, News, Place, Remembered

# After so long without word of the cache what is known may be wrong.
TRUSTED_S: Final = 5.0
_WAIT_S: Final = 1.0
_PAUSE_S: Final = 0.25
_LOOK_EVERY_S: Final = 2.0
# Until whoever began before a purge has found out, or has given its store up.
_SWEEP_AFTER_S: Final = 2 * TRUSTED_S
# For so long a copy of what was evicted may still be found: by a read under way, or on a replica that is behind.
READ_S: Final = 2.0
REPLICA_LAG_S: Final = 30.0
_MOST_EVICTED: Final = 1_000


class Forgetting:
    def __init__(self, near: NearCache, forgetter: Forgetter, log: JsonLog, lag_s: float = READ_S) -> None:
        self._near = near
        self._forgetter = forgetter
        self._log = log
        self._lag_s = lag_s
        self._epochs = Epochs()
        self._asked_at = float("-inf")  # when what is known was the latest
        self._evicted: dict[str, float] = {}  # until when a copy of it may still be found somewhere
        self._turn = asyncio.Lock()

    @property
    def epoch(self) -> int:
        """What was purged by then is forgotten here; 0 before anything is known."""
        return self._epochs.version

    @property
    def is_trusted(self) -> bool:
        return time.monotonic() - self._asked_at < TRUSTED_S

    def partition(self, identity: str, index: Index, tenant: Tenant) -> str | None:
        """What an identity partition is called at present; None while nobody knows: then nothing is to be looked up."""
        owner = tenant.name if index.scope is Sharing.TENANT else ""
        return self._epochs.stamped(identity, owner) if self.is_trusted else None

    def voids(self, place: Place) -> bool:
        """Whether it was purged since it was named."""
        return self._epochs.voids(place.key)

    def serves(self, place: Place) -> bool:
        """Whether what was found there may be served at this moment."""
        return self.is_trusted and not self.voids(place)

    def forget_index(self, index_id: str) -> None:
        self._near.forget(wire.entry_prefix(index_id))

    def is_evicted(self, place: Place) -> bool:
        """Whether what is found there may be what was evicted a moment ago, as on a replica that is behind."""
        return self._evicted.get(place.key, 0.0) > time.monotonic()

    def recalled(self, place: Place) -> Remembered | None:
        """What this process has kept."""
        return self._near.get(place.key, time.time())

    def keep(self, place: Place, answer: Remembered) -> None:
        if not self.is_evicted(place):
            self._near.put(place.key, answer)

    async def purge(self, scope: Scope) -> int:
        """Its epoch, once this process has forgotten. Raises CacheFault."""
        epoch = await self._forgetter.purge(scope)
        # Another may be waiting for news, and this one does not wait for it.
        self._take(News(Epochs({scope: epoch}), self._asked_at))
        self._log.info("purged", index=scope.index_id, tenant=scope.tenant, epoch=epoch)
        return epoch

    async def evict(self, place: Place) -> None:
        """One entry, everywhere: here at once, elsewhere as soon as it is heard. Raises CacheFault."""
        self._drop(place.key)
        await self._forgetter.evict(place)

    async def refresh(self, wait_s: float = 0.0) -> None:
        """Raises CacheFault, and then what is known stays so until it is too old."""
        async with self._turn:
            news = await self._forgetter.news(self._epochs, wait_s, trusted=self.is_trusted)
            self._take(news)
            self._asked_at = news.asked_at

    def _take(self, news: News) -> None:
        later = self._epochs.merged(news.epochs)
        # A purge is rare, and what it was not of is fetched again.
        if later != self._epochs or news.may_lack:
            self._near.forget("")
        self._epochs = later
        for key in news.evicted:
            self._drop(key)

    def _drop(self, key: str) -> None:
        self._near.drop(key)
        self._evicted[key] = time.monotonic() + self._lag_s
        while len(self._evicted) > _MOST_EVICTED:
            del self._evicted[next(iter(self._evicted))]

    async def run(self) -> None:
        """Runs for the life of the process."""
        fault = ""
        while True:
            try:
                await self.refresh(_WAIT_S)
                said = ""
            except CacheFault as exc:
                said = str(exc)
                await asyncio.sleep(_PAUSE_S)
            if said and said != fault:
                self._log.warning(
                    "purges cannot be followed; soon nothing is answered from memory", reason=said
                )
            fault = said

    async def sweep(self) -> None:
        """Runs for the life of the process: deletes what was purged, from wherever somebody who has died had got."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret
            try:
                deleted = await self._forgetter.sweep(_SWEEP_AFTER_S)
            except CacheFault:
                continue
            if deleted is not None:
                self._log.info("what was purged is deleted", keys=deleted)
