"""What the operator reads of what data planes were told to forget, on a real Redis."""

import asyncio
from pathlib import Path

from redis.crc import key_slot

from tests.dataplanes import until
from tests.redis_cluster import redis_cluster
from tollway_api import wire
from tollway_api.epochs import EVERYTHING, Epochs, Scope
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_forgetter import RedisForgetter
from tollway_dataplane.background import running
from tollway_operator.purges import PurgeReader
from tollway_operator.redis_store import open_store


async def test_a_purge_is_told_and_a_redis_that_is_away_unsays_nothing(fault_redis: EmbeddedRedis) -> None:
    told: list[int] = []
    seen: list[Epochs] = []

    async def settle(found: Epochs) -> None:
        seen.append(found)

    client = connect(fault_redis.url, 2.0)
    async with open_store(fault_redis.url, "cache") as store:
        reader = PurgeReader(store, 0.02, told.append, settle)
        async with running(reader.run()):
            await until(lambda: reader.epochs == Epochs())
            epoch = await RedisForgetter(client, 2.0).purge(Scope("default/answers"))
            await until(lambda: bool(told) and told[-1] == epoch)
            assert reader.epochs is not None
            assert reader.epochs.latest_of("default/answers") == (Scope("default/answers"), epoch)
            await until(lambda: seen[-1] == reader.epochs)
            await client.aclose()
            fault_redis.kill()
            await asyncio.sleep(0.2)
            count = len(seen)
            await asyncio.sleep(0.1)
            assert len(seen) == count, "of what nobody knows nothing is settled"
            assert reader.epochs.version == epoch
            assert told[-1] == epoch


async def test_of_a_cluster_the_node_is_asked_that_has_them(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as cluster:
        slot = key_slot(wire.EPOCHS_KEY.encode())
        owner = [slot < each for each in (5_461, 10_923, 16_384)].index(True)
        cluster.command(owner, "HSET", wire.EPOCHS_KEY, str(EVERYTHING), 1_000, "version", 1_000)
        async with open_store(cluster.url, "cache") as store:
            assert await store.epochs() == Epochs({EVERYTHING: 1_000})
