"""Commands of many callers that share round trips."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_batch import StepBatch
from tollway_dataplane.adapters.redis_client import REDIS_ERRORS
from tollway_redis.connecting import connect


@pytest.fixture
async def client(cache_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    client = connect(cache_redis.url, 5.0)
    yield client
    await client.aclose()


async def test_each_caller_has_the_replies_to_its_own_commands(client: Redis) -> None:
    batch = StepBatch(client, 5.0)

    async def ask(number: int) -> object:
        return await batch.run([("SET", f"key {number}", number), ("GET", f"key {number}")])

    assert await asyncio.gather(*map(ask, range(50))) == [[b"OK", b"%d" % number] for number in range(50)]


async def test_calls_that_come_meanwhile_share_one_round_trip_and_one_connection(client: Redis) -> None:
    batch = StepBatch(client, 5.0)
    before = (await client.info("stats"))["total_connections_received"]
    await asyncio.gather(*(batch.run([("INCR", "count")]) for _ in range(200)))
    assert await client.get("count") == b"200"
    assert (await client.info("stats"))["total_connections_received"] - before <= 1


async def test_what_is_one_step_is_done_as_a_whole_and_answered_without_what_makes_it_one(
    client: Redis,
) -> None:
    batch = StepBatch(client, 5.0)
    assert await batch.run([("SET", "a", 1), ("INCR", "a")], in_one_step=True) == [b"OK", 2]
    with pytest.raises(ResponseError, match="unknown command"):
        await batch.run([("SET", "b", 1), ("NO SUCH COMMAND",)], in_one_step=True)
    assert await client.get("b") is None


async def test_what_goes_wrong_with_one_call_is_nobody_elses_fault(client: Redis) -> None:
    batch = StepBatch(client, 5.0)
    await client.set("text", "x")
    wrong, right = await asyncio.gather(
        batch.run([("LPUSH", "text", "y"), ("GET", "text")], in_one_step=True),
        batch.run([("GET", "text")]),
        return_exceptions=True,
    )
    assert "WRONGTYPE" in str(wrong)
    assert right == [b"x"]


async def test_who_leaves_takes_no_reply_of_who_stays(client: Redis) -> None:
    batch = StepBatch(client, 5.0)
    await client.mset({"one": 1, "other": 2})
    leaves, stays = (asyncio.create_task(batch.run([("GET", key)])) for key in ("one", "other"))
    await asyncio.sleep(0)
    leaves.cancel()
    assert await stays == [b"2"]
    assert await batch.run([("GET", "one")]) == [b"1"]


async def test_after_a_server_that_did_not_answer_in_time_the_next_call_has_its_own_reply(
    fault_redis: EmbeddedRedis,
) -> None:
    client = connect(fault_redis.url, 5.0)
    batch = StepBatch(client, 0.2)
    await batch.run([("SET", "a", 1), ("SET", "b", 2)])
    fault_redis.pause()
    with pytest.raises(REDIS_ERRORS):
        await batch.run([("GET", "a")])
    fault_redis.resume()
    batch._deadline_s = 5.0
    assert await batch.run([("GET", "b")]) == [b"2"]
    await client.aclose()
