"""Labels in the real Redis: counted by data planes, read by both planes, gone with their window and their index."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_api.error_control import POINTS, SLICES, Counts, Label
from tollway_api.snapshot import ErrorControl, Index
from tollway_api.wire import Sample
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_labels import RedisLabels
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import Served
from tollway_operator.redis_store import open_store

SERVED = Served("acme", "0" * 32, "e" * 32, 0.97)
AT = POINTS.index(0.97)


@pytest.fixture
def index() -> Index:
    spec = {"accuracy": {"maxErrorRate": "1%", "window": "24h"}}
    return compiled(Setup("http://a/v1", "http://b/v1", index=spec).objects()).indexes["default/answers"]


def sampled(index: Index, control: ErrorControl | None = None) -> Sample:
    """What is counted of it, where it is controlled so."""
    sample = wire.hits_of(replace(index, accuracy=control or index.accuracy))
    assert sample is not None
    return sample


@pytest.fixture
def sample(index: Index) -> Sample:
    return sampled(index)


@pytest.fixture
async def redis(cache_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    client = connect(cache_redis.url, 1)
    yield client
    await client.aclose()


@pytest.fixture
def labels(redis: Redis) -> RedisLabels:
    return RedisLabels(redis, 1)


async def test_both_planes_read_what_is_counted(
    labels: RedisLabels, index: Index, sample: Sample, cache_redis: EmbeddedRedis
) -> None:
    for label in (Label.RIGHT, Label.RIGHT, Label.WRONG, Label.MISSING, Label.SKIPPED):
        await labels.count(sample, AT, label)
    read = await labels.tallies(sample)
    async with open_store(cache_redis.url, "cache") as store:
        assert await store.tallies(sample) == read
    assert len(read) == SLICES
    assert [tally for tally in read if tally] == [{AT: Counts(wrong=1, right=2, missing=1, skipped=1)}]


async def test_labels_go_with_their_window(
    labels: RedisLabels, index: Index, sample: Sample, redis: Redis
) -> None:
    await labels.count(sample, AT, Label.RIGHT)
    (key,) = [key async for key in redis.scan_iter(wire.label_pattern(index.id))]
    window_ms = sample.control.window_ms
    assert window_ms < await redis.pttl(key) <= window_ms * (1 + 1 / SLICES)


async def test_what_is_counted_begins_anew_when_other_hits_are_counted(
    labels: RedisLabels, index: Index, sample: Sample
) -> None:
    """A looser least threshold, say: the labels until then are of other hits."""
    await labels.count(sample, AT, Label.RIGHT)
    control = sample.control
    looser = replace(control, bound=replace(control.bound, least_threshold=0.8))
    assert not any(await labels.tallies(sampled(index, looser)))
    assert not any(await labels.tallies(sampled(replace(index, strict_threshold=0.99))))
    other_bound = replace(control, bound=replace(control.bound, max_error_rate=0.05))
    assert any(await labels.tallies(sampled(index, other_bound))), (
        "what they are held to changes nothing in them"
    )


async def test_a_reply_is_known_for_an_hour_and_judged_once(
    labels: RedisLabels, index: Index, redis: Redis
) -> None:
    assert await labels.served([index], "req-1") is None
    assert await labels.served([], "req-1") is None
    await labels.note(index, "req-1", SERVED)
    assert await labels.served([index], "req-1") == (index, SERVED)
    assert await labels.claim(index, "req-1")
    assert not await labels.claim(index, "req-1")
    assert 0 < await redis.ttl(wire.served_key(index.id, "req-1")) <= 3_600


async def test_what_somebody_else_wrote_is_a_fault_or_passed_over(
    labels: RedisLabels, index: Index, sample: Sample, redis: Redis
) -> None:
    await labels.count(sample, AT, Label.RIGHT)
    (key,) = [key async for key in redis.scan_iter(wire.label_pattern(index.id))]
    await redis.hset(key, mapping={"0.97 wrong": "many", "weather": "3"})
    assert {AT: Counts(right=1)} in await labels.tallies(sample)
    await redis.set(key, "text")
    with pytest.raises(CacheFault):
        await labels.tallies(sample)
    damaged = {"tenant": "acme", "partition": "p", "entry": "e", "probability": "high"}
    await redis.hset(wire.served_key(index.id, "req-1"), mapping=damaged)  # type: ignore[arg-type]  # the library wants wider types
    with pytest.raises(CacheFault):
        await labels.served([index], "req-1")


async def test_an_index_that_is_deleted_takes_along_its_labels_and_how_far_it_was_filled(
    labels: RedisLabels, index: Index, sample: Sample, redis: Redis, cache_redis: EmbeddedRedis
) -> None:
    await labels.count(sample, AT, Label.RIGHT)
    await labels.note(index, "req-1", SERVED)
    for key in wire.reembedding_keys(index.version.name):
        await redis.set(key, "7")
    await labels.count(sampled(replace(index, name="other")), AT, Label.RIGHT)
    async with open_store(cache_redis.url, "cache") as store:
        assert (await store.forget(index.id)).deleted == 4
    left = [key async for key in redis.scan_iter("tollway:*")]
    assert len(left) == 1
    assert left[0].startswith(wire.label_prefix("default/other").encode())
