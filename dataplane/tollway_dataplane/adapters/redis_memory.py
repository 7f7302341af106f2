"""Whether the two Redis answer and how full they are, asked now and then for the metrics."""

import asyncio
from collections.abc import Mapping
from typing import Final

from redis.asyncio import Redis

from tollway_dataplane.adapters.redis_client import REDIS_ERRORS
from tollway_dataplane.telemetry.metrics import ProcessMetrics
from tollway_redis.cluster import primaries

_EVERY_S: Final = 5.0
_DEADLINE_S: Final = 2.0


async def watch_memory(clients: Mapping[str, Redis], metrics: ProcessMetrics) -> None:
    """Runs for the life of the process. `clients` by role. A Redis that is away keeps its last figure."""
    while True:
        for role, redis in clients.items():
            try:
                async with asyncio.timeout(_DEADLINE_S):
                    memory = [await each.info("memory") for each in await primaries(redis)]
            except REDIS_ERRORS:
                metrics.redis_up.labels(role).set(0)
                continue
            metrics.redis_up.labels(role).set(1)
            metrics.redis_memory.labels(role).set(sum(each["used_memory"] for each in memory))
            metrics.redis_max_memory.labels(role).set(sum(each["maxmemory"] for each in memory))
        await asyncio.sleep(_EVERY_S)
