"""Vectors whose answers are gone: a Redis that is full evicts one and leaves the other. Whoever meets one is led to
nothing, and sees one candidate less, so they are deleted, behind the reply. Called by `comparing`.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from tollway_dataplane.background import begun
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import AnswerCache, Place

_MOST_PENDING: Final = 100


class OrphanVectors:
    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache
        self._under_way: set[asyncio.Task[None]] = set()

    def lay(self, places: Sequence[Place]) -> None:
        """Takes no time and never fails. What is not done now is when the next one meets them."""
        if places and len(self._under_way) < _MOST_PENDING:
            task = begun(self._lay(places))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _lay(self, places: Sequence[Place]) -> None:
        for place in places:
            try:
                await self._cache.unlink_orphan(place)
            except CacheFault:
                return

    async def drain(self) -> None:
        """Waits for what is under way, which takes no longer than writes may."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
