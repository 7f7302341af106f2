"""The one thing the operator owns outside Kubernetes: what a SemanticCacheIndex remembers in Redis. A finalizer holds
the object until that is deleted, but not for ever when Redis is gone for good.
"""

import asyncio
import logging
from time import monotonic
from typing import Final

from tollway_api import wire
from tollway_api.meta import Resource
from tollway_api.semantic_cache_index import DeletionPolicy, SemanticCacheIndexSpec
from tollway_operator.errors import Conflict, KubeFault, LeadershipLost, NotFound, StoreFault, StoreRefusal
from tollway_operator.events import Events
from tollway_operator.incremental_deletion import IncrementalDeletion
from tollway_operator.kube import Kube, Moment
from tollway_operator.lease import Leadership
from tollway_operator.metrics import Metrics
from tollway_operator.objects import ABANDON_ANNOTATION, Held
from tollway_operator.redis_store import RedisStore, Walk

log = logging.getLogger(__name__)

FINALIZER: Final = "tollway.dev/remembered-answers"
_SAY_AFTER_S: Final = 10.0
_SOON_S: Final = 1.0  # for which a run waits for one object at most, while there is time for it
_LEAST_S: Final = 0.1  # for which it waits in any case, since the API server is mostly well


class Deletion:
    def __init__(
        self,
        kube: Kube,
        cache: RedisStore,
        leadership: Leadership,
        metrics: Metrics,
        release_after_s: float,
        events: Events,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._leadership = leadership
        self._metrics = metrics
        self._release_after_s = release_after_s
        self._events = events
        self._since: dict[str, float] = {}  # when this leader first tried, by uid; a wall clock may jump
        self._said: set[tuple[str, str]] = set()  # of which uid, and the reason
        self._away = ""  # why Redis did not answer in this run
        self._until = float("inf")  # on the monotonic clock: as long as a run has time for
        self._incremental = IncrementalDeletion[str]()  # of indexes that are being deleted, by uid
        self._writing: dict[str, asyncio.Task[str]] = {}  # finalizers, by uid

    def begin_turns(self, until: float) -> None:
        """Of all indexes in a run, which have time until then on the monotonic clock."""
        self._until = until

    async def hold(self, held: Held) -> bool:
        """False where it was to be held and has changed or gone meanwhile. Raises KubeFault."""
        if is_held(held):
            return True
        return await self._write(held, [*held.finalizers, FINALIZER])

    def begin_run(self, away: str) -> None:
        """A Redis that does not answer is asked once in a run, since many indexes that each wait for it would hold up
        everybody. `away` is why it has not answered in this one already, or "".
        """
        self._away = away
        self._incremental.begin_run()

    def tried_at(self, held: Held) -> float:
        """By which those come first in a run for which there was least time before."""
        return self._incremental.tried_at(held.uid)

    async def settle(self, held: Held, why_in_use: str, *, may_forget: bool = True) -> bool:
        """Lets go what is not to be held any more, and deletes what it stands for. `why_in_use` says why some pod may
        still write into the index, once that is deleted; "" when none can. Where that is every pod, because what is
        published may name it, `may_forget` is false, and the index stays also when the object is let go. False where it
        was to be let go and has changed meanwhile, or more is to be deleted than one run has time for.

        Raises KubeFault, StoreFault and LeadershipLost.
        """
        if FINALIZER not in held.finalizers:
            return True
        if not held.deleted_at:
            # Of a spec that this version does not understand nobody knows whether it is to be kept.
            return _deletes(held) or not _is_understood(held) or await self._release(held)
        waited_s = monotonic() - self._since.setdefault(held.uid, monotonic())
        let_go = held.abandoned or waited_s > self._release_after_s
        if why_in_use and not let_go:
            if waited_s > _SAY_AFTER_S:
                self._say_once(held, "DeletionWaits", self._why_it_waits(held, why_in_use))
            return True
        left_behind = await self._emptied(held, why_in_use if not may_forget else "", let_go=let_go)
        if left_behind:
            self._say_once(held, "Abandoned", self._why_let_go(held, left_behind))
        if left_behind is None or not await self._release(held):
            return False
        self._said = {each for each in self._said if each[0] != held.uid}
        self._since.pop(held.uid, None)
        self._incremental.forget(held.uid)
        return True

    async def _emptied(self, held: Held, why_not: str, *, let_go: bool) -> str | None:
        """Why something stays in Redis that was to be deleted, or whose fate nobody knows; None where it is still being
        deleted.
        """
        if not _is_understood(held):
            return "its spec is not understood"
        if not _deletes(held):
            return ""
        if why_not:
            return why_not
        try:
            return "" if await self._forget(held) else None
        except StoreFault as fault:
            if not isinstance(fault, StoreRefusal):
                self._away = str(fault)
            if not let_go:
                self._say_once(held, "DeletionWaits", self._why_it_waits(held, str(fault)))
                raise
            return str(fault)

    async def _release(self, held: Held) -> bool:
        return await self._write(held, [each for each in held.finalizers if each != FINALIZER])

    async def _forget(self, held: Held) -> bool:
        """Whether nothing is left. Raises StoreFault and LeadershipLost."""
        if self._away:
            raise StoreFault(self._away)

        async def delete(for_s: float, walk: Walk) -> None:
            index_id = held.identity.path
            for name in await self._cache.names():
                if wire.owner_of(name) == index_id:
                    await self._claim()
                    await self._cache.drop(name)
                    self._metrics.index_operations.labels("delete").inc()
            await self._claim()
            await self._cache.forget(index_id, for_s, walk)
            if walk.complete:
                log.info("forgotten", extra={"index": index_id, "keys": walk.deleted})

        return await self._incremental.go_on(held.uid, delete) is not None

    async def _claim(self) -> None:
        """Somebody who slept must not delete what has been remembered anew meanwhile."""
        if not await self._cache.claim(self._leadership.fence()):
            raise LeadershipLost("a later leader has written to the cache Redis")

    async def _write(self, held: Held, finalizers: list[str]) -> bool:
        """False where it has changed or gone meanwhile. Raises KubeFault, also where that takes long: it goes on by
        itself then, and an event tells what has come of it.
        """
        # In the same words each time: a status that says so another way would be another version of the object, and so
        # keep the finalizers from being written in the end.
        slow = KubeFault(f"the API server takes its time to write the finalizers of {held.identity}")
        if held.uid in self._writing:
            raise slow
        writing = asyncio.create_task(
            self._kube.set_finalizers(held.identity, held.resource_version, finalizers)
        )
        patience_s = max(_LEAST_S, min(_SOON_S, self._until - monotonic()))
        done, _ = await asyncio.wait({writing}, timeout=patience_s)
        if not done:
            self._writing[held.uid] = writing
            writing.add_done_callback(lambda task: self._written(held, task))
            raise slow
        try:
            version = writing.result()
        except (Conflict, NotFound):
            return False
        # As if its event had come already, so that this run can go on with it.
        held.resource_version, held.finalizers = version, tuple(finalizers)
        return True

    def _written(self, held: Held, task: "asyncio.Task[str]") -> None:
        """Late."""
        del self._writing[held.uid]
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.warning("late", extra={"index": held.identity.path, "reason": str(fault)})

    def _say_once(self, held: Held, reason: str, note: str) -> None:
        if (held.uid, reason) not in self._said:
            self._said.add((held.uid, reason))
            log.warning(reason, extra={"index": held.identity.path, "reason": note})
            self._events.announce(Moment(held.identity, held.uid, reason, note, warning=True))

    def _why_it_waits(self, held: Held, why: str) -> str:
        return (
            f"What it remembers cannot be deleted: {why}. This is tried again, and given up "
            f"{self._release_after_s:g} s after that was begun. To give it up now: kubectl annotate "
            f"-n {held.identity.namespace} sci {held.identity.name} {ABANDON_ANNOTATION}=true"
        )

    @staticmethod
    def _why_let_go(held: Held, fault: str) -> str:
        why = "it could not be deleted in time"
        if held.abandoned:
            why = f"it has the annotation {ABANDON_ANNOTATION}"
        elif not _is_understood(held):
            why = "nobody knows whether it is to be kept"
        return f"What it remembered may still be in Redis; it is let go because {why}: {fault}"


def is_held(held: Held) -> bool:
    """Whether something may be made for an index: an object without a finalizer is gone as soon as it is deleted, and
    nobody would know of what was made for it. What is to stay in Redis in any case needs none.
    """
    return bool(held.deleted_at) or not _deletes(held) or FINALIZER in held.finalizers


def _is_understood(held: Held) -> bool:
    return isinstance(held.parsed, Resource)


def _deletes(held: Held) -> bool:
    spec = held.parsed.spec if isinstance(held.parsed, Resource) else None
    return isinstance(spec, SemanticCacheIndexSpec) and spec.deletion_policy is DeletionPolicy.DELETE
