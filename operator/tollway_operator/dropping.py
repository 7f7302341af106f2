"""Index versions that nobody uses any more are deleted, and of each run only for a while: one that has remembered much
takes longer, and others have changes too. Called by whoever provisions.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final

from tollway_operator.redis_store import RedisStore, Walk

log = logging.getLogger(__name__)

TURN_S: Final = 2.0  # of each run, for deleting in Redis


class Dropping:
    """`before_each` is asked for leave before something is deleted, by raising where there is none."""

    def __init__(
        self, turn_s: float = TURN_S, before_each: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._turn_s = turn_s
        self._before_each = before_each
        self._walks: dict[str, Walk] = {}  # how far each has come, by name

    async def go_on(self, store: RedisStore, names: Sequence[str]) -> list[str]:
        """Those of these that are gone now; what is left of the others is for the next call. One that is not among them
        any more, because it may be written again, is begun anew later. Raises StoreFault.
        """
        self._walks = {name: self._walks.get(name, Walk()) for name in names}
        ends_at, gone = monotonic() + self._turn_s, []
        for name, walk in list(self._walks.items()):
            if self._before_each is not None:
                await self._before_each()
            await store.drop_version(name, ends_at - monotonic(), walk)
            if walk.complete:
                log.info("index", extra={"step": "Drop", "index": name, "keys": walk.deleted})
                del self._walks[name]
                gone.append(name)
            if monotonic() >= ends_at:
                break
        return gone
