"""How this plane connects to Redis, and which of its exceptions mean what. Used by the Redis adapters."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

# What a call to Redis may raise. OSError and TimeoutError come through from the socket.
REDIS_ERRORS: Final = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)


def connect(url: str, deadline_s: float, max_connections: int = 64) -> Redis:
    """A client that never waits longer than `deadline_s` for a connection, and never retries by itself: a retried
    script could count twice, and a cache that needs a second try is slower than a miss. Whoever calls bounds the
    call as a whole; the library would set a timer for each of a pipeline's replies.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=deadline_s,
        socket_timeout=None,
        socket_connect_timeout=deadline_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        protocol=2,  # the shape of RediSearch's replies differs between protocols; this one every server speaks
    )
    return Redis.from_pool(pool)


@asynccontextmanager
async def connected(servers: Iterable[tuple[str, float]]) -> AsyncIterator[list[Redis]]:
    """A client for each URL and deadline."""
    clients = [connect(url, deadline_s) for url, deadline_s in servers]
    try:
        yield clients
    finally:
        for client in clients:
            await client.aclose()
