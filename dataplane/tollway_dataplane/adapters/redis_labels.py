"""Counts judged answers in the cache's Redis, for all data planes together: a hash for each time slice, gone when it is
forgotten; and for a while, which entry a request was served from.
"""

import time
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from tollway_api import wire
from tollway_api.error_control import Label, Tally, label_field, tally_of
from tollway_api.snapshot import Index
from tollway_api.wire import Sample
from tollway_dataplane.adapters.redis_faults import cache_faults
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import Served

# How long a reply may be said to have been wrong.
_SERVED_MS: Final = 3_600_000
_JUDGED: Final = "judged"
_FIELDS: Final = ("tenant", "partition", "entry", "probability")


class RedisLabels:
    """`deadline_s` bounds each call."""

    def __init__(self, redis: Redis, deadline_s: float) -> None:
        self._redis = redis
        self._deadline_s = deadline_s

    async def tallies(self, sample: Sample) -> Sequence[Tally]:
        scale = sample.control.bound.scale
        async with cache_faults("read labels", self._deadline_s):
            pipeline = self._redis.pipeline(transaction=False)
            for key in wire.label_keys(sample, _now_ms()):
                pipeline.hgetall(key)
            return [tally_of(scale, fields) for fields in await pipeline.execute()]

    async def count(self, sample: Sample, place: int, label: Label) -> None:
        key, *_ = wire.label_keys(sample, _now_ms())
        field = label_field(sample.control.bound.scale, place, label)
        async with cache_faults("count a label", self._deadline_s):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hincrby(key, field, 1)
            # It ends after the window of the last label in it.
            pipeline.pexpire(key, sample.control.window_ms + wire.slice_ms(sample.control))
            await pipeline.execute()

    async def note(self, index: Index, request_id: str, served: Served) -> None:
        key = wire.served_key(index.id, request_id)
        async with cache_faults("note a hit", self._deadline_s):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hset(key, mapping={name: getattr(served, name) for name in _FIELDS})
            pipeline.pexpire(key, _SERVED_MS)
            await pipeline.execute()

    async def served(self, indexes: Sequence[Index], request_id: str) -> tuple[Index, Served] | None:
        async with cache_faults("look for a hit", self._deadline_s):
            pipeline = self._redis.pipeline(transaction=False)
            for index in indexes:
                pipeline.hmget(wire.served_key(index.id, request_id), list(_FIELDS))
            replies: list[list[bytes | None]] = await pipeline.execute()
        for index, values in zip(indexes, replies, strict=True):
            tenant, partition, entry, probability = (value and value.decode() for value in values)
            if tenant and partition and entry and probability:
                try:
                    return index, Served(tenant, partition, entry, float(probability))
                except ValueError as exc:
                    raise CacheFault(CacheReason.CACHE_KEY_COLLISION, "look for a hit") from exc
        return None

    async def claim(self, index: Index, request_id: str) -> bool:
        key = wire.served_key(index.id, request_id)
        async with cache_faults("claim a label", self._deadline_s):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hsetnx(key, _JUDGED, "1")
            pipeline.pexpire(key, _SERVED_MS)
            is_first, _ = await pipeline.execute()
        return bool(is_first)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
