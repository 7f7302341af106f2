"""Remembers answers: here at once, in Redis behind the reply, in all versions of an index that are written now. Called
by `recall`, and by `comparing` for what is remembered.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from tollway_api.routing_policy import CacheMode
from tollway_api.snapshot import Index, IndexVersion, Policy, Snapshot
from tollway_dataplane.background import begun
from tollway_dataplane.cache.embedders import Embedders
from tollway_dataplane.cache.forgetting import Forgetting
from tollway_dataplane.cache.lookup import Lookup, Patience
from tollway_dataplane.errors import CacheFault, EmbedderFault
from tollway_dataplane.judgement.judge import View, is_own
from tollway_dataplane.ports import MOST_ANSWER_BYTES, AnswerCache, FoundBy, Place, Remembered, Vector

_MOST_PENDING: Final = 1_000
_EMBED_BESIDE_S: Final = 2.0  # for a version that lookups do not ask; nobody waits for it


class Remembering:
    def __init__(
        self,
        cache: AnswerCache,
        forgetting: Forgetting,
        embedders: Embedders,
        on_store: Callable[[str], None],
    ) -> None:
        self._cache = cache
        self._forgetting = forgetting
        self._embedders = embedders
        self._on_store = on_store
        self._stores: dict[asyncio.Task[None], str] = {}  # with the keys of their entries
        self._indexes: Mapping[str, Index] = {}  # those that are there now, by id

    async def follow(self, snapshot: Snapshot) -> None:
        """From now on what is remembered goes into the indexes of the snapshot and their versions, also by requests
        that began before it. Ends when nothing else is under way any more, which takes no longer than a store's
        deadline.
        """
        before, self._indexes = self._indexes, snapshot.indexes
        for index_id in before.keys() - snapshot.indexes.keys():
            self._forgetting.forget_index(index_id)
        if any(
            index_id not in snapshot.indexes or snapshot.indexes[index_id].versions != index.versions
            for index_id, index in before.items()
        ):
            await self.drain()

    async def found(self, place: Place, patience: Patience) -> Remembered | None:
        """What is remembered there, unless it is evicted meanwhile; what this process has kept takes no round trip.
        Raises CacheFault.
        """
        answer = self._forgetting.recalled(place)
        if answer is None and not self._forgetting.is_evicted(place):
            with patience.spend() as within_s:
                answer = await self._cache.get(place, within_s)
            if answer is not None:
                self.keep(place, answer)
        return None if self._forgetting.is_evicted(place) else answer

    def keep(self, place: Place, answer: Remembered) -> bool:
        """In this process; whether the index is still there to remember it."""
        stands = place.index.id in self._indexes
        if stands:
            self._forgetting.keep(place, answer)
        return stands

    def is_under_way(self, place: Place) -> bool:
        return place.key in self._stores.values()

    def remember(self, lookup: Lookup, policy: Policy, body: bytes, model: str, cost_nano: int) -> None:
        """Stores a good answer: here at once, in Redis behind the reply."""
        place = lookup.place
        if place is None or policy.cache is None or policy.cache.mode is CacheMode.READ_ONLY:
            return
        if len(body) > MOST_ANSWER_BYTES:
            self._on_store("AnswerTooLarge")
            return
        if self._forgetting.voids(place):
            self._on_store("Purged")
            return
        expires_at, grace_ms = time.time() + place.index.ttl_ms / 1_000, policy.cache.stale_if_error_ms or 0
        answer = Remembered(body, model, cost_nano, expires_at, grace_ms)
        if not self.keep(place, answer):
            self._on_store("IndexGone")
            return
        if len(self._stores) >= _MOST_PENDING:
            self._on_store("TooManyPending")
            return
        task = begun(self._store(lookup, place, answer))
        self._stores[task] = place.key
        task.add_done_callback(self._stores.pop)

    async def _store(self, lookup: Lookup, place: Place, answer: Remembered) -> None:
        outcome = "Unforeseen"
        try:
            await self._cache.put(place, await self._found_by(lookup, place), answer)
            outcome = "Stored"
        except CacheFault as fault:
            outcome = fault.reason
        finally:
            self._on_store(outcome)
            if outcome == "Stored":
                self._cache.claims.forget(place)
            else:
                self._cache.claims.release(place)

    async def _found_by(self, lookup: Lookup, place: Place) -> FoundBy | None:
        """The vectors by which the answer is found, of the versions that are written now; the lookup's may be none of
        them any more. A version whose embedding is not to be had goes without, rather than that nothing is remembered.
        """
        if lookup.view is None:
            return None
        vectors = []
        for version in self._indexes.get(place.index.id, place.index).versions:
            try:
                vectors.append((version, await self._vector(lookup.view, lookup, version)))
            except (EmbedderFault, TimeoutError):
                self._on_store("NotEmbedded")
        return FoundBy(lookup.view, vectors)

    async def _vector(self, view: View, lookup: Lookup, version: IndexVersion) -> Vector:
        if is_own(version.embedding):
            return view.vector
        asked = lookup.place.index.version.embedding if lookup.place else None
        if lookup.vector is not None and asked == version.embedding:
            return lookup.vector
        async with asyncio.timeout(_EMBED_BESIDE_S):
            (vector,) = await self._embedders.anew(version, [view.reading.text])
        return vector

    async def drain(self) -> None:
        """Waits for what is under way."""
        await asyncio.gather(*self._stores, return_exceptions=True)  # which have been reported
        await self._cache.claims.drain()
