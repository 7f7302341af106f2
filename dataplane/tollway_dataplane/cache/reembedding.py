"""Fills a new index version with what was remembered before, behind the requests: one data plane at a time for each
version, no faster than its index allows, and from where the last one stopped. Whether it is done, and what is in the
way, is noted in Redis, where whoever publishes snapshots reads it.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from tollway_api.reembedding import Obstacle, Progress
from tollway_api.snapshot import IndexVersion, Snapshot, Stage
from tollway_dataplane.background import begun, end, report
from tollway_dataplane.cache.embedders import Embedders
from tollway_dataplane.core.decision import CacheReason
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


class _Turn:
    """Somebody's at one version, and how far they have come."""

    def __init__(self, store: ReembeddingStore, target: IndexVersion, fence: int, progress: Progress) -> None:
        self._store, self._target, self._fence = store, target, fence
        self.progress = progress

    async def note(self, progress: Progress) -> bool:
        """Whether the turn still stands. Raises CacheFault."""
        self.progress = progress
        return await self._store.note(self._target, self._fence, progress)

    async def end(self) -> None:
        with suppress(CacheFault):  # it ends by itself
            await self._store.release(self._target, self._fence)


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
            except Exception as error:  # noqa: BLE001 - whatever it is, lookups wait for this to go on
                report(error, "embedding anew has stopped, and is tried again")
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
        turn = _Turn(self._store, target, claim.fence, claim.progress or Progress(source.name))
        try:
            await self._fill(filling, turn)
        except Exception as error:
            with suppress(CacheFault):  # then it is the same that is in the way
                await turn.note(replace(turn.progress, fault=_said(error), obstacle=_obstacle(error)))
            raise
        finally:
            await turn.end()

    async def _fill(self, filling: _Filling, turn: _Turn) -> None:
        """Raises EmbedderFault and CacheFault."""
        source = filling.source
        standing, anew = turn.progress, await self._store.beginning(source)
        if (standing.source, standing.server) != (anew.source, anew.server):
            turn.progress = anew
        while True:
            cursor, keys = await self._store.scan(source, turn.progress.cursor)
            rest = iter(keys)
            while some := list(islice(rest, _BATCH)):
                await self._add_each(filling, some)
                done = min(turn.progress.total, turn.progress.done + len(some))
                if not await turn.note(replace(turn.progress, done=done, fault="")):
                    return
            if not await turn.note(replace(turn.progress, cursor=cursor, fault="")):
                return
            if cursor == 0:
                break
        looked_up = await self._look_up(filling, turn)
        if looked_up is None:
            return
        if (found := sum(looked_up)) < LEAST_AGREEMENT * len(looked_up):
            why = f"of {len(looked_up)} remembered prompts it finds only {found}, so it is gone through again"
            await turn.note(replace(await self._store.beginning(source), fault=why))
        else:
            await turn.note(replace(turn.progress, complete=True))

    async def _look_up(self, filling: _Filling, turn: _Turn) -> Sequence[bool] | None:
        """Whether the target finds each of a sample as a lookup will: by the vector that its prompt has when it is
        embedded once more, since a wrong vector finds itself. None where the turn is over. Raises EmbedderFault and
        CacheFault.
        """
        loop = asyncio.get_running_loop()
        found: list[bool] = []
        for each in await self._store.sample(filling.source, _SAMPLE):
            began = loop.time()
            if (is_found := await self._finds(filling, each)) is not None:
                found.append(is_found)
            if not await turn.note(turn.progress):
                return None
            await asyncio.sleep(max(0.0, began + 1 / filling.per_second - loop.time()))
        return found

    async def _finds(self, filling: _Filling, each: Lacking) -> bool | None:
        """None for one that has expired meanwhile, which nobody misses."""
        try:
            embedded = await self._vectors(filling.target, [each])
        except EmbedderFault:
            raise
        except Exception:  # noqa: BLE001 - it was reported when this one was to be added
            return False
        if not embedded:
            return False
        ((_, vector),) = embedded
        return await self._store.finds(filling.source, filling.target, each, vector)

    async def _add_each(self, filling: _Filling, keys: Sequence[str]) -> None:
        """One of which nobody foresaw what it does keeps no other from being added; if all do so, too few are found
        again. Raises EmbedderFault and CacheFault.
        """
        try:
            await self._add(filling, keys)
        except (CacheFault, EmbedderFault):
            raise
        except Exception as error:  # noqa: BLE001 - see above
            if len(keys) > 1:
                for key in keys:
                    await self._add_each(filling, [key])
            else:
                report(error, "a remembered prompt could not be embedded anew, and is left out")

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
        """The prompts with their vectors, without those that the embedder refuses. Raises EmbedderFault."""
        if not lacking:
            return []
        try:
            vectors = await self._embedders.anew(target, [each.prompt for each in lacking])
            return list(zip(lacking, vectors, strict=True))
        except TextRefused:
            halves = (lacking[: len(lacking) // 2], lacking[len(lacking) // 2 :])
            return [
                each
                for half in halves
                if len(half) < len(lacking)
                for each in await self._vectors(target, half)
            ]


def _obstacle(error: Exception) -> Obstacle:
    if not isinstance(error, CacheFault):
        return Obstacle.EMBEDDING
    return Obstacle.NO_ROOM if error.reason == CacheReason.CACHE_OUT_OF_MEMORY else Obstacle.REDIS


def _said(error: Exception) -> str:
    """What people are told of a fault. Of one that nobody foresaw not its message, which may hold a prompt."""
    if _obstacle(error) is Obstacle.NO_ROOM:
        return (
            "the cache Redis has no room for it; raise its maxmemory, "
            "or set maxmemory-policy allkeys-lru, so that old answers make room"
        )
    if isinstance(error, CacheFault | EmbedderFault):
        return str(error)
    return f"{type(error).__name__}, which nobody foresaw; a data plane's log has more"
