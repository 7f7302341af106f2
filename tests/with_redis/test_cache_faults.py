"""Whatever happens to the cache's Redis, a request is answered, the reason is counted, and no one waits longer than the
deadline.
"""

import asyncio
import time
import zlib

import numpy as np
import orjson
import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import Running, Setup, SharedEmbedder
from tests.servers import Provider
from tests.views import view_of
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import MOST_ANSWER_BYTES, FoundBy, Place, Remembered


async def command(redis: Redis, *words: str | int) -> None:
    await redis.execute_command(*words)  # type: ignore[no-untyped-call]  # the library does not type it


PASSWORD = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"


async def test_a_cache_that_is_down_is_a_counted_miss(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url)
    fault_redis.kill()
    reply = await gateway.ask(PASSWORD)
    assert (reply.status, reply.source) == (200, "live")
    assert reply.headers["x-tollway-cache-reason"] == "CacheUnavailable"
    assert await gateway.lookups("CacheUnavailable") == 1
    await gateway.stored()
    stores = (await gateway.metrics())["tollway_cache_stores_total"]
    assert stores == {(("outcome", "CacheUnavailable"),): 1}


async def test_what_has_expired_and_is_not_swept_up_yet_is_a_miss(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    async with Redis.from_url(fault_redis.url) as redis:
        async for key in redis.scan_iter("*:vector:*"):
            await redis.pexpire(key, 1)
    await asyncio.sleep(0.02)
    reply = await gateway.ask(PARAPHRASE)
    assert (reply.status, reply.headers["x-tollway-cache-reason"]) == (200, "NoNeighbour")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (("*:vector:*", "prompt", b"\xff\xfe"), "CacheUnavailable"),
        (("*:entry:*", "body", b"not json"), "CacheKeyCollision"),
        (("*:entry:*", "body", b"5"), "CacheKeyCollision"),
        (("*:entry:*", "body", b"x is no zlib"), "CacheKeyCollision"),
        (("*:entry:*", "body", zlib.compress(b"5" * 20_000)[:-5]), "CacheKeyCollision"),
        (("*:entry:*", "body", zlib.compress(b" " * 10**8)), "CacheKeyCollision"),
        (("*:entry:*", "body", b'{"choices":5}'), "CacheKeyCollision"),
        (("*:entry:*", "model", b"a\r\nb: c"), "CacheKeyCollision"),
        (("*:entry:*", "model", "é€".encode()), "CacheKeyCollision"),
        (("*:entry:*", "cost_nano", b"-5"), "CacheKeyCollision"),
        (("*:entry:*", "cost_nano", b"9" * 40), "CacheKeyCollision"),
        (("*:entry:*", "expires_at", b"soon"), "CacheKeyCollision"),
    ],
)
async def test_what_somebody_else_has_written_is_a_miss(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis, written: tuple[str, str, bytes], reason: str
) -> None:
    pattern, field, value = written
    gateway = await start(setup, cache_url=fault_redis.url)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    async with Redis.from_url(fault_redis.url) as redis:
        async for key in redis.scan_iter(pattern):
            await redis.hset(key, field, value)
    other = await start(setup, cache_url=fault_redis.url)  # who has not kept it
    reply = await other.ask(PARAPHRASE)
    assert (reply.status, reply.source) == (200, "live")
    assert reply.headers["x-tollway-cache-reason"] == reason


async def test_this_process_still_knows_its_own_answers_while_the_cache_is_down(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url)
    await gateway.ask(PASSWORD)
    fault_redis.kill()
    assert (await gateway.ask(PASSWORD)).source == "exact"


async def test_a_cache_that_hangs_costs_at_most_its_deadline(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url, cache_read_deadline_s=0.2)
    await gateway.ask("What is a fjord?")
    fault_redis.pause()
    started = time.monotonic()
    reply = await gateway.ask(PASSWORD)
    took = time.monotonic() - started
    fault_redis.resume()
    assert reply.status == 200
    assert reply.headers["x-tollway-cache-reason"] == "CacheTimeout"
    assert took < 2, "the deadline is 0.2 seconds; the rest is this machine's noise"


async def test_a_cache_that_comes_back_is_used_again(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis, cheap: Provider
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    await asyncio.sleep(1.1)  # the append-only file is written every second
    fault_redis.kill()
    assert (await gateway.ask("How can I reset my password?", user="x")).source == "live"
    fault_redis.start()
    assert (await gateway.ask("Please, how can I reset my password?")).source == "semantic"
    assert cheap.total == 2


async def test_a_cache_without_memory_skips_the_store_and_fails_nothing(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url)
    async with Redis.from_url(fault_redis.url) as redis:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", "1mb")
        assert (await gateway.ask(PASSWORD)).status == 200
        await gateway.stored()
        stores = (await gateway.metrics())["tollway_cache_stores_total"]
        assert stores == {(("outcome", "CacheOutOfMemory"),): 1}


async def test_a_full_cache_with_eviction_goes_on_storing(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url)
    index = gateway.snapshot.indexes["default/answers"]
    body = np.random.default_rng(1).bytes(10_000)  # not to be compressed
    answer = Remembered(body, "cheap", 1, time.time() + 60)
    client = connect(fault_redis.url, 2.0)
    await client.config_set("maxmemory", int((await client.info("memory"))["used_memory"]) + 500_000)
    cache = RedisAnswerCache(client, 2.0, 384)
    for number in range(200):
        await cache.put(Place(index, "p", str(number)), None, answer)
    assert int((await client.info("stats"))["evicted_keys"]) > 0
    await client.aclose()
    await gateway.ask(PASSWORD)
    await gateway.stored()
    stores = (await gateway.metrics())["tollway_cache_stores_total"]
    assert stores == {(("outcome", "Stored"),): 1}


async def test_a_key_of_another_type_is_a_counted_miss(
    start: Start, setup: Setup, gateway: Running, cache_redis: EmbeddedRedis
) -> None:
    await gateway.ask(PASSWORD)
    await gateway.stored()
    async with Redis.from_url(cache_redis.url) as redis:
        (entry,) = await redis.keys("tollway:1:entry:*")
        await redis.delete(entry)
        await redis.rpush(entry, "not a hash")
    other = await start(setup, cache_url=cache_redis.url)  # who has not kept it
    reply = await other.ask(PARAPHRASE)
    assert (reply.status, reply.source) == (200, "live")
    assert reply.headers["x-tollway-cache-reason"] == "CacheKeyCollision"


async def test_an_index_of_other_dimensions_is_a_counted_miss(
    gateway: Running, cache_redis: EmbeddedRedis
) -> None:
    await gateway.ask(PASSWORD)
    await gateway.stored()
    index = gateway.snapshot.indexes["default/answers"]
    foreign = np.ones(1536, dtype=np.float32).tobytes()
    async with Redis.from_url(cache_redis.url, protocol=2) as redis:
        (key,) = await redis.keys("tollway:1:vector:*")
        await redis.hset(key, "embedding", foreign)
        await command(redis, "FT.DROPINDEX", wire.index_name(index.version))
        await command(
            redis,
            *(
                "FT.CREATE",
                wire.index_name(index.version),
                "ON",
                "HASH",
                "PREFIX",
                1,
                wire.vector_prefix(index.version),
            ),
            *("SCHEMA", "partition", "TAG", "embedding", "VECTOR", "HNSW", 6),
            *("TYPE", "FLOAT32", "DIM", 1536, "DISTANCE_METRIC", "COSINE"),
        )
        for _ in range(100):
            facts = await redis.ft(wire.index_name(index.version)).info()  # type: ignore[no-untyped-call]  # the library does not type it
            if int(facts["num_docs"]) == 1:
                break
            await asyncio.sleep(0.02)
    reply = await gateway.ask("How can I reset my password?")
    assert (reply.status, reply.source) == (200, "live")
    assert reply.headers["x-tollway-cache-reason"] == "CacheWrongDimension"


async def test_an_index_that_is_gone_is_a_counted_miss_and_exact_hits_go_on(
    gateway: Running, cache_redis: EmbeddedRedis
) -> None:
    await gateway.ask(PASSWORD)
    await gateway.stored()
    async with Redis.from_url(cache_redis.url) as redis:
        await command(
            redis, "FT.DROPINDEX", wire.index_name(gateway.snapshot.indexes["default/answers"].version)
        )
    reply = await gateway.ask("How can I reset my password?")
    assert (reply.status, reply.headers["x-tollway-cache-reason"]) == (200, "CacheUnavailable")
    assert (await gateway.ask(PASSWORD)).source == "exact"


@pytest.mark.parametrize(
    ("near_cache_bytes", "source", "reason"), [(0, "live", "EntryGone"), (100_000, "semantic", "Semantic")]
)
async def test_a_vector_without_its_answer_is_a_miss_unless_this_process_has_kept_it(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis, near_cache_bytes: int, source: str, reason: str
) -> None:
    gateway = await start(setup, near_cache_bytes=near_cache_bytes)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    async with Redis.from_url(cache_redis.url) as redis:
        await redis.delete(*await redis.keys("tollway:1:entry:*"))
    reply = await gateway.ask("How can I reset my password?")
    assert (reply.source, reply.headers["x-tollway-cache-reason"]) == (source, reason)


async def test_answers_expire_after_their_time(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(index={"ttl": "1s"}))
    await gateway.ask(PASSWORD)
    await gateway.stored()
    await asyncio.sleep(1.1)
    assert (await gateway.ask(PASSWORD)).source == "live"


async def test_whatever_is_remembered_of_an_answer_goes_in_its_time(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup.but(index={"ttl": "1h"}))
    await gateway.ask(PASSWORD)
    await gateway.stored()
    async with Redis.from_url(cache_redis.url) as redis:
        left = [await redis.pttl(key) for key in await redis.keys(wire.REMEMBERED_PATTERN)]
    assert len(left) == 2, "the answer and its vector"
    assert all(0 < each <= 3_600_000 for each in left)
    assert (await gateway.ask(PASSWORD)).source == "exact"


async def test_all_keys_of_a_partition_carry_one_hash_tag(
    gateway: Running, cache_redis: EmbeddedRedis
) -> None:
    await gateway.ask(PASSWORD)
    await gateway.stored()
    async with Redis.from_url(cache_redis.url) as redis:
        keys = [str(key) for key in await redis.keys(wire.REMEMBERED_PATTERN)]
    tags = {key[key.index("{") : key.index("}")] for key in keys}
    assert (len(keys), len(tags)) == (2, 1)


@pytest.mark.parametrize("vector_type", ["Float32", "Float16"])
@pytest.mark.parametrize("algorithm", ["HNSW", "Flat"])
async def test_every_kind_of_index_finds_a_paraphrase(
    start: Start, setup: Setup, algorithm: str, vector_type: str
) -> None:
    gateway = await start(setup.but(index={"vector": {"algorithm": algorithm, "type": vector_type}}))
    await gateway.ask(PASSWORD)
    await gateway.stored()
    assert (await gateway.ask("How can I reset my password?")).source == "semantic"


async def test_the_nearest_neighbours_are_sought_in_the_partition_alone(
    gateway: Running, cache_redis: EmbeddedRedis, embedder: SharedEmbedder
) -> None:
    index = gateway.snapshot.indexes["default/answers"]
    client = connect(cache_redis.url, 2.0)
    cache = RedisAnswerCache(client, 2.0, 384)
    vector = view_of("some prompt", embedder).vector
    answer = Remembered(b"{}", "cheap", 1, time.time() + 60)
    for partition in ("a" * 32, "b" * 32):
        view = view_of(f"some prompt of {partition[0]}", embedder)
        found_by = FoundBy(view, [(index.version, view.vector)])
        await cache.put(Place(index, partition, "e" * 32), found_by, answer)
    (found,) = await cache.nearest(Place(index, "a" * 32, ""), vector, 5, 2.0)
    assert found.prompt == "some prompt of a"
    kept = view_of(found.prompt, embedder)
    assert found.similarity == pytest.approx(float(kept.vector @ vector), abs=1e-5)
    assert np.array_equal(found.vector, kept.vector)
    assert np.array_equal(found.words, kept.words)
    assert await cache.nearest(Place(index, "c" * 32, ""), vector, 5, 2.0) == []
    with pytest.raises(CacheFault, match="CacheWrongDimension"):
        await cache.nearest(Place(index, "a" * 32, ""), vector[:100], 5, 2.0)
    await client.aclose()


async def test_an_entry_that_somebody_else_wrote_is_a_miss(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, near_cache_bytes=0)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    async with Redis.from_url(cache_redis.url) as redis:
        (entry,) = [key async for key in redis.scan_iter("tollway:1:entry:*")]
        await redis.hset(entry, "cost_nano", "much")
    reply = await gateway.ask(PASSWORD)
    assert (reply.status, reply.headers["x-tollway-cache-reason"]) == (200, "CacheKeyCollision")


async def test_answers_are_kept_compressed_and_come_back_as_they_were(
    gateway: Running, cache_redis: EmbeddedRedis
) -> None:
    client = connect(cache_redis.url, 2.0)
    cache = RedisAnswerCache(client, 2.0, 384)
    place = Place(gateway.snapshot.indexes["default/answers"], "a" * 52, "e" * 32)
    for text in ("short", "a usual answer of some length " * 40, "é" * (MOST_ANSWER_BYTES // 4)):
        body = orjson.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})
        await cache.put(place, None, Remembered(body, "cheap", 1, time.time() + 60))
        found = await cache.get(place, 2.0)
        assert found is not None
        assert found.body == body
        kept = await client.hstrlen(wire.entry_key(place.partition, place.entry), "body")
        assert kept == len(body) if len(body) < 512 else kept < len(body) / 2
    await client.aclose()
