"""Look-ups on connections that are kept at hand: no reply is taken for another's, and others find some as well."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_redis.connecting import connect

POOL = 16


@pytest.fixture
async def client(cache_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    redis = connect(cache_redis.url, 1.0, POOL)
    await redis.hset("asked", mapping={"one": "1", "two": "2"})
    yield redis
    await redis.aclose()


async def ask(redis: Redis, *words: str) -> object:
    return await redis.execute_command(*words)  # type: ignore[no-untyped-call]  # the library does not type it


async def connections(redis: Redis) -> int:
    return len(await redis.client_list())


async def test_a_kept_connection_is_used_again(client: Redis) -> None:
    """One after the other they all take the same."""
    before = await connections(client)
    assert [await ask(client, "HMGET", "asked", "one", "none") for _ in range(5)] == [[b"1", None]] * 5
    assert await connections(client) <= before + 1


async def test_most_of_the_pool_is_left_to_others(client: Redis) -> None:
    """After a burst of look-ups as many others have a connection at once as ever, but for the few that are kept."""
    await asyncio.gather(*(ask(client, "HMGET", "asked", "one") for _ in range(POOL)))
    blocking = [client.blpop(["nothing"], timeout=0.5) for _ in range(POOL * 7 // 8)]
    assert await asyncio.gather(*blocking) == [None] * len(blocking)


async def test_what_the_server_refuses_spoils_no_connection(client: Redis) -> None:
    """Its complaint is the reply to what was asked, and the next is answered on the same connection."""
    await client.set("text", "no hash")
    before = await connections(client)
    for _ in range(5):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await ask(client, "HMGET", "text", "one")
        assert await ask(client, "HMGET", "asked", "two") == [b"2"]
    assert await connections(client) <= before + 1


async def test_who_leaves_early_leaves_no_reply_behind(client: Redis) -> None:
    """Where a look-up is cancelled while its reply is on the way, the next one gets its own."""
    for turns in range(8):
        leaving = asyncio.create_task(ask(client, "HMGET", "asked", "one"))
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert await ask(client, "HMGET", "asked", "two") == [b"2"]


async def test_a_connection_that_the_server_has_closed_is_made_anew(
    client: Redis, cache_redis: EmbeddedRedis
) -> None:
    """As when Redis is begun anew between two look-ups: at most those fail that were under way."""
    assert await ask(client, "HMGET", "asked", "one") == [b"1"]
    async with Redis.from_url(cache_redis.url) as other:
        await other.execute_command("CLIENT", "KILL", "SKIPME", "yes")  # type: ignore[no-untyped-call]  # the library does not type it
    await asyncio.sleep(0.05)  # for the news of it
    try:
        found = await ask(client, "HMGET", "asked", "one")
    except RedisError:
        found = await ask(client, "HMGET", "asked", "one")
    assert found == [b"1"]
