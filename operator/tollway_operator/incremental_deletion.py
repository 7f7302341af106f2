"""Deleting much from Redis without keeping anybody's change waiting: each run deletes for a while, and the next one
goes on where it stopped. Used for index versions (`dropping.py`) and for all that an index remembers (`deletion.py`).
"""

from collections.abc import Awaitable, Callable, Collection, Hashable
from time import monotonic
from typing import Final, Generic, TypeVar

from tollway_operator.redis_store import Walk

TURN_S: Final = 0.5  # of each run; a change that comes meanwhile waits for two at most

KeyT = TypeVar("KeyT", bound=Hashable)


class IncrementalDeletion(Generic[KeyT]):
    def __init__(self, turn_s: float = TURN_S) -> None:
        self._turn_s = turn_s
        self._ends_at: float | None = None  # the turn of this run, once it has begun, on the monotonic clock
        self._walks: dict[KeyT, Walk] = {}
        self._tried_at: dict[KeyT, float] = {}

    def begin_run(self) -> None:
        self._ends_at = None

    def tried_at(self, key: KeyT) -> float:
        """By which those come first in a run for which there was least time before."""
        return self._tried_at.get(key, 0.0)

    async def go_on(self, key: KeyT, delete: Callable[[float, Walk], Awaitable[object]]) -> int | None:
        """How many keys were deleted, once nothing is left; None where there was not the time for all. `delete` is told
        for how many seconds, and how far it has come. Raises what it raises.
        """
        walk = self._walks.setdefault(key, Walk())
        if not walk.complete:
            now = monotonic()
            if self._ends_at is None:
                self._ends_at = now + self._turn_s
            elif now >= self._ends_at:
                return None
            self._tried_at[key] = now
            await delete(self._ends_at - now, walk)
        return walk.deleted if walk.complete else None

    def keep_only(self, keys: Collection[KeyT]) -> None:
        """The others are gone, or to be begun with anew."""
        for key in self._walks.keys() - set(keys):
            self.forget(key)

    def forget(self, key: KeyT) -> None:
        self._walks.pop(key, None)
        self._tried_at.pop(key, None)
