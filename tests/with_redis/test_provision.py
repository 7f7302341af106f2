"""Index versions on a real Redis, and what is said of how it is set up."""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import replace
from itertools import count

import pytest
import redis
from redis.asyncio.connection import AbstractConnection

from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_operator.dropping import Dropping
from tollway_operator.errors import StoreFault
from tollway_operator.provision import Step, WarningReason, provision, stands
from tollway_operator.redis_facts import IndexSchema, ServerFacts
from tollway_operator.redis_store import open_store

SETUP = Setup("http://a/v1", "http://b/v1")
WANTED = compiled(SETUP.objects())
INDEX = WANTED.indexes["default/answers"]
NAME = wire.index_name(INDEX.version)


async def steps(cache: EmbeddedRedis, ledger: EmbeddedRedis) -> list[Step]:
    return [action.step for action in (await provision(WANTED, cache.url, ledger.url)).actions]


async def test_an_index_version_is_created_once(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    assert await steps(cache_redis, ledger_redis) == [Step.CREATE]
    assert await steps(cache_redis, ledger_redis) == []
    async with open_store(cache_redis.url, "cache") as store:
        assert (await store.indexes())[NAME].schema == IndexSchema.of(INDEX.version)


@pytest.mark.parametrize("m", [2, 512])
@pytest.mark.parametrize("ef_construction", [2, 4_096])
async def test_the_bounds_of_how_it_is_searched_are_what_the_server_says(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, m: int, ef_construction: int
) -> None:
    """Otherwise it would be made anew at every look."""
    vector = {"m": m, "efConstruction": ef_construction, "initialCapacity": 10}
    wanted = compiled(SETUP.but(index={"vector": vector}).objects())
    await provision(wanted, cache_redis.url, ledger_redis.url)
    assert (await provision(wanted, cache_redis.url, ledger_redis.url)).actions == ()


@pytest.mark.parametrize("algorithm", ["HNSW", "Flat"])
@pytest.mark.parametrize("vector_type", ["Float32", "Float16"])
async def test_every_kind_of_index_is_found_as_it_was_made(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, algorithm: str, vector_type: str
) -> None:
    setup = SETUP.but(index={"vector": {"algorithm": algorithm, "type": vector_type}})
    wanted = compiled(setup.objects())
    await provision(wanted, cache_redis.url, ledger_redis.url)
    assert (await provision(wanted, cache_redis.url, ledger_redis.url)).actions == ()


async def test_another_embedding_is_another_version_beside_the_old_one(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    await provision(WANTED, cache_redis.url, ledger_redis.url)
    other = compiled(SETUP.but(index={"vector": {"type": "Float16"}}).objects())
    done = await provision(other, cache_redis.url, ledger_redis.url)
    assert [action.step for action in done.actions] == [Step.CREATE, Step.UNUSED]
    async with open_store(cache_redis.url, "cache") as store:
        assert len(await store.indexes()) == 2


async def test_a_flushed_redis_gets_its_indexes_again(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    assert await steps(cache_redis, ledger_redis) == [Step.CREATE]
    async with open_store(cache_redis.url, "cache") as store:
        await store.drop(NAME)
    assert await steps(cache_redis, ledger_redis) == [Step.CREATE]


FOREIGN = {
    "no partitions": ["embedding", "VECTOR", "HNSW", 6, "TYPE", "FLOAT32", "DIM", 384, "DISTANCE_METRIC", "COSINE"],
    "other dimensions": [
        *("partition", "TAG", "CASESENSITIVE"),
        *("embedding", "VECTOR", "HNSW", 6, "TYPE", "FLOAT32", "DIM", 1536, "DISTANCE_METRIC", "COSINE"),
    ],
    "partitions in any case": [
        *("partition", "TAG"),
        *("embedding", "VECTOR", "HNSW", 6, "TYPE", "FLOAT32", "DIM", 384, "DISTANCE_METRIC", "COSINE"),
    ],
    "no vectors": ["title", "TEXT"],
    "another prefix": None,
}  # fmt: skip


@pytest.mark.parametrize("words", FOREIGN.values(), ids=FOREIGN)
async def test_what_bears_our_name_and_is_not_ours_is_left_alone_and_another_version_made(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, words: list[str | int] | None
) -> None:
    prefix = wire.vector_prefix(INDEX.version) if words else "other:"
    words = words or [
        *("partition", "TAG", "CASESENSITIVE"),
        *("embedding", "VECTOR", "HNSW", 6, "TYPE", "FLOAT32", "DIM", 384, "DISTANCE_METRIC", "COSINE"),
    ]
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        create = ["FT.CREATE", NAME, "ON", "HASH", "PREFIX", 1, prefix, "SCHEMA", *words]
        client.execute_command(*create)
    done = await provision(WANTED, cache_redis.url, ledger_redis.url)
    beside = done.snapshot.indexes[INDEX.id]
    assert beside.version.name == wire.next_version(INDEX.version.name) != INDEX.version.name
    assert [(each.step, each.name) for each in done.actions] == [
        (Step.CREATE, wire.index_name(beside.version)),
        (Step.UNUSED, NAME),
    ]
    assert wire.owner_of(wire.index_name(beside.version)) == INDEX.id
    again = await provision(WANTED, cache_redis.url, ledger_redis.url)
    assert again.snapshot == done.snapshot
    assert [each.step for each in again.actions] == [Step.UNUSED]


@pytest.mark.parametrize(
    "vector", [{"algorithm": "Flat"}, {"m": 64}, {"efConstruction": 500}], ids=["Flat", "m", "efConstruction"]
)
async def test_another_way_to_search_the_same_vectors_keeps_them(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, vector: dict[str, object]
) -> None:
    await provision(WANTED, cache_redis.url, ledger_redis.url)
    partition = wire.index_tag(INDEX.id) + "0" * 24
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        one = {"partition": partition, "embedding": b"\0" * 1536}
        client.hset(wire.vector_key(INDEX.version, partition, "e"), mapping=one)
    other = compiled(SETUP.but(index={"vector": vector}).objects())
    done = await provision(other, cache_redis.url, ledger_redis.url)
    assert [(each.step, each.name) for each in done.actions] == [(Step.REPLACE, NAME)]
    assert (await provision(other, cache_redis.url, ledger_redis.url)).actions == ()
    async with open_store(cache_redis.url, "cache") as store:
        facts = (await store.indexes())[NAME]
        for _ in range(500):
            if facts.entries == 1:
                break
            await asyncio.sleep(0.01)
            facts = (await store.indexes())[NAME]
    assert facts.entries == 1, "it is found again"
    assert facts.schema == IndexSchema.of(other.indexes[INDEX.id].version)


def test_a_server_that_does_not_tell_how_it_searches_is_taken_at_its_word() -> None:
    wanted = IndexSchema.of(INDEX.version)
    assert replace(wanted, m=None, ef_construction=None).is_as(wanted)
    assert not replace(wanted, m=17, ef_construction=None).is_as(wanted)
    assert not replace(wanted, algorithm="").is_as(wanted)


async def test_the_embedded_servers_leave_nothing_to_warn_of(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    assert (await provision(WANTED, cache_redis.url, ledger_redis.url)).warnings == ()


async def test_one_server_for_both_is_warned_of(cache_redis: EmbeddedRedis) -> None:
    done = await provision(WANTED, cache_redis.url, cache_redis.url)
    assert [warning.reason for warning in done.warnings] == [WarningReason.LEDGER_MAY_EVICT]


async def test_a_redis_without_vector_search_still_gives_exact_hits(ledger_redis: EmbeddedRedis) -> None:
    done = await provision(WANTED, ledger_redis.url, ledger_redis.url)
    assert done.actions == ()
    assert WarningReason.SEARCH_MODULE_MISSING in {warning.reason for warning in done.warnings}


async def test_a_redis_that_is_away_is_an_operational_fault(fault_redis: EmbeddedRedis) -> None:
    fault_redis.kill()
    with pytest.raises(StoreFault, match="could not reach the cache Redis"):
        await provision(WANTED, fault_redis.url, fault_redis.url)


async def test_a_redis_that_is_slow_is_not_said_to_be_out_of_reach(
    fault_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway_operator.redis_store._LOOK_S", 0.2)
    os.kill(fault_redis.pid, signal.SIGSTOP)
    try:
        async with open_store(fault_redis.url, "cache") as store:
            with pytest.raises(StoreFault, match=r"took longer than 0\.2 s to read its configuration"):
                await store.facts()
    finally:
        os.kill(fault_redis.pid, signal.SIGCONT)


async def test_many_indexes_are_described_a_few_at_a_time(
    cache_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway_operator.redis_store._DESCRIBED_AT_ONCE", 2)
    versions = [
        replace(INDEX.version, name=f"default.i{number}.0", initial_capacity=1) for number in range(5)
    ]
    async with open_store(cache_redis.url, "cache") as store:
        for version in versions:
            await store.create(version)
        found = await store.indexes()
        assert found.keys() == await store.names() == {wire.index_name(version) for version in versions}
        assert all(stands(found[wire.index_name(version)], version) for version in versions)


async def test_an_index_that_goes_while_they_are_listed_is_gone(
    cache_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def names(_: object) -> dict[str, str]:
        return {name: name for name in (NAME, f"{NAME}1")}

    async with open_store(cache_redis.url, "cache") as store:
        await store.create(INDEX.version)
        monkeypatch.setattr("tollway_operator.redis_store._names", names)
        assert set(await store.indexes()) == {NAME}


async def test_a_server_that_forbids_to_ask_how_it_is_set_up_is_known_all_the_same(
    fault_redis: EmbeddedRedis,
) -> None:
    """As managed ones do."""
    with redis.Redis("127.0.0.1", port=fault_redis.port) as client:
        client.execute_command("ACL", "SETUSER", "default", "-config", "-module")
        async with open_store(fault_redis.url, "cache") as store:
            facts = await store.facts()
    assert facts.search_module is not None
    assert (facts.eviction, facts.max_memory > 0) == ("allkeys-lru", True)


async def test_a_server_that_answers_oddly_is_an_operational_fault(
    cache_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def says_little(*_: object) -> dict[str, str]:
        return {"redis_version": "0"}

    async with open_store(cache_redis.url, "cache") as store:
        monkeypatch.setattr("redis.asyncio.Redis.info", says_little)
        with pytest.raises(
            StoreFault, match=r"the cache Redis .* its answer makes no sense: KeyError\('maxmemory'\)"
        ):
            await store.facts()


async def test_a_server_without_search_has_nothing_to_drop_and_keys_to_forget(
    ledger_redis: EmbeddedRedis,
) -> None:
    partition = wire.index_tag(INDEX.id) + f"{1:024x}"
    with redis.Redis("127.0.0.1", port=ledger_redis.port) as client:
        client.hset(wire.entry_key(partition, "e"), "body", "x")
        client.hset(wire.vector_key(INDEX.version, partition, "e"), "partition", partition)
        async with open_store(ledger_redis.url, "cache") as store:
            assert await store.names() == set()
            await store.drop(NAME)
            assert (await store.forget(INDEX.id)).deleted == 2


def test_facts_are_plain_values() -> None:
    facts = ServerFacts("8.2.3", 21005, 1, "allkeys-lru", append_only=True)
    assert facts.search_module == 21005


async def test_an_index_that_redis_would_not_make_keeps_no_other_from_being_made(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    version = replace(INDEX.version, name="default.aaa.0", m=512, initial_capacity=10_000_000)
    large = replace(INDEX, name="aaa", version=version)
    wanted = replace(WANTED, indexes={large.id: large, INDEX.id: INDEX})
    with pytest.raises(StoreFault, match="would not create index version"):
        await provision(wanted, cache_redis.url, ledger_redis.url)
    async with open_store(cache_redis.url, "cache") as store:
        assert set(await store.indexes()) == {NAME}


async def test_a_version_that_was_run_and_whose_name_something_else_bears_by_now_is_no_place_to_come_from(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        client.execute_command("FT.CREATE", NAME, "SCHEMA", "title", "TEXT")
        done = await provision(WANTED, cache_redis.url, ledger_redis.url, WANTED.indexes)
        assert done.snapshot.indexes[INDEX.id].version.name == wire.next_version(INDEX.version.name)
        assert done.snapshot.indexes[INDEX.id].beside is None
        assert b"title" in str(client.execute_command("FT.INFO", NAME)).encode(), "what is not ours stays"


OTHER = compiled(SETUP.but(index={"vector": {"type": "Float16"}}).objects())
OTHER_NAME = wire.index_name(OTHER.indexes[INDEX.id].version)


async def both_with_vectors(
    cache: EmbeddedRedis, ledger: EmbeddedRedis, client: redis.Redis, vectors: int
) -> None:
    """Two index versions, and so many vectors in the one that is to be dropped."""
    for each in (WANTED, OTHER):
        await provision(each, cache.url, ledger.url)
    for number in range(vectors):
        partition = wire.index_tag(INDEX.id) + f"{number:024x}"
        vector = wire.vector_key(INDEX.version, partition, "e")
        client.hset(vector, mapping={"partition": partition, "embedding": b"\0" * 1536})


def vectors_left(client: redis.Redis) -> int:
    return len(client.keys(f"{wire.vector_prefix(INDEX.version)}*"))


async def test_a_version_that_nobody_uses_any_more_goes_bit_by_bit_and_its_index_first(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    with redis.Redis("127.0.0.1", port=cache_redis.port, protocol=2) as client:
        await both_with_vectors(cache_redis, ledger_redis, client, 2_000)
        dropping, left = Dropping(turn_s=0.0), [2_000]
        while left[-1]:
            done = await provision(OTHER, cache_redis.url, ledger_redis.url, OTHER.indexes, dropping)
            left.append(vectors_left(client))
            names = set(map(bytes.decode, client.execute_command("FT._LIST")))
            assert done.is_settled is (names == {OTHER_NAME}), "it is gone on with, while something is left"
            assert NAME not in names
            assert not (left[-1] and done.is_settled)
    assert len(left) > 3, "not much at once"


async def test_whoever_drops_a_version_can_be_cut_short_anywhere_and_the_next_leaves_nothing_behind(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is wanted again, and is not begun with anew on top of what is left."""
    send, sent, last = AbstractConnection.send_packed_command, 0, 1

    async def cut(self: AbstractConnection, command: object, check_health: bool = True) -> None:
        nonlocal sent
        sent += 1
        if sent > last:
            raise redis.ConnectionError("cut short")
        await send(self, command, check_health)  # type: ignore[arg-type]  # whatever it is given

    with redis.Redis("127.0.0.1", port=cache_redis.port, protocol=2) as client:
        for last in count(1):
            await both_with_vectors(cache_redis, ledger_redis, client, 60)
            sent = 0
            with monkeypatch.context() as patch, suppress(StoreFault):
                patch.setattr(AbstractConnection, "send_packed_command", cut)
                async with open_store(cache_redis.url, "cache") as store:
                    await store.drop_version(NAME)
                break
            published, beside = OTHER.indexes, None
            while beside is None:
                done = await provision(WANTED, cache_redis.url, ledger_redis.url, published)
                published = done.snapshot.indexes
                beside = published[INDEX.id].beside
            assert beside.version == INDEX.version
            assert vectors_left(client) == 0, last
            assert set(map(bytes.decode, client.execute_command("FT._LIST"))) == {NAME, OTHER_NAME}
    assert last > 10


async def test_a_redis_that_is_full_and_evicts_nothing_gets_room_by_dropping_a_version(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    with redis.Redis("127.0.0.1", port=cache_redis.port, protocol=2) as client:
        await both_with_vectors(cache_redis, ledger_redis, client, 60)
        as_it_was = client.config_get("maxmemory*")
        try:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1_000_000)
            done = await provision(OTHER, cache_redis.url, ledger_redis.url, OTHER.indexes)
        finally:
            for name in ("maxmemory", "maxmemory-policy"):
                client.config_set(name, as_it_was[name])
        assert done.is_settled
        assert vectors_left(client) == 0
        assert set(map(bytes.decode, client.execute_command("FT._LIST"))) == {OTHER_NAME}


async def test_an_index_that_is_deleted_takes_along_the_mark_of_a_version_that_is_being_dropped(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    with redis.Redis("127.0.0.1", port=cache_redis.port, protocol=2) as client:
        await both_with_vectors(cache_redis, ledger_redis, client, 1_000)
        async with open_store(cache_redis.url, "cache") as store:
            assert not (await store.drop_version(NAME, 0.0)).complete
            names = await store.names()
            assert names == {wire.dropping_name(NAME), OTHER_NAME}
            assert {wire.owner_of(name) for name in names} == {INDEX.id}
            for name in names:
                await store.drop(name)
        assert client.execute_command("FT._LIST") == []


async def test_a_version_is_not_used_again_before_all_of_it_has_gone(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    other = OTHER
    for each in (WANTED, other):
        await provision(each, cache_redis.url, ledger_redis.url)
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        for number in range(1_500):
            client.set(f"other:{number}", "x")
    dropping = Dropping(turn_s=0.0)
    published = other.indexes
    seen = []
    for _ in range(20):
        done = await provision(WANTED, cache_redis.url, ledger_redis.url, published, dropping)
        published = done.snapshot.indexes
        seen.append(published[INDEX.id].beside)
        if seen[-1] is not None:
            break
    assert seen[0] is None, "it lacks what was remembered meanwhile"
    assert seen[-1] is not None
    assert seen[-1].version == INDEX.version
