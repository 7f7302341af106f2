"""The loop's step of provisioning, on a real Redis: what is dropped when, and what is said of that."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import redis

from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_api.snapshot import Beside, Snapshot, Stage, encode
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_operator.compiled import Compiled
from tollway_operator.dropping import Dropping
from tollway_operator.index_status import index_ready
from tollway_operator.index_versions import IndexVersions
from tollway_operator.metrics import Metrics
from tollway_operator.redis_store import RedisStore, open_store

SETUP = Setup("http://a/v1", "http://b/v1")
OLD, NEW = (
    compiled(SETUP.but(index=index).objects())
    for index in ({}, {"embedding": {"model": "wordllama", "dimensions": 256}})
)
ID = "default/answers"
A, B = OLD.indexes[ID], NEW.indexes[ID]
A_NAME, B_NAME = (wire.index_name(each.version) for each in (A, B))


@pytest.fixture
async def store(cache_redis: EmbeddedRedis) -> AsyncIterator[RedisStore]:
    async with open_store(cache_redis.url, "cache") as store:
        yield store


@pytest.fixture
def client(cache_redis: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        yield client


@pytest.fixture
async def versions(store: RedisStore, client: redis.Redis) -> IndexVersions:
    """Of which B has been published last; A, which was before, is there yet with all that it remembered."""

    async def claim() -> None:
        return None

    for each in (A, B):
        await store.create(each.version)
    pipe = client.pipeline(transaction=False)
    for number in range(3_000):
        partition = wire.index_tag(ID) + f"{number:024x}"
        pipe.hset(wire.vector_key(A.version, partition, "e"), mapping={"partition": partition})
    pipe.execute()
    versions = IndexVersions(store, None, Metrics(), claim, lambda: {ID})  # type: ignore[arg-type]  # nothing that stands is read
    versions._dropping = Dropping(turn_s=0.0)  # so that a run drops very little
    versions.published(NEW)
    # It has looked before.
    versions.store = replace(versions.store, seen=True)
    return versions


async def run(versions: IndexVersions, wanted: Snapshot, *, acknowledged: bool) -> Snapshot:
    """And publishes it."""
    asked = Compiled((0, 0), wanted, wanted, encode(wanted), {}, {}, {})
    done = await versions.provision(asked, lambda: acknowledged)
    versions.published(done.snapshot)
    return done.snapshot


def left(client: redis.Redis) -> int:
    return sum(1 for _ in client.scan_iter(f"{wire.prefix_of_vectors(A_NAME)}*", count=1_000))


async def test_the_version_before_is_kept_whole_for_as_long_as_not_every_pod_has_left_it(
    versions: IndexVersions, store: RedisStore, client: redis.Redis
) -> None:
    """They were told to leave it, and those who have not heard of that ask it."""
    for _ in range(3):
        assert (await run(versions, NEW, acknowledged=False)).indexes == {ID: B}
        assert {A_NAME, B_NAME} <= (await store.indexes()).keys()
        assert left(client) == 3_000
    for _ in range(100):
        await run(versions, NEW, acknowledged=True)
        if not versions.is_moving:
            break
    assert left(client) == 0
    assert (await store.indexes()).keys() == {B_NAME}


async def test_a_version_that_is_wanted_again_while_it_is_dropped_is_said_to_be_awaited_until_it_is_on_its_way(
    versions: IndexVersions, client: redis.Redis
) -> None:
    await run(versions, NEW, acknowledged=True)
    assert 0 < left(client) < 3_000, "it is being dropped"
    snapshot, said = NEW, []
    while snapshot.indexes[ID].beside is None:
        snapshot = await run(versions, OLD, acknowledged=True)
        said.append(index_ready(snapshot.indexes[ID], versions.store, ""))
        assert snapshot.indexes[ID].version == B.version
    assert snapshot.indexes == {ID: replace(A, version=B.version, beside=Beside(A.version, Stage.JOINING))}
    assert len(said) > 1
    assert {each[:2] for each in said} == {("True", "Migrating")}, "which is asked is not what is wanted"
    assert f"{A.version.name} is complete. That is being dropped first" in said[0][2]
    assert "0 % is embedded anew" in said[-1][2]
