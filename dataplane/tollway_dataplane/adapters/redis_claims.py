"""Who is asking a provider for what, over all data planes: a key that expires soon and is kept up while the asking goes
on, so that whoever dies is not waited for longer than its claim lives.
"""

import asyncio
import secrets
from typing import Final

from redis.asyncio import Redis

from tollway_dataplane.adapters.redis_batch import Command
from tollway_dataplane.adapters.redis_faults import cache_faults
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import Place

LIFE_S: Final = 3.0
_KEEP_EVERY_S: Final = LIFE_S / 3
# A stream may go on for as long as its chunks come, and who waits gives up long before.
LONGEST_KEPT_S: Final = 600.0
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class RedisClaims:
    """`deadline_s` bounds what nobody waits for."""

    def __init__(self, redis: Redis, deadline_s: float) -> None:
        self._redis = redis
        self._deadline_s = deadline_s
        self._token = secrets.token_hex(8)
        self._held: dict[str, float] = {}  # and until when each is kept up, by the loop's clock
        self._releases: set[asyncio.Task[None]] = set()

    def asked(self, place: Place) -> Command:
        """The command for one; `taken` is to be told whether it was granted."""
        return ("SET", place.claim_key, self._token, "NX", "PX", round(LIFE_S * 1_000))

    def taken(self, place: Place) -> None:
        self._held[place.claim_key] = asyncio.get_running_loop().time() + LONGEST_KEPT_S

    def release(self, place: Place) -> None:
        key = place.claim_key
        if self._held.pop(key, None) is not None:
            task = asyncio.create_task(self._release(key))
            self._releases.add(task)
            task.add_done_callback(self._releases.discard)

    def forget(self, place: Place) -> None:
        self._held.pop(place.claim_key, None)

    async def _release(self, key: str) -> None:
        try:
            async with cache_faults("release", self._deadline_s):
                await self._redis.eval(_RELEASE, 1, key, self._token)
        except CacheFault:
            return  # it expires

    async def keep(self) -> None:
        """Runs for the life of the process: keeps claims up, each for no longer than `LONGEST_KEPT_S`."""
        while True:
            await asyncio.sleep(_KEEP_EVERY_S)
            now = asyncio.get_running_loop().time()
            self._held = {key: until for key, until in self._held.items() if now < until}
            if not self._held:
                continue
            try:
                async with cache_faults("keep claims", self._deadline_s):
                    pipeline = self._redis.pipeline(transaction=False)
                    for key in self._held:
                        # One that was lost and that another has taken is kept up as well, for no longer than ours.
                        pipeline.pexpire(key, round(LIFE_S * 1_000))
                    await pipeline.execute()
            except CacheFault:
                continue

    async def drain(self) -> None:
        await asyncio.gather(*self._releases)
