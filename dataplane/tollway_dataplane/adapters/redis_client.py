"""The clients of this plane's Redis, and which of their exceptions mean what. Used by the Redis adapters."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tollway_dataplane.logs import JsonLog
from tollway_redis.connecting import connect

__all__ = ["CACHE_REPLICA", "REDIS_ERRORS", "connect", "connected"]

# What a call to Redis may raise. OSError and TimeoutError come through from the socket.
REDIS_ERRORS: Final = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)
_MOST_SAID: Final = 100
# The role whose commands a cluster's replicas may answer.
CACHE_REPLICA: Final = "cache replica"


@asynccontextmanager
async def connected(servers: Iterable[tuple[str, str, float]], log: JsonLog) -> AsyncIterator[list[Redis]]:
    """A client for each role, URL and deadline. What is refused them is said once."""
    said: set[tuple[str, str]] = set()
    clients = [
        connect(
            url, deadline_s, refused=partial(_refused, log, said, role), reads_replicas=role == CACHE_REPLICA
        )
        for role, url, deadline_s in servers
    ]
    try:
        yield clients
    finally:
        for client in clients:
            await client.aclose()


def _refused(log: JsonLog, said: set[tuple[str, str]], role: str, why: str) -> None:
    if (role, why) not in said and len(said) < _MOST_SAID:
        said.add((role, why))
        log.warning("Redis refuses what Tollway needs", redis=role, reason=why)
