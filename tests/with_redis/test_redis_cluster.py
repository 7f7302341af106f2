"""Index versions on a real Redis Cluster whose module has no coordinator: every shard has its own, and together they
are one.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count

import pytest
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError

from tests.dataplanes import Setup, compiled
from tests.processes import wait_for
from tests.redis_cluster import Cluster, redis_cluster
from tollway_api import wire
from tollway_operator.errors import StoreFault
from tollway_operator.provision import Step, WarningReason, provision
from tollway_operator.redis_facts import IndexSchema
from tollway_operator.redis_store import open_store

SETUP = Setup("http://a/v1", "http://b/v1")
WANTED = compiled(SETUP.objects())
INDEX = WANTED.indexes["default/answers"]
NAME = wire.index_name(INDEX.version)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(servers: Cluster) -> Cluster:
    for number in servers.primaries:
        servers.command(number, "FLUSHALL")
    return servers


async def steps(cluster: Cluster) -> list[Step]:
    return [action.step for action in (await provision(WANTED, cluster.url, cluster.url)).actions]


def remember(cluster: Cluster, entries: int) -> None:
    """As a data plane would: each partition on the shard that its tag leads to."""
    for number in range(entries):
        partition = wire.index_tag(INDEX.id) + f"{number:024x}"
        vector = wire.vector_key(INDEX.version, partition, "e")
        for primary in cluster.primaries:
            try:
                cluster.command(primary, "HSET", vector, "partition", partition, "embedding", "\0" * 1_536)
                cluster.command(primary, "HSET", wire.entry_key(partition, "e"), "body", "x")
            except MovedError:
                continue  # another shard


async def test_every_shard_has_the_index_and_is_asked_once(cluster: Cluster) -> None:
    assert await steps(cluster) == [Step.CREATE]
    assert await steps(cluster) == []
    names = cluster.indexes()
    assert [len(each) for each in names] == [1, 1, 1]
    assert {wire.name_of_all_shards(name.decode()) for (name,) in names} == {NAME}


async def test_entries_of_all_shards_are_counted_and_deleted(cluster: Cluster) -> None:
    await provision(WANTED, cluster.url, cluster.url)
    remember(cluster, 60)
    async with open_store(cluster.url, "cache") as store:
        facts = (await store.indexes())[NAME]
        assert facts.schema == IndexSchema.of(INDEX.version)
        assert facts.entries == 60
        assert facts.memory_bytes > 0
        per_shard = [cluster.command(number, "DBSIZE") for number in cluster.primaries]
        assert all(size > 0 for size in per_shard), per_shard
        await store.drop(NAME)
        assert (await store.forget(INDEX.id)).deleted == 120, "as many vectors as entries"
        assert await store.indexes() == {}
    assert [cluster.command(number, "DBSIZE") for number in cluster.primaries] == [0, 0, 0]


async def test_what_was_dropped_from_some_shards_is_still_found_and_dropped_from_the_rest(
    cluster: Cluster,
) -> None:
    await provision(WANTED, cluster.url, cluster.url)
    ((name,), _, _) = cluster.indexes()
    cluster.command(0, "FT.DROPINDEX", name.decode())
    async with open_store(cluster.url, "cache") as store:
        assert await store.indexes() == {}, "it is not whole"
        assert await store.names() == {NAME}
        await store.drop(NAME)
        assert await store.names() == set()


async def test_whoever_drops_a_version_is_cut_short_anywhere_and_the_next_finds_what_is_left_on_every_shard(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = compiled(SETUP.but(index={"vector": {"type": "Float16"}}).objects())
    send, sent, last = AbstractConnection.send_packed_command, 0, 1

    async def cut(self: AbstractConnection, command: object, check_health: bool = True) -> None:
        nonlocal sent
        sent += 1
        if sent > last:
            raise RedisConnectionError("cut short")
        await send(self, command, check_health)  # type: ignore[arg-type]  # whatever it is given

    for last in count(5, step=5):
        for each in (WANTED, other):
            await provision(each, cluster.url, cluster.url)
        remember(cluster, 9)
        sent = 0
        with monkeypatch.context() as patch, suppress(StoreFault):
            patch.setattr(AbstractConnection, "send_packed_command", cut)
            async with open_store(cluster.url, "cache") as store:
                await store.drop_version(NAME)
            break
        while not (await provision(other, cluster.url, cluster.url, other.indexes)).is_settled:
            pass
        assert all(cluster.command(each, "KEYS", "tollway:1:vector:*") == [] for each in cluster.primaries), (
            last
        )
        assert [len(each) for each in cluster.indexes()] == [1, 1, 1], "neither the index nor its mark"
    assert last > 50


async def test_a_shard_that_lost_its_index_gets_it_again(cluster: Cluster) -> None:
    await provision(WANTED, cluster.url, cluster.url)
    cluster.command(1, "FLUSHALL")
    assert await steps(cluster) == [Step.CREATE]
    assert [len(each) for each in cluster.indexes()] == [1, 1, 1]


async def test_shards_that_search_in_different_ways_are_made_alike(cluster: Cluster) -> None:
    """As where an operator has died while it made the index anew."""
    await provision(WANTED, cluster.url, cluster.url)
    ((name,), _, _) = cluster.indexes()
    cluster.command(0, "FT.DROPINDEX", name.decode())
    other = compiled(SETUP.but(index={"vector": {"m": 64}}).objects())
    done = await provision(other, cluster.url, cluster.url)
    assert [action.step for action in done.actions] == [Step.CREATE], "it is there by half"
    done = await provision(other, cluster.url, cluster.url)
    assert [action.step for action in done.actions] == [Step.REPLACE]
    assert done.snapshot == other, "under the same name"
    assert (await provision(other, cluster.url, cluster.url)).actions == ()


async def test_one_shard_that_is_set_up_wrongly_is_warned_of(cluster: Cluster) -> None:
    cluster.command(1, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    try:
        done = await provision(WANTED, cluster.url, cluster.url)
    finally:
        cluster.command(1, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert WarningReason.REDIS_EVICTION_POLICY in {warning.reason for warning in done.warnings}


async def test_an_overtaken_leader_may_not_write_here_either(cluster: Cluster) -> None:
    async with open_store(cluster.url, "cache") as store:
        assert await store.claim(7)
        assert not await store.claim(6)
        assert await store.claim(7)


async def test_after_a_failover_the_new_primary_is_the_one_that_is_asked(cluster: Cluster) -> None:
    async with open_store(cluster.url, "cache") as store:
        await store.create(INDEX.version)
        assert len(await store.indexes()) == 1
        cluster.command(3, "CLUSTER", "FAILOVER")
        wait_for(lambda: cluster.primaries == [0, 1, 3], "the replica has taken over")
        wait_for(lambda: cluster.sees(0, "cluster_state:ok"), "the others know")
        wait_for(
            lambda: cluster.primaries_by(0) == [0, 1, 3], "and so does the one that is asked which they are"
        )
        other = compiled(SETUP.but(index={"vector": {"type": "Float16"}}).objects()).indexes[
            "default/answers"
        ]
        await store.create(other.version)
        assert sorted(await store.indexes()) == sorted([NAME, wire.index_name(other.version)])
        assert [len(each) for each in cluster.indexes()] == [2, 2, 2]


async def test_while_a_shard_is_away_the_others_are_not_taken_for_the_whole(cluster: Cluster) -> None:
    """Otherwise a leader would take itself for overtaken, and what that shard has would stay there for ever."""
    for number in range(4):
        cluster.command(number, "CONFIG", "SET", "cluster-node-timeout", "500")
        cluster.command(number, "CONFIG", "SET", "cluster-require-full-coverage", "no")
    async with open_store(cluster.nodes[1].url, "cache") as store:
        assert await store.claim(7)
        await store.create(INDEX.version)
        cluster.nodes[0].kill()  # which has the fence
        wait_for(lambda: cluster.primaries_by(1, "fail") == [0], "the others know that it has failed")
        asking = (store.standing_fence, store.names, partial(store.claim, 7), partial(store.forget, INDEX.id))
        for ask in asking:
            with pytest.raises(StoreFault, match="has 5461 of its 16384 slots"):
                await ask()
        cluster.nodes[0].start()
        wait_for(lambda: cluster.sees(0, "cluster_state:ok"), "it is back")
        wait_for(lambda: cluster.primaries_by(1, "fail") == [], "the others know that it is")
        assert await store.claim(7)
        assert await store.names() == {NAME}
