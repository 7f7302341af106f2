"""Indexes that find candidates by another embedding than the judge reads."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import Setup
from tests.servers import Provider, provider
from tollway_api import messages
from tollway_cli.embedded_redis import EmbeddedRedis

PASSWORD, PARAPHRASE = "How do I reset my password?", "How can I reset my password?"
WORDLLAMA = {"embedding": {"model": "wordllama", "dimensions": 256}}


@pytest.mark.parametrize("vector_type", ["Float32", "Float16"])
async def test_a_table_of_word_vectors_finds_candidates_and_the_judge_reads_its_own(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis, vector_type: str
) -> None:
    gateway = await start(setup.but(index={**WORDLLAMA, "vector": {"type": vector_type}}))
    await gateway.ask(PASSWORD)
    await gateway.ask("How do I move money from savings to checking?")
    await gateway.stored(2)
    assert (await gateway.ask(PARAPHRASE)).source == "semantic"
    refused = await gateway.ask("How do I move money from checking to savings?")
    assert refused.headers["x-tollway-cache-reason"] == "RelationsDiffer"
    async with Redis.from_url(cache_redis.url) as redis:
        for key in await redis.keys("tollway:1:vector:*"):
            fields = await redis.hgetall(key)
            assert len(fields[b"embedding"]) == 256 * (4 if vector_type == "Float32" else 2)
            assert len(fields[b"judged1"]) == 384 * 2


async def test_what_the_judge_reads_is_not_kept_twice(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    async with Redis.from_url(cache_redis.url) as redis:
        (key,) = await redis.keys("tollway:1:vector:*")
        assert set(await redis.hgetall(key)) == {b"partition", b"prompt", b"embedding", b"words1"}


def elsewhere(provider: Provider, dimensions: int) -> dict[str, object]:
    given = {"model": "m", "dimensions": dimensions, "endpoint": provider.endpoint}
    return {"embedding": {"provider": "OpenAICompatible", **given}}


async def test_an_endpoint_finds_candidates(start: Start, setup: Setup, cheap: Provider) -> None:
    gateway = await start(setup.but(index=elsewhere(cheap, 256)))
    await gateway.ask(PASSWORD)
    await gateway.stored()
    asked = await gateway.ask("What is a fjord?")
    assert asked.headers["x-tollway-cache-reason"] == "BelowThreshold", "it has been found and judged"


async def test_a_data_plane_says_which_vectors_do_not_fit(
    start: Start, setup: Setup, cheap: Provider, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("admin-test-token", encoding="utf-8")
    gateway = await start(setup.but(index=elsewhere(cheap, 16)), admin_token_dir=tmp_path)

    async def unfit() -> dict[str, str]:
        live = gateway.dataplane.live
        told = messages.NOTIFY.dump_python(messages.Notify(str(live.revision), str(live.digest)))
        headers = {"authorization": "Bearer admin-test-token"}
        url = f"{gateway.admin_url}{messages.PATH}"
        async with gateway.http.post(url, json=told, headers=headers) as response:
            return messages.POD_STATE.validate_json(await response.read()).unfit

    assert await unfit() == {}, "nobody has asked"
    await gateway.ask(PASSWORD)
    assert await unfit() == {"default/answers": "the endpoint's vectors of m have 256 dimensions, not 16"}
    await gateway.swap(setup.but(index=elsewhere(cheap, 256)))
    assert await unfit() == {}
    await gateway.ask(PASSWORD)
    assert await unfit() == {}


async def test_an_endpoint_that_is_wrong_or_away_costs_semantic_hits_and_nothing_else(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(index=elsewhere(cheap, 16)))
    await gateway.ask(PASSWORD)
    await gateway.stored()
    assert (await gateway.ask(PASSWORD)).source == "exact"
    reply = await gateway.ask(PARAPHRASE)
    assert (reply.status, reply.headers["x-tollway-cache-reason"]) == (200, "EmbedderUnavailable")


async def test_an_endpoint_that_fails_for_everybody_is_left_alone(start: Start, setup: Setup) -> None:
    with provider("vectors") as vectors:
        gateway = await start(setup.but(index=elsewhere(vectors, 256)))
        vectors.fail("server-error")
        for kind in ("lake", "river"):
            asking = (gateway.ask(f"Where is {kind} number {number}?") for number in range(10))
            replies = await asyncio.gather(*asking)
            reasons = {reply.headers["x-tollway-cache-reason"] for reply in replies}
            assert reasons == {"EmbedderUnavailable"}
            assert vectors.total == 10
