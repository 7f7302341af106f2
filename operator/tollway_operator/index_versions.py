"""The loop's step of provisioning: the index versions that what is compiled needs are made in the cache Redis, filled
and dropped, each run as far as it can be by then. `provision` plans what to make, `migration` decides what comes next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace

from tollway_api import wire
from tollway_api.snapshot import Index, Snapshot
from tollway_operator.compiled import Compiled, encoded_as
from tollway_operator.dropping import Dropping
from tollway_operator.errors import PublishFault, StoreFault
from tollway_operator.index_status import StoreView
from tollway_operator.metrics import Metrics
from tollway_operator.migration import (
    Known,
    abandoned,
    awaited,
    needed,
    next_snapshot,
    unfinished,
    with_left_out,
)
from tollway_operator.provision import (
    Action,
    apply,
    as_published,
    beside_others,
    cache_warnings,
    plan,
    still_ours,
)
from tollway_operator.publish import Publisher
from tollway_operator.redis_facts import IndexFacts
from tollway_operator.redis_store import RedisStore

log = logging.getLogger(__name__)


class IndexVersions:
    """`claim` is asked for leave before something is written, by raising where there is none; `index_ids` are of all
    indexes that are not deleted, also of those that are left out of what is compiled.
    """

    def __init__(
        self,
        cache: RedisStore,
        publisher: Publisher,
        metrics: Metrics,
        claim: Callable[[], Awaitable[None]],
        index_ids: Callable[[], Collection[str]],
    ) -> None:
        self._cache = cache
        self._publisher = publisher
        self._metrics = metrics
        self._claim = claim
        self._index_ids = index_ids
        self._dropping = Dropping(before_each=claim)
        # As what each index was published last, by id, at first by an earlier operator. Also of one that is left out of
        # what is published by now, such as for a mistake: once that is mended it goes on from what it remembers.
        self._before: Mapping[str, Index] = {}
        self.store = StoreView()
        self.is_moving = False  # whether an index is on its way to another version

    def published(self, snapshot: Snapshot) -> None:
        """From now on that is what stands."""
        ids = self._index_ids()
        left_out = {name: index for name, index in self._before.items() if name in ids}
        self._before = {**left_out, **snapshot.indexes}

    def encoded(self, compiled: Compiled) -> Compiled:
        """With its index versions as they can be called in this Redis, as far as it is known, and no further on their
        way than they are.
        """
        before, wanted = self._before, as_published(compiled.wanted, self._before)
        if self.store.seen:
            before = still_ours(before, self.store.indexes)
            wanted = beside_others(compiled.wanted, self.store.indexes)
        return self._encoded_as(next_snapshot(wanted, before, Known(acknowledged=False)), compiled)

    def _encoded_as(self, wanted: Snapshot, compiled: Compiled) -> Compiled:
        return encoded_as(with_left_out(wanted, self._before, self._index_ids()), compiled)

    async def provision(self, compiled: Compiled, is_acknowledged: Callable[[], bool]) -> Compiled:
        """With its index versions as they stand now. `is_acknowledged` says whether no pod runs anything but what was
        published last. A Redis that is away delays the cache and nothing else: `store` says so.
        """
        if not (self.store.seen or self.store.fault) and self._index_ids():
            standing = await self._standing()
            self._before = {**standing.left_out, **standing.indexes}
            compiled = await asyncio.to_thread(self.encoded, compiled)
        try:
            return await self._provision(compiled, is_acknowledged)
        except StoreFault as fault:
            log.warning("indexes could not be provisioned", extra={"reason": str(fault)})
            self.store = replace(self.store, fault=str(fault))
            return self.encoded(compiled)

    async def _standing(self) -> Snapshot:
        """What was published last, as far as it is whole; empty otherwise."""
        with suppress(PublishFault):  # which is met again when it comes to publishing
            if (standing := await self._publisher.published()) is not None:
                return standing.snapshot
        return Snapshot("")

    async def _provision(self, compiled: Compiled, is_acknowledged: Callable[[], bool]) -> Compiled:
        facts = await self._cache.facts()
        warnings = tuple(cache_warnings(facts))
        if facts.search_module is None:
            self.store = StoreView(warnings=warnings, seen=True)
            return compiled
        found: Mapping[str, IndexFacts] = await self._cache.indexes()
        before, acknowledged = still_ours(self._before, found), is_acknowledged()
        # What some pod may still write into is begun with anew once none does.
        gone = await self._dropping.go_on(self._cache, abandoned(found, before) if acknowledged else ())
        self._metrics.index_operations.labels("delete").inc(len(gone))
        found = {name: facts for name, facts in found.items() if name not in gone}
        left = abandoned(found, before)
        wanted = beside_others(compiled.wanted, found)
        versions = list(needed(wanted, before))
        makeable = [each for each in versions if wire.index_name(each) not in left]
        refused: Mapping[str, str] = {}
        if actions := [each for each in plan(makeable, found) if each.version]:
            refused = await self._apply(actions)
            found = await self._cache.indexes()
        made = frozenset(
            each.name for each in versions if (name := wire.index_name(each)) in found and name not in left
        )
        moving = unfinished({name: index for name, index in before.items() if name in wanted.indexes})
        progress = await self._cache.progress(beside.version for _, beside in moving)
        next_ = next_snapshot(wanted, before, Known(acknowledged, made, progress))
        self.is_moving = bool(unfinished(next_.indexes) or moving or left)
        self.store = StoreView(
            found, warnings, seen=True, refused=refused, progress=progress, awaited=awaited(wanted, next_)
        )
        return self._encoded_as(next_, compiled)

    async def _apply(self, actions: Collection[Action]) -> Mapping[str, str]:
        """What Redis refused, by name. Raises StoreFault."""
        await self._claim()
        refused = await apply(actions, self._cache)
        for action in actions:
            log.info(
                "index",
                extra={"step": action.step, "index": action.name, "refused": refused.get(action.name)},
            )
            self._metrics.index_operations.labels(action.step.lower()).inc(action.name not in refused)
        return refused
