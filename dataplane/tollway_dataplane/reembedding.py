"""Fills a new index version with what was remembered before, behind the requests: one data plane at a time for each
version, no faster than its index allows, and from where the last one stopped. Whether it is done is noted in Redis,
where whoever publishes snapshots reads it.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from tollway_api.reembedding import Progress
from tollway_api.snapshot import IndexVersion, Snapshot, Stage
from tollway_dataplane.background import begun, end
from tollway_dataplane.embedders import Embedders
from tollway_dataplane.errors import CacheFault, EmbedderFault, TextRefused
from tollway_dataplane.ports import Lacking, ReembeddingStore, Vector

LEAST_AGREEMENT: Final = 0.95  # share of a sample that must be found again before lookups switch
_SAMPLE: Final = 64
# So few at once, because a request may wait for them in the local encoder.
_BATCH: Final = 4
_LOOK_AGAIN_S: Final = 1.0
_REST_S: Final = 3.0  # after a fault, which leaves the turn to others


@dataclass(frozen=True, slots=True)
class _Filling:
    source: IndexVersion
    target: IndexVersion
    per_second: int


class Reembedder:
    def __init__(self, store: ReembeddingStore, embedders: Embedders) -> None:
        self._store = store
        self._embedders = embedders
        self._work: dict[_Filling, asyncio.Task[None]] = {}

    async def follow(self, snapshot: Snapshot) -> None:
        """From now on fills what the snapshot says. Ends when nothing else is filled any more."""
        wanted = {
            _Filling(each.version, each.beside.version, each.reembed_per_second)
            for each in snapshot.indexes.values()
            if each.beside is not None and each.beside.stage is Stage.FILLING
        }
        over = [self._work.pop(filling) for filling in self._work.keys() - wanted]
        await asyncio.gather(*map(end, over))
        for filling in wanted - self._work.keys():
            self._work[filling] = begun(self._keep_at(filling))

    async def aclose(self) -> None:
        await asyncio.gather(*map(end, self._work.values()))

    async def _keep_at(self, filling: _Filling) -> None:
        """Until it is told that this is over; what has been filled may be lost again, with all of Redis."""
        while True:
            rest_s = _LOOK_AGAIN_S
            try:
                await self._take_turn(filling)
            except (CacheFault, EmbedderFault):
                rest_s = _REST_S
            await asyncio.sleep(rest_s * random.uniform(0.8, 1.2))  # noqa: S311 - only spreads them out

    async def _take_turn(self, filling: _Filling) -> None:
        source, target = filling.source, filling.target
        known = await self._store.progress(target)
        if known is not None and known.complete and known.source == source.name:
            return
        claim = await self._store.claim(target)
        if claim is None:
            return
        try:
            standing, anew = claim.progress, await self._store.beginning(source)
            if standing is None or (standing.source, standing.server) != (anew.source, anew.server):
                standing = anew
            await self._fill(filling, claim.fence, standing)
        finally:
            with suppress(CacheFault):
                await self._store.release(target, claim.fence)

    async def _fill(self, filling: _Filling, fence: int, progress: Progress) -> None:
        """Raises EmbedderFault, which is noted, and CacheFault."""
        source, target = filling.source, filling.target
        progress = replace(progress, fault="")
        while True:
            cursor, keys = await self._store.scan(source, progress.cursor)
            rest = iter(keys)
            while some := list(islice(rest, _BATCH)):
                try:
                    await self._add(filling, some)
                except EmbedderFault as fault:
                    await self._store.note(target, fence, replace(progress, fault=str(fault)))
                    raise
                progress = replace(progress, done=min(progress.total, progress.done + len(some)))
                if not await self._store.note(target, fence, progress):
                    return
            progress = replace(progress, cursor=cursor)
            if not await self._store.note(target, fence, progress):
                return
            if cursor == 0:
                break
        found, asked = await self._store.agreement(source, target, _SAMPLE)
        if found < LEAST_AGREEMENT * asked:
            why = f"of {asked} remembered prompts it finds only {found}, so it is gone through again"
            progress = replace(await self._store.beginning(source), fault=why)
        else:
            progress = replace(progress, complete=True)
        await self._store.note(target, fence, progress)

    async def _add(self, filling: _Filling, keys: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        lacking = await self._store.lacking(filling.source, filling.target, keys)
        for each, vector in await self._vectors(filling.target, lacking):
            await self._store.add(filling.source, filling.target, each, vector)
        await asyncio.sleep(max(0.0, began + len(lacking) / filling.per_second - loop.time()))

    async def _vectors(
        self, target: IndexVersion, lacking: Sequence[Lacking]
    ) -> Sequence[tuple[Lacking, Vector]]:
        """Of a prompt that is refused there is none, and it keeps no other from having one. Raises EmbedderFault."""
        if not lacking:
            return []
        embedder = self._embedders.of(target.embedding)
        try:
            vectors = await embedder.vectors_of([each.prompt for each in lacking])
            return list(zip(lacking, vectors, strict=True))
        except TextRefused:
            halves = (lacking[: len(lacking) // 2], lacking[len(lacking) // 2 :])
            return [
                each
                for half in halves
                if len(half) < len(lacking)
                for each in await self._vectors(target, half)
            ]
