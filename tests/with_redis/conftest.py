"""What several tests of the ledger need."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger


@pytest.fixture
async def redis(ledger_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    """The ledger's, where a test has no other."""
    client = connect(ledger_redis.url, 2.0)
    yield client
    await client.aclose()


@pytest.fixture
def ledger(redis: Redis) -> RedisLedger:
    return RedisLedger(redis, 2.0)
