"""The cache on a real Redis Cluster of three shards, each with a replica, by users with the fewest commands: answers
are spread, a look-up asks one shard, and neither a primary that dies nor slots that move cost a request.
"""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from redis.crc import key_slot

from tests.conftest import Start
from tests.dataplanes import Reply, Running, Setup, SharedEmbedder, compiled
from tests.processes import free_port, wait_for
from tests.redis_cluster import Cluster, redis_cluster
from tests.redis_users import DATAPLANE, OPERATOR, PASSWORD, users_file
from tests.views import view_of
from tests.with_redis.test_redis_connecting import loaded, until_more
from tollway_api import wire
from tollway_api.epochs import Epochs, Scope
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_client import REDIS_ERRORS, connect
from tollway_dataplane.adapters.redis_forgetter import RedisForgetter
from tollway_dataplane.adapters.redis_reembedding import RedisReembedding
from tollway_dataplane.ports import FoundBy, Place, Remembered
from tollway_operator.provision import provision
from tollway_redis.cluster import ClusterRedis

QUESTION, PARAPHRASE = "How do I reset my password?", "How can I reset my password?"
FAULTS = {"CacheUnavailable", "CacheTimeout"}
FLOAT16 = {"vector": {"type": "Float16"}}
SYSTEMS = [f"You answer for shop {number}." for number in range(12)]  # each a partition of its own


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    users = users_file(RedisRole.CACHE, folder / "users")
    quick = ["--cluster-node-timeout", "3000", "--repl-diskless-sync-delay", "0", "--aclfile", str(users)]
    with redis_cluster(folder, (0, 1, 2), quick) as cluster:
        yield cluster


@pytest.fixture
def cluster(made: Cluster) -> Cluster:
    for number in made.primaries:
        made.command(number, "FLUSHALL")
    for number in range(len(made.nodes)):
        made.command(number, "CONFIG", "RESETSTAT")
        made.command(number, "ACL", "LOG", "RESET")
    return made


def url(cluster: Cluster, user: str = DATAPLANE) -> str:
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes[:3])
    return f"redis+cluster://{user}:{PASSWORD}@{hosts}/0"


async def begun(
    start: Start, setup: Setup, cluster: Cluster, ledger: EmbeddedRedis, **more: object
) -> Running:
    gateway = await start(
        setup, cache_url=url(cluster), operators=(url(cluster, OPERATOR), ledger.url),
        near_cache_bytes=0, cache_write_deadline_s=5.0, ledger_deadline_s=5.0, **more,
    )  # fmt: skip
    for _ in range(500):
        if gateway.dataplane.forgetting.is_trusted:
            return gateway
        await asyncio.sleep(0.02)
    raise AssertionError("purges are not followed")


async def ask(gateway: Running, system: str, prompt: str = QUESTION) -> Reply:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    return await gateway.ask(prompt, more={"messages": messages})


async def remembered(gateway: Running) -> None:
    """An answer in each partition."""
    for system in SYSTEMS:
        assert (await ask(gateway, system)).source == "live"
    await gateway.stored(len(SYSTEMS))


async def sources(gateway: Running, prompt: str) -> Sequence[str]:
    return [(await ask(gateway, system, prompt)).source for system in SYSTEMS]


def searches(cluster: Cluster, numbers: Sequence[int]) -> list[int]:
    found = [cluster.command(number, "INFO", "commandstats") for number in numbers]
    return [each.get("cmdstat_FT.SEARCH", {"calls": 0})["calls"] for each in found]


def refused(cluster: Cluster) -> list[object]:
    return [entry for number in range(len(cluster.nodes)) for entry in cluster.command(number, "ACL", "LOG")]


def keys(cluster: Cluster, number: int) -> list[bytes]:
    return [*cluster.command(number, "KEYS", "tollway:1:entry:*")]


def have_the_same(cluster: Cluster, replica: int, primary: int) -> bool:
    return len(keys(cluster, replica)) == len(keys(cluster, primary))


async def until_well(gateway: Running) -> None:
    """Each partition is looked up in again, which nobody asks about what is asked afterwards."""
    for number in range(300):
        asked = [await ask(gateway, system, f"What is the number {number} for?") for system in SYSTEMS]
        if not any(reply.headers.get("x-tollway-cache-reason") in FAULTS for reply in asked):
            return
    raise AssertionError("it does not recover")


async def test_answers_are_spread_and_a_look_up_asks_one_shard(
    start: Start, setup: Setup, cluster: Cluster, ledger_redis: EmbeddedRedis
) -> None:
    gateway = await begun(start, setup, cluster, ledger_redis)
    await remembered(gateway)
    assert all(keys(cluster, number) for number in cluster.primaries), "each shard has some"
    assert set(await sources(gateway, QUESTION)) == {"exact"}
    before = searches(cluster, cluster.primaries)
    assert set(await sources(gateway, PARAPHRASE)) == {"semantic"}
    after = searches(cluster, cluster.primaries)
    asked = [now - then for now, then in zip(after, before, strict=True)]
    assert sum(asked) == len(SYSTEMS)
    assert all(asked)
    assert refused(cluster) == []


@pytest.mark.usefixtures("unhurried")
async def test_replicas_are_looked_up_in_where_they_may_be(
    start: Start, setup: Setup, cluster: Cluster, ledger_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway_redis.cluster._REPLICAS_LOOKED_FOR_S", 0.2)
    # A replica has half of that; who has not answered by then would not be asked for a while.
    patient = {"cache_read_deadline_s": 60.0, "embed_deadline_s": 60.0}
    gateway = await begun(
        start, setup, cluster, ledger_redis, cache_replica_redis_url=url(cluster), **patient
    )
    await remembered(gateway)
    replicas = [number for number in range(len(cluster.nodes)) if number not in cluster.primaries]
    for shard in zip((3, 4, 5), (0, 1, 2), strict=True):
        await asyncio.to_thread(wait_for, partial(have_the_same, cluster, *shard), "it has them")
    # A data plane may have been told of fewer, or may have asked one that had no index yet.
    for _ in range(300):
        before = searches(cluster, cluster.primaries)
        assert set(await sources(gateway, PARAPHRASE)) == {"semantic"}
        if searches(cluster, cluster.primaries) == before:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("the primaries are looked up in")
    assert sum(searches(cluster, replicas)) >= len(SYSTEMS)
    assert refused(cluster) == []


async def test_a_replica_that_was_away_is_asked_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is away its primary is asked, which answers, so that no fault says that it is back."""
    monkeypatch.setattr("tollway_redis.cluster._REPLICAS_LOOKED_FOR_S", 0.2)
    redis = connect(url(cluster), 5.0, reads_replicas=True)
    assert isinstance(redis, ClusterRedis)
    key = next(f"a{number}" for number in count() if key_slot(f"a{number}".encode()) < 5_461)
    primary, replica = cluster.nodes[0], cluster.nodes[3]

    async def until_asked(node: EmbeddedRedis) -> None:
        for _ in range(600):
            if await redis.address_of(key) == ("127.0.0.1", node.port):
                return
            await asyncio.sleep(0.1)
        raise AssertionError("another one is asked")

    try:
        await until_asked(replica)
        replica.pause()
        await until_asked(primary)
        replica.resume()
        await until_asked(replica)
    finally:
        replica.resume()
        await redis.aclose()


async def test_a_purge_is_of_all_shards_and_what_is_void_is_deleted_on_each(
    start: Start, setup: Setup, cluster: Cluster, ledger_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway_dataplane.cache.forgetting._SWEEP_AFTER_S", 0.1)
    gateway = await begun(start, setup, cluster, ledger_redis)
    await remembered(gateway)
    await gateway.dataplane.forgetting.purge(Scope("default/answers", "acme"))
    assert set(await sources(gateway, QUESTION)) == {"live"}
    await gateway.stored(2 * len(SYSTEMS))
    await asyncio.to_thread(
        wait_for,
        lambda: sum(len(keys(cluster, number)) for number in cluster.primaries) == len(SYSTEMS),
        "what was purged is deleted",
    )


async def test_what_walks_through_all_entries_walks_through_all_shards(
    cluster: Cluster, embedder: SharedEmbedder, ledger_redis: EmbeddedRedis
) -> None:
    """As while one index version is filled from another, with what is asked of both."""
    old, new = (compiled(Setup("http://a/v1", "http://b/v1", index=each).objects()) for each in ({}, FLOAT16))
    for snapshot in (old, new):
        await provision(snapshot, url(cluster, OPERATOR), ledger_redis.url)
    (source,), (target,) = old.indexes.values(), new.indexes.values()
    view = view_of(QUESTION, embedder)
    redis = connect(url(cluster), 5.0)
    try:
        cache, filling = RedisAnswerCache(redis, 5.0, 384), RedisReembedding(redis)
        for number in range(40):
            place = Place(source, f"{wire.index_tag(source.id)}{number:024x}", "e" * 32)
            found_by = FoundBy(view, [(source.version, view.vector)])
            await cache.put(place, found_by, Remembered(b"{}", "cheap", 0, 0.0))
        assert (begun := await filling.beginning(source.version)).total == 40
        assert len(begun.server.split()) == 3
        cursor, found = 0, list[str]()
        for _ in range(100):
            cursor, some = await filling.scan(source.version, cursor)
            found += some
            if cursor == 0:
                break
        assert len(found) == len(set(found)) == 40
        lacking = await filling.lacking(source.version, target.version, found)
        assert len(lacking) == 40
        for each in lacking:
            await filling.add(source.version, target.version, each, view.vector)
        sample = await filling.sample(source.version, 24)
        assert len(sample) >= 20
        assert {
            await filling.finds(source.version, target.version, each, view.vector) for each in sample
        } == {True}
        assert refused(cluster) == []
    finally:
        await redis.aclose()


async def test_what_is_evicted_on_one_shard_is_heard_of_from_another(cluster: Cluster) -> None:
    (index,) = compiled(Setup("http://a/v1", "http://b/v1").objects()).indexes.values()
    redis = connect(url(cluster), 5.0)
    try:
        cache, one, other = (
            RedisAnswerCache(redis, 5.0, 384),
            RedisForgetter(redis, 5.0),
            RedisForgetter(redis, 5.0),
        )
        await other.news(Epochs(), 0.01, trusted=True)
        place = Place(index, f"{wire.index_tag(index.id)}{1:024x}", "e" * 32)
        await cache.put(place, None, Remembered(b"{}", "cheap", 0, 0.0))
        await one.evict(place)
        assert (await other.news(Epochs(), 0.01, trusted=True)).evicted == [place.key]
        assert [keys(cluster, number) for number in cluster.primaries] == [[], [], []]
    finally:
        await redis.aclose()


async def test_a_node_that_belongs_to_none_is_passed_over(cluster: Cluster, tmp_path: Path) -> None:
    alone = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    with EmbeddedRedis(RedisRole.CACHE, tmp_path / "alone", more=alone) as stranger:
        others = url(cluster).partition("@")[2]
        redis = connect(f"redis+cluster://127.0.0.1:{stranger.port},{others}", 5.0)
        try:
            for number in range(20):
                await redis.set(f"tollway:{number}", "a")
        finally:
            await redis.aclose()
    assert sum(cluster.command(number, "DBSIZE") for number in cluster.primaries) == 20


async def test_while_no_node_is_there_a_look_up_is_a_miss_within_its_time() -> None:
    redis = connect(f"redis+cluster://127.0.0.1:{free_port()}", 0.2)
    try:
        for _ in range(2):
            with pytest.raises(REDIS_ERRORS):
                await redis.get("a")
    finally:
        await redis.aclose()


def move(cluster: Cluster, slot: int, source: int, target: int) -> None:
    """As `redis-cli --cluster reshard` does."""
    ids = [cluster.command(number, "CLUSTER", "MYID").decode() for number in (source, target)]
    cluster.command(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    cluster.command(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    while found := cluster.command(source, "CLUSTER", "GETKEYSINSLOT", slot, 10):
        port = cluster.nodes[target].port
        cluster.command(source, "MIGRATE", "127.0.0.1", port, "", 0, 5_000, "KEYS", *found)
    for number in (target, source, *(each for each in cluster.primaries if each not in (source, target))):
        cluster.command(number, "CLUSTER", "SETSLOT", slot, "NODE", ids[1])


def slots_in_use(cluster: Cluster, number: int) -> list[int]:
    return sorted({key_slot(key) for key in keys(cluster, number)})


async def test_slots_are_moved_under_load_and_no_request_fails(
    start: Start, setup: Setup, cluster: Cluster, ledger_redis: EmbeddedRedis
) -> None:
    gateway = await begun(start, setup, cluster, ledger_redis)
    await remembered(gateway)
    replies: list[Reply] = []
    moved = slots_in_use(cluster, 0)
    assert moved
    async with loaded(gateway, replies):
        await until_more(replies, 20)
        for slot in moved:
            await asyncio.to_thread(move, cluster, slot, 0, 1)
        # And those by which the shards call their indexes.
        for name in cluster.indexes()[1]:
            if key_slot(name) not in moved:
                await asyncio.to_thread(move, cluster, key_slot(name), 1, 2)
        await until_more(replies, 20)
    assert {reply.status for reply in replies} == {200}
    assert keys(cluster, 0) == [] or slots_in_use(cluster, 0) != moved
    assert set(await sources(gateway, QUESTION)) == {"exact"}, "what has been moved is found"
    # The operator looks again, as it does all the time.
    await provision(gateway.snapshot, url(cluster, OPERATOR), ledger_redis.url)
    await until_well(gateway)
    assert set(await sources(gateway, PARAPHRASE)) == {"semantic"}
    assert refused(cluster) == []
    for slot in moved:
        await asyncio.to_thread(move, cluster, slot, 1, 0)


async def test_a_primary_dies_under_load_and_no_request_fails(
    start: Start, setup: Setup, cluster: Cluster, ledger_redis: EmbeddedRedis
) -> None:
    gateway = await begun(start, setup, cluster, ledger_redis)
    await remembered(gateway)
    replies: list[Reply] = []
    async with loaded(gateway, replies):
        await until_more(replies, 20)
        cluster.nodes[2].kill()
        await until_more(replies, 20)
        await asyncio.to_thread(
            wait_for, lambda: cluster.command(5, "ROLE")[0] == b"master", "its replica takes over", 60
        )
        await until_more(replies, 20)
    assert {reply.status for reply in replies} == {200}
    await until_well(gateway)
    assert set(await sources(gateway, PARAPHRASE)) == {"semantic"}, "also of what the dead one had"
