"""Purges that are asked for on a SemanticCacheIndex: an annotation says since when what it remembers counts. Some
data plane is asked, which knows how, until Redis says that it is done; so nobody has to remember that it was asked for.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Final

from tollway_api.epochs import Epochs, Scope
from tollway_operator.objects import Held

log = logging.getLogger(__name__)

_AT_ONCE: Final = 8  # the others' turn is the next


class AskedPurges:
    """`purge` is told of which index, and says why it was not done, or ""."""

    def __init__(
        self, objects: Iterable[Held], leads: Callable[[], bool], purge: Callable[[str], Awaitable[str]]
    ) -> None:
        self._objects = objects
        self._leads = leads
        self._purge = purge
        self._troubles: dict[str, str] = {}  # as they were said, by uid

    async def settle(self, found: Epochs) -> None:
        """`found` is what Redis has just said. What is asked for a time to come waits for it."""
        if not self._leads():
            return
        now_ms = time.time() * 1_000
        due = [
            held
            for held in self._objects
            if 0 < held.counts_since <= now_ms
            and not held.deleted_at
            and found.of(*Scope(held.identity.path).tags) < held.counts_since
        ]
        self._troubles = {held.uid: self._troubles.get(held.uid, "") for held in due}
        # Those first that have not failed.
        due.sort(key=lambda held: bool(self._troubles[held.uid]))
        await asyncio.gather(*map(self._settle, islice(due, _AT_ONCE)))

    async def _settle(self, held: Held) -> None:
        trouble = await self._purge(held.identity.path)
        if not trouble:
            log.info("purged", extra={"index": held.identity.path})
        elif trouble != self._troubles[held.uid]:
            log.warning("not purged yet", extra={"index": held.identity.path, "reason": trouble})
        self._troubles[held.uid] = trouble
