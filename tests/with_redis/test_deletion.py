"""What a SemanticCacheIndex remembers goes with it, unless somebody else leads by then."""

import pytest
import redis

from tests.dataplanes import Setup, compiled, manifest
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_operator.deletion import FINALIZER, Deletion
from tollway_operator.errors import LeadershipLost
from tollway_operator.metrics import Metrics
from tollway_operator.objects import Objects
from tollway_operator.redis_store import open_store

INDEX = compiled(Setup("http://a/v1", "http://b/v1").objects()).indexes["default/answers"]


class Kube:
    """Takes the finalizers."""

    def __init__(self) -> None:
        self.finalizers: object = None

    async def set_finalizers(self, _identity: object, _version: object, finalizers: object) -> str:
        self.finalizers = finalizers
        return "2"


class Leads:
    def fence(self) -> int:
        return 5


@pytest.mark.parametrize(("later", "left"), [(4, 0), (6, 3)], ids=["leads", "has been overtaken"])
async def test_only_who_leads_deletes(cache_redis: EmbeddedRedis, later: int, left: int) -> None:
    body = manifest("SemanticCacheIndex", "answers", {})
    metadata = {
        **body["metadata"],  # type: ignore[dict-item]  # an object of YAML is anything
        "namespace": "default", "uid": "u", "resourceVersion": "1", "generation": 1,
        "finalizers": [FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    objects, kube = Objects(), Kube()
    objects.put({**body, "metadata": metadata})
    (held,) = objects
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        async with open_store(cache_redis.url, "cache") as store:
            await store.create(INDEX)
            partition = wire.index_tag(INDEX.id) + "0" * 24
            client.hset(wire.entry_key(partition, "e"), "body", "x")
            client.hset(wire.vector_key(INDEX, partition, "e"), "partition", partition)
            assert await store.claim(later)
            deletion = Deletion(kube, store, Leads(), Metrics(), 60.0, "test")  # type: ignore[arg-type]  # stand-ins
            if left:
                with pytest.raises(LeadershipLost):
                    await deletion.settle(held, why_in_use="")
            else:
                await deletion.settle(held, why_in_use="")
            assert len(client.keys("tollway:1:[ev]*")) + len(await store.names()) == left
            assert kube.finalizers == (None if left else [])
