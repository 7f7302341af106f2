"""A cache Redis that is there and does not do what is asked: it loads its data, only copies another, has moved a slot
elsewhere, or is full. Requests are answered, and nothing is found that is not there.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError  # noqa: A004 - whose name this is, too

from tests.conftest import Start
from tests.dataplanes import Setup, SharedEmbedder, compiled, until
from tests.processes import wait_for
from tests.redis_cluster import redis_cluster
from tests.servers import Provider, provider
from tests.views import view_of
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_cli.simulator.latency import Latency
from tollway_dataplane.adapters import redis_cache
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.judgement.identity import entry_of
from tollway_dataplane.ports import FoundBy, Place, Remembered
from tollway_operator.provision import provision

PASSWORD, PARAPHRASE = "How do I reset my password?", "How can I reset my password?"
INDEX = next(iter(compiled(Setup("http://a/v1", "http://b/v1").objects()).indexes.values()))


@asynccontextmanager
async def cache_at(url: str) -> AsyncIterator[tuple[Redis, RedisAnswerCache]]:
    client = connect(url, 10.0)
    try:
        yield client, RedisAnswerCache(client, 10.0, 384)
    finally:
        await client.aclose()


def remembered(text: str = "an answer") -> Remembered:
    body = b'{"choices":[{"message":{"role":"assistant","content":"%s"}}]}' % text.encode()
    return Remembered(body, "cheap", 1, time.time() + 60)


@pytest.mark.usefixtures("unhurried")
async def test_a_redis_that_loads_its_data_is_a_miss_until_it_has(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis, cheap: Provider
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url, cache_read_deadline_s=10.0)
    await until(lambda: gateway.dataplane.forgetting.is_trusted)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    with SyncRedis("127.0.0.1", port=fault_redis.port) as client:
        client.mset({f"ballast:{number}": "x" * 2_000 for number in range(3_000)})
        client.bgrewriteaof()
        await until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    fault_redis.kill()
    # Each key takes so many microseconds: longer than anybody waits, and then no longer.
    slowly = ["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"]
    fault_redis._more = slowly
    fault_redis._process = fault_redis._spawn()
    with SyncRedis("127.0.0.1", port=fault_redis.port) as client:
        await until(lambda: _answers(client) and bool(client.info("persistence")["loading"]))
        reply = await gateway.ask(PARAPHRASE)
        assert client.info("persistence")["loading"], "it still does"
    assert (reply.status, reply.source) == (200, "live")
    assert reply.headers["x-tollway-cache-reason"] == "CacheUnavailable"
    with SyncRedis("127.0.0.1", port=fault_redis.port) as client:
        client.config_set("key-load-delay", "0")
        await until(lambda: not client.info("persistence")["loading"])
    async with cache_at(fault_redis.url) as (loaded, _):
        for _ in range(1_200):  # what was loaded is indexed afterwards
            if await _indexed(loaded):
                break
            await asyncio.sleep(0.05)
    await until(lambda: gateway.dataplane.forgetting.is_trusted)
    reply = await gateway.ask("Please, how can I reset my password?")
    assert reply.source == "semantic"


def _answers(client: SyncRedis) -> bool:
    with suppress(ConnectionError):
        client.info("server")
        return True
    return False


@asynccontextmanager
async def replicated(folder: Path) -> AsyncIterator[tuple[EmbeddedRedis, EmbeddedRedis]]:
    """With the index, on both."""
    at_once = ["--repl-diskless-sync-delay", "0"]
    async with EmbeddedRedis(RedisRole.CACHE, folder / "primary", more=at_once) as primary:
        snapshot = compiled(Setup("http://a/v1", "http://b/v1").objects())
        await provision(snapshot, primary.url, primary.url)
        of = ["--replicaof", "127.0.0.1", str(primary.port)]
        async with EmbeddedRedis(RedisRole.CACHE, folder / "replica", more=of) as replica:
            with SyncRedis("127.0.0.1", port=replica.port, protocol=2) as client:
                name = wire.index_name(INDEX.version).encode()
                await asyncio.to_thread(
                    wait_for,
                    lambda: name in client.execute_command("FT._LIST"),
                    "it has the index as well",
                    60,
                )
            yield primary, replica


async def test_a_replica_answers_and_takes_nothing(start: Start, setup: Setup, tmp_path: Path) -> None:
    async with replicated(tmp_path) as (primary, replica):
        first = await start(setup, cache_url=primary.url)
        await first.ask(PASSWORD)
        await first.stored()
        with SyncRedis("127.0.0.1", port=replica.port) as client:
            await asyncio.to_thread(
                wait_for, lambda: len(client.keys(wire.REMEMBERED_PATTERN)) == 2, "it has them"
            )
            await asyncio.to_thread(
                wait_for, lambda: bool(client.exists(wire.EPOCHS_KEY)), "and knows what was purged"
            )
        # Its index versions are the primary's, so there is nothing to make.
        second = await start(setup, cache_url=replica.url)
        assert (await second.ask(PASSWORD)).source == "exact"
        assert (await second.ask(PARAPHRASE)).source == "semantic"
        reply = await second.ask("What is a fjord?")
        assert (reply.status, reply.source) == (200, "live")
        await second.stored()
        stores = (await second.metrics())["tollway_cache_stores_total"]
        assert stores == {(("outcome", "CacheUnavailable"),): 1}


def calls(server: EmbeddedRedis, command: str) -> int:
    with SyncRedis("127.0.0.1", port=server.port) as client:
        stats: Any = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def test_look_ups_go_to_a_replica_and_what_it_has_not_got_is_a_miss(
    start: Start, setup: Setup, tmp_path: Path
) -> None:
    """But for the very same prompt, of which the primary is asked once more before a model is."""
    async with replicated(tmp_path) as (primary, replica):
        urls = {"cache_url": primary.url, "cache_replica_redis_url": replica.url}
        gateway = await start(setup, **urls, near_cache_bytes=0)
        await gateway.ask(PASSWORD)
        await gateway.stored()
        with SyncRedis("127.0.0.1", port=replica.port) as client:
            await asyncio.to_thread(
                wait_for, lambda: len(client.keys(wire.REMEMBERED_PATTERN)) == 2, "it has them"
            )
            asked = calls(primary, "FT.SEARCH"), calls(primary, "hmget")
            exact, semantic = await gateway.ask(PASSWORD), await gateway.ask(PARAPHRASE)
            assert (exact.source, semantic.source) == ("exact", "semantic"), (exact.headers, semantic.headers)
            assert (calls(primary, "FT.SEARCH"), calls(primary, "hmget")) == asked, "it was not asked"
            client.replicaof("NO", "ONE")
            await gateway.ask("How do I paint a fence?")
            await gateway.stored(2)
            exact = await gateway.ask("How do I paint a fence?")
            reworded = await gateway.ask("How can I paint a fence?")
            assert (exact.source, reworded.source) == ("exact", "live"), "the replica is behind"


async def test_a_replica_that_is_away_or_hangs_or_refuses_costs_no_hit(
    start: Start, setup: Setup, tmp_path: Path
) -> None:
    async with replicated(tmp_path) as (primary, replica):
        urls = {"cache_url": primary.url, "cache_replica_redis_url": replica.url}
        gateway = await start(setup, **urls, near_cache_bytes=0, cache_read_deadline_s=2.0)
        await gateway.ask(PASSWORD)
        await gateway.stored()
        replica.pause()
        assert (await gateway.ask(PASSWORD)).source == "exact"
        replica.resume()
        with SyncRedis("127.0.0.1", port=replica.port) as client:
            await asyncio.to_thread(
                wait_for, lambda: len(client.keys(wire.REMEMBERED_PATTERN)) == 2, "it has them"
            )
            await asyncio.sleep(1.1)  # it is asked again
            client.replicaof("NO", "ONE")
            client.execute_command("FT.DROPINDEX", wire.index_name(INDEX.version))
        assert (await gateway.ask(PARAPHRASE)).source == "semantic"
        replica.kill()
        await asyncio.sleep(1.1)
        assert (await gateway.ask(PASSWORD)).source == "exact"
        assert (await gateway.ask(PARAPHRASE)).source == "semantic"


async def test_a_replica_that_refused_is_left_alone_for_a_second_and_then_asked_again(
    start: Start, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that not every request waits for one that hangs. The clock stands still meanwhile."""
    async with replicated(tmp_path) as (primary, replica):
        urls = {"cache_url": primary.url, "cache_replica_redis_url": replica.url}
        now = 1_000.0
        monkeypatch.setattr(redis_cache, "monotonic", lambda: now)
        gateway = await start(setup, **urls, near_cache_bytes=0, cache_read_deadline_s=2.0)
        await gateway.ask(PASSWORD)
        await gateway.stored()
        with SyncRedis("127.0.0.1", port=replica.port) as client:
            client.replicaof("NO", "ONE")
            client.execute_command("FT.DROPINDEX", wire.index_name(INDEX.version))
        assert (await gateway.ask(PARAPHRASE)).source == "semantic"
        asked = calls(replica, "hmget"), calls(replica, "FT.SEARCH")
        now += 0.9
        assert (await gateway.ask(PARAPHRASE)).source == "semantic"
        assert (calls(replica, "hmget"), calls(replica, "FT.SEARCH")) == asked
        now += 0.2
        assert (await gateway.ask(PARAPHRASE)).source == "semantic"
        assert calls(replica, "hmget") > asked[0]


async def test_two_data_planes_with_a_replica_that_is_behind_ask_once(
    start: Start, setup: Setup, tmp_path: Path
) -> None:
    async with replicated(tmp_path) as (primary, replica):
        with SyncRedis("127.0.0.1", port=replica.port) as client:
            client.replicaof("NO", "ONE")
        urls = {"cache_url": primary.url, "cache_replica_redis_url": replica.url}
        with provider("slow", latency=Latency("fixed", 1.0)) as slow:
            gateways = [await start(setup.but(cheap=slow.endpoint), **urls) for _ in range(2)]
            replies = await asyncio.gather(*(each.ask(PASSWORD) for each in gateways))
            assert sorted(reply.source for reply in replies) == ["exact", "live"]
            assert slow.total == 1


async def test_a_slot_that_has_moved_is_a_fault_that_is_counted(
    start: Start, setup: Setup, tmp_path: Path, ledger_redis: EmbeddedRedis
) -> None:
    with redis_cluster(tmp_path) as cluster:
        await provision(compiled(setup.objects()), cluster.url, ledger_redis.url)
        partition = next(f"{number:052x}" for number in range(10_000) if _slot(f"{number:052x}") < 5_461)
        place = Place(INDEX, partition, "e" * 32)
        async with cache_at(cluster.url) as (_, cache):
            await cache.put(place, None, remembered())
            assert await cache.get(place, 2.0) is not None
            to = cluster.command(1, "CLUSTER", "MYID").decode()
            slot = _slot(partition)
            cluster.command(1, "CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.command(0, "CLUSTER", "MYID"))
            cluster.command(0, "CLUSTER", "SETSLOT", slot, "MIGRATING", to)
            with pytest.raises(CacheFault, match="CacheUnavailable"):
                await cache.get(Place(INDEX, partition, "f" * 32), 2.0)  # ASK: it may be there already
            keys = cluster.command(0, "CLUSTER", "GETKEYSINSLOT", slot, 10)
            port = cluster.nodes[1].port
            cluster.command(0, "MIGRATE", "127.0.0.1", port, "", 0, 2_000, "KEYS", *keys)
            for node in (1, 0):
                cluster.command(node, "CLUSTER", "SETSLOT", slot, "NODE", to)
            with pytest.raises(CacheFault, match="CacheUnavailable"):
                await cache.get(place, 2.0)  # MOVED
            with pytest.raises(CacheFault, match="CacheUnavailable"):
                await cache.put(place, None, remembered())
        gateway = await start(setup, cache_url=cluster.url)
        reply = await gateway.ask(PASSWORD)
        assert (reply.status, reply.source) == (200, "live")
        assert reply.headers["x-tollway-cache-reason"] == "CacheUnavailable"


def _slot(tag: str) -> int:
    return key_slot(tag.encode())


async def _indexed(client: Redis) -> int:
    name = wire.index_name(INDEX.version)
    facts: Any = await client.execute_command("FT.INFO", name)  # type: ignore[no-untyped-call]  # the library does not type it
    return int(dict(zip(facts[::2], facts[1::2], strict=False))[b"num_docs"])


async def test_what_a_full_redis_evicts_leaves_no_orphan(
    fault_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, embedder: SharedEmbedder
) -> None:
    """Filled to its limit several times over, the index knows what is there and nothing else. Of a vector whose answer
    alone was evicted, whoever meets it makes an end.
    """
    await provision(
        compiled(Setup("http://a/v1", "http://b/v1").objects()), fault_redis.url, ledger_redis.url
    )
    view = view_of(PASSWORD, embedder)
    found_by = FoundBy(view, [(INDEX.version, view.vector)])
    async with cache_at(fault_redis.url) as (client, cache):
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "allkeys-lru"
        used = (await client.info("memory"))["used_memory"]
        await client.config_set("maxmemory", used + 6_000_000)
        places = [Place(INDEX, f"{number % 20:052x}", f"{number:032x}") for number in range(3_000)]
        for start in range(0, len(places), 50):
            await asyncio.gather(
                *(cache.put(each, found_by, remembered("x" * 400)) for each in places[start : start + 50])
            )
        memory = await client.info("memory")
        assert memory["used_memory"] <= memory["maxmemory"] * 1.02
        assert (await client.info("stats"))["evicted_keys"] > 1_000
        vectors = {key async for key in client.scan_iter("tollway:1:vector:*")}
        assert 0 < len(vectors) < 2_000
        # RediSearch may leave out one that comes when there is no room at all, which only the very same prompt finds.
        assert len(vectors) * 0.98 <= await _indexed(client) <= len(vectors)
        for partition in {each.partition for each in places}:
            for found in await cache.nearest(Place(INDEX, partition, ""), view.vector, 50, 2.0):
                key = wire.vector_key(INDEX.version, partition, found.entry).encode()
                assert key in vectors or not await client.exists(key)
                assert found.prompt == PASSWORD
        assert await client.exists(wire.EPOCHS_KEY) == 0, "nobody has asked for it here"
        await client.config_set("maxmemory", used + 60_000_000)  # so that it evicts no more
        vectors = {key async for key in client.scan_iter("tollway:1:vector:*")}
        answered = {key async for key in client.scan_iter("tollway:1:entry:*")}
        met = [each for each in places if _vector_key(each) in vectors]
        orphans = {_vector_key(each) for each in met if each.key.encode() not in answered}
        assert orphans, "Redis evicts by the key, and knows nothing of what belongs together"
        await asyncio.gather(*map(cache.unlink_orphan, met))
        assert {key async for key in client.scan_iter("tollway:1:vector:*")} == vectors - orphans


async def _partition(client: Redis) -> str:
    """Of the one entry that there is."""
    (key,) = await client.keys("tollway:1:vector:*")
    return wire.place_of(str(key, "ascii") if isinstance(key, bytes) else key)[0]


def _vector_key(place: Place) -> bytes:
    return wire.vector_key(INDEX.version, place.partition, place.entry).encode()


async def test_answers_that_were_evicted_hide_no_other(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis, embedder: SharedEmbedder
) -> None:
    """Six prompts could serve, and the answers of the five nearest are gone."""
    gateway = await start(setup, cache_url=fault_redis.url)
    await gateway.ask(PARAPHRASE)
    await gateway.stored()
    async with cache_at(fault_redis.url) as (client, cache):
        partition = await _partition(client)
        worded = ["how do I reset my password", "How could I reset my password?", "How to reset my password?"]
        for prompt in (*worded, "How do I reset my password!", "How do I reset my password, please?"):
            view = view_of(prompt, embedder)
            found_by = FoundBy(view, [(INDEX.version, view.vector)])
            await cache.put(Place(INDEX, partition, entry_of(prompt)), found_by, remembered())
        vector = view_of(PASSWORD, embedder).vector
        nearest = await cache.nearest(Place(INDEX, partition, ""), vector, 6, 10.0)
        places = [Place(INDEX, partition, each.entry) for each in nearest]
        for place in places[:5]:
            await client.delete(place.key)
        later = await start(setup, cache_url=fault_redis.url)
        reply = await later.ask(PASSWORD)
        assert (reply.source, reply.headers["x-tollway-cache-reason"]) == ("semantic", "Semantic")
        for _ in range(200):
            if len(await client.keys("tollway:1:vector:*")) == 1:
                break
            await asyncio.sleep(0.02)
        assert await client.keys("tollway:1:vector:*") == [_vector_key(places[5])]


async def test_what_expires_leaves_no_orphan(
    fault_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, embedder: SharedEmbedder
) -> None:
    snapshot = compiled(Setup("http://a/v1", "http://b/v1", index={"ttl": "1s"}).objects())
    await provision(snapshot, fault_redis.url, ledger_redis.url)
    view = view_of(PASSWORD, embedder)
    async with cache_at(fault_redis.url) as (client, cache):
        (index,) = snapshot.indexes.values()
        found_by = FoundBy(view, [(index.version, view.vector)])
        before = (await client.info("memory"))["used_memory"]
        for start in range(0, 1_000, 50):
            places = [Place(index, "a" * 52, f"{number:032x}") for number in range(start, start + 50)]
            await asyncio.gather(*(cache.put(each, found_by, remembered()) for each in places))
        for _ in range(200):
            if await _indexed(client) == 0:
                break
            await asyncio.sleep(0.1)
        assert await _indexed(client) == 0
        assert await cache.nearest(Place(index, "a" * 52, ""), view.vector, 50, 2.0) == []
        assert await client.keys(wire.REMEMBERED_PATTERN) == []
        left = (await client.info("memory"))["used_memory"] - before
        assert left < 1_000 * 4_000 / 2, f"their memory is free again, but for {left} bytes"
