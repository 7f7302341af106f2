"""The finalizers of all indexes: each is set before anything is made for its index, and removed once that is deleted
and emptied. Every index has its turn in each run; one that hangs must keep neither another from its turn nor the rest
of the run waiting. `deletion` does it for one index.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from time import monotonic
from typing import Final

from tollway_api import semantic_cache_index
from tollway_api.meta import Identity
from tollway_operator.deletion import Deletion
from tollway_operator.errors import KubeFault, StoreFault
from tollway_operator.lease import Leadership
from tollway_operator.objects import Held, Objects
from tollway_operator.retries import Retries

log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
_FOR_S: Final = 1.0  # of a run, for each of the two; those that are left have theirs in the next


class IndexFinalizers:
    """`tick` hears that it goes on, `wake` that another run is needed."""

    def __init__(
        self,
        objects: Objects,
        deletion: Deletion,
        leadership: Leadership,
        tick: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self._objects = objects
        self._deletion = deletion
        self._leadership = leadership
        self._tick = tick
        self._wake = wake
        self._holds = Retries[Identity]()  # of indexes that could not be held
        self._releases = Retries[Identity]()  # of those that could not be let go

    @property
    def due_in_s(self) -> float:
        """Until one is to be tried again."""
        return min(self._holds.due_in_s, self._releases.due_in_s)

    def why_unheld(self, index: Identity) -> str:
        """Why it could not be held; "" where that was not refused."""
        return self._holds.faults.get(index, "")

    async def hold(self) -> None:
        """Raises LeadershipLost."""
        await self._each(self._deletion.hold, self._holds, "cannot be held")

    async def settle(
        self, used: str, unnamed: Collection[str], store_fault: str, *, may_forget: bool
    ) -> None:
        """Those that are deleted. `used` is why some pod may still write into one, or ""; `unnamed` are the uids of
        those that what is published does not name: one deleted since waits for the next run. `store_fault` is why Redis
        is away. Raises StoreFault and LeadershipLost.
        """

        async def settle(held: Held) -> bool:
            if held.deleted_at and held.uid not in unnamed:
                return False
            return await self._deletion.settle(held, used, may_forget=may_forget)

        self._deletion.begin_run(store_fault)
        await self._each(settle, self._releases, "cannot be let go")

    async def _each(
        self, work: Callable[[Held], Awaitable[bool]], retries: Retries[Identity], complaint: str
    ) -> None:
        """What the API server will not do is tried again after pauses of its own, and that Redis does not answer is
        raised after all have had their turn, or as many as there is time for. `work` is False where an object has
        changed meanwhile, or there was not the time for all of it. Raises StoreFault and LeadershipLost.
        """
        indexes = [each for each in self._objects if each.identity.kind == semantic_cache_index.KIND]
        retries.keep_only({held.identity for held in indexes})
        due = [held for held in indexes if retries.is_due(held.identity)]
        # What has failed comes after all others, so that what hangs takes no time from what may not.
        due.sort(key=lambda held: (held.identity in retries, self._deletion.tried_at(held)))
        turns, until = iter(due), monotonic() + _FOR_S
        self._deletion.begin_turns(until)

        async def in_turn() -> StoreFault | None:
            fault: StoreFault | None = None
            for held in turns:
                self._tick()
                self._leadership.fence()
                try:
                    if not await work(held):
                        self._wake()  # also where what changed is a status of our own, of which no event is news
                    retries.succeeded(held.identity)
                except KubeFault as found:
                    log.warning(complaint, extra={"index": held.identity.path, "reason": str(found)})
                    retries.failed(held.identity, found)
                except StoreFault as found:
                    fault = found
                if monotonic() > until:
                    self._wake()
                    break
            return fault

        faults = await asyncio.gather(*(in_turn() for _ in range(_AT_ONCE)))
        if fault := next((each for each in faults if each is not None), None):
            raise fault
