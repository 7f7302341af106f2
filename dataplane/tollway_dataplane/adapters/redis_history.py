"""What a Redis may lack that it was told lately: the last writes before a replica took over that had not got them, or
before a machine stopped that had not written them down. Whoever told it tells it again; so everything that is kept
here must change nothing when it is told twice. Used by the ledger.
"""

import asyncio
import time
from collections import deque
from typing import Final, Generic, TypeVar

from redis.asyncio import Redis

from tollway_dataplane.adapters.redis_client import REDIS_ERRORS

_T = TypeVar("_T")

# Of the time before the last that was told: a primary that nobody follows must not go on for longer
# (`min-replicas-max-lag`, ten seconds by default).
TOLD_S: Final = 60.0
_MOST_TOLD: Final = 50_000


class ToldLately(Generic[_T]):
    def __init__(self, redis: Redis, deadline_s: float) -> None:
        self._redis = redis
        self._deadline_s = deadline_s
        self._told: deque[tuple[float, _T]] = deque(maxlen=_MOST_TOLD)
        self._history = ""

    def note(self, told: _T) -> None:
        now = time.monotonic()
        self._told.append((now, told))
        self._forget_before(now - TOLD_S)

    async def perhaps_lost(self) -> list[_T]:
        """All of it, once, when the server goes on from another history than when it was asked last."""
        try:
            async with asyncio.timeout(self._deadline_s):
                found = await self._redis.info("replication")
        except REDIS_ERRORS:
            return []
        # A new one for every promotion and every start.
        before, self._history = self._history, str(found.get("master_replid", ""))
        if before in ("", self._history):
            # It has had these for so long that it will not lose them, and is not to be told of them by who was idle
            # since: it does not know for ever what it was told.
            self._forget_before(time.monotonic() - TOLD_S)
            return []
        return [told for _, told in self._told]

    def _forget_before(self, oldest: float) -> None:
        while self._told and self._told[0][0] < oldest:
            self._told.popleft()
