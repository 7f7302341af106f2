"""Index versions on a real Redis, and what is said of how it is set up."""

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_operator.errors import StoreFault
from tollway_operator.provision import Step, WarningReason, plan, provision
from tollway_operator.redis_store import IndexFacts, IndexSchema, ServerFacts, open_store

SETUP = Setup("http://a/v1", "http://b/v1")
WANTED = compiled(SETUP.objects())
INDEX = WANTED.indexes["default/answers"]
NAME = wire.index_name(INDEX)


async def steps(cache: EmbeddedRedis, ledger: EmbeddedRedis) -> list[Step]:
    return [action.step for action in (await provision(WANTED, cache.url, ledger.url)).actions]


async def test_an_index_version_is_created_once(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    assert await steps(cache_redis, ledger_redis) == [Step.CREATE]
    assert await steps(cache_redis, ledger_redis) == []
    async with open_store(cache_redis.url, "cache") as store:
        assert (await store.indexes())[NAME].schema == IndexSchema.of(INDEX)


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
        await store.drop(NAME, with_vectors=True)
    assert await steps(cache_redis, ledger_redis) == [Step.CREATE]


def test_what_bears_our_name_with_another_schema_is_replaced() -> None:
    foreign = IndexSchema(wire.vector_prefix(INDEX), "HNSW", "FLOAT32", 1536, "COSINE")
    for schema in (foreign, None):
        assert [action.step for action in plan([INDEX], {NAME: IndexFacts(schema, 0, 0)})] == [Step.REPLACE]


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


def test_facts_are_plain_values() -> None:
    facts = ServerFacts("8.2.3", 21005, 1, "allkeys-lru", append_only=True)
    assert facts.search_module == 21005
