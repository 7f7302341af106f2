"""Makes all data planes forget, through the cache's Redis: a purge is an epoch in a hash that each of them follows, an
evicted entry is an item of a stream. Both are read in turn, by waiting on the stream: what is said there is heard at
once, and what was said while a data plane was away is still there when it comes back.
"""

from collections.abc import Sequence
from importlib.resources import files
from time import monotonic
from typing import Any, Final, cast

from redis.asyncio import Redis

from tollway_api import epochs, wire
from tollway_api.epochs import Epochs, Scope
from tollway_dataplane.adapters.redis_faults import cache_faults
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import News, Place
from tollway_redis.cluster import primaries

_SCRIPT: Final = files("tollway_dataplane.adapters").joinpath("epochs.lua").read_text("utf-8")
_MOST_NEWS: Final = 1_000
_SCAN_COUNT: Final = 500
# At a time, because Redis answers nobody meanwhile, and taking a vector out of its graph takes it a while.
_UNLINKED_AT_ONCE: Final = 16
_SWEEP_LEASE_MS: Final = 30_000
_BEGINNING: Final = "0-0"


class RedisForgetter:
    """`deadline_s` bounds each call, besides what `news` is told to wait."""

    def __init__(self, redis: Redis, deadline_s: float) -> None:
        self._redis = redis
        self._deadline_s = deadline_s
        self._heard = ""  # the last item of the stream

    async def news(self, known: Epochs, wait_s: float, *, trusted: bool) -> News:
        evicted, may_lack = await self._evicted(wait_s)
        asked_at = monotonic()
        async with cache_faults("read epochs", self._deadline_s):
            version = await self._redis.hget(wire.EPOCHS_KEY, epochs.VERSION)
            if version is not None and version == str(known.version).encode():
                return News(known, asked_at, evicted, may_lack)
            found = await self._read()
            missing = known.missing_in(found)
            if missing or not found.by_scope:
                pairs = [word for scope, epoch in missing.items() for word in (str(scope), str(epoch))]
                await self._run("keep", "0" if trusted else "1", *pairs)
                found = await self._read()
        return News(known.merged(found), asked_at, evicted, may_lack)

    async def _evicted(self, wait_s: float) -> tuple[list[str], bool]:
        async with cache_faults("wait for news", wait_s + self._deadline_s):
            if not self._heard:
                latest: Any = await self._redis.xrevrange(wire.NEWS_KEY, count=1)
                self._heard = latest[0][0].decode() if latest else _BEGINNING
                return [], True
            block_ms = round(wait_s * 1_000) or None
            read: Any = await self._redis.xread({wire.NEWS_KEY: self._heard}, block=block_ms)
        items: list[tuple[bytes, dict[bytes, bytes]]] = read[0][1] if read else []
        if items:
            self._heard = items[-1][0].decode()
        evicted = [fields[b"evicted"].decode() for _, fields in items if fields and b"evicted" in fields]
        # What is older has been cut off.
        return evicted, len(items) >= _MOST_NEWS

    async def _read(self) -> Epochs:
        try:
            return Epochs.parse(await self._hash())
        except ValueError as exc:
            raise CacheFault(CacheReason.CACHE_KEY_COLLISION, "read epochs") from exc

    async def _hash(self) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", await self._redis.hgetall(wire.EPOCHS_KEY))

    async def purge(self, scope: Scope) -> int:
        async with cache_faults("purge", self._deadline_s):
            return int(await self._run("purge", str(scope), _MOST_NEWS))

    async def _run(self, *words: str | int) -> str:
        # Whole, not by its digest: it is rare, and a Redis that has restarted knows no script.
        return str(await self._redis.eval(_SCRIPT, 2, wire.EPOCHS_KEY, wire.NEWS_KEY, *words))

    async def evict(self, place: Place) -> None:
        key = place.key
        async with cache_faults("evict", self._deadline_s):
            pipeline = self._redis.pipeline(transaction=False)
            for version in place.index.versions:
                pipeline.unlink(wire.vector_key(version, place.partition, place.entry))
            pipeline.unlink(key)
            await pipeline.execute()
            # Said after it is gone, so that nobody who has heard of it fetches it again. On a cluster it is said to
            # another server, so not in the same round trip.
            await self._redis.xadd(wire.NEWS_KEY, {"evicted": key}, maxlen=_MOST_NEWS, approximate=False)

    async def sweep(self, after_s: float) -> int | None:
        async with cache_faults("look what is void", self._deadline_s):
            hash_of = await self._hash()
            swept, (seconds, _) = int(hash_of.get(epochs.SWEPT.encode(), 0)), await self._redis.time()
            current = Epochs.parse(hash_of)
            is_due = swept < current.version <= (seconds - after_s) * 1_000
            if not is_due or not await self._lease():
                return None
            servers = await primaries(self._redis)
        deleted = 0
        for each in servers:
            deleted += await self._swept(each, current)
        async with cache_faults("note what was deleted", self._deadline_s):
            await self._redis.hset(wire.EPOCHS_KEY, epochs.SWEPT, str(current.version))
            await self._redis.delete(wire.SWEEP_KEY)
        return deleted

    async def _swept(self, redis: Redis, current: Epochs) -> int:
        """How many keys were void on one server, and are deleted."""
        deleted, cursor = 0, -1
        found: Any
        while cursor:
            async with cache_faults("delete what is void", self._deadline_s):
                cursor, found = await redis.scan(max(cursor, 0), wire.REMEMBERED_PATTERN, _SCAN_COUNT)
                await self._redis.pexpire(wire.SWEEP_KEY, _SWEEP_LEASE_MS)
            names = [key.decode("utf-8", "replace") for key in found]
            void = [each for each in names if each.startswith(wire.REMEMBERED) and current.voids(each)]
            deleted += await self._unlink(void)
        return deleted

    async def _lease(self) -> bool:
        """One at a time is enough; two would do no harm."""
        return bool(await self._redis.set(wire.SWEEP_KEY, "1", nx=True, px=_SWEEP_LEASE_MS))

    async def _unlink(self, keys: Sequence[str]) -> int:
        deleted = 0
        for start in range(0, len(keys), _UNLINKED_AT_ONCE):
            async with cache_faults("delete what is void", self._deadline_s):
                pipeline = self._redis.pipeline(transaction=False)
                for key in keys[start : start + _UNLINKED_AT_ONCE]:
                    pipeline.unlink(key)
                deleted += sum(await pipeline.execute())
        return deleted
