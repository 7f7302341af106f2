"""What is purged is served by nobody any more, whoever remembered it, and whatever dies meanwhile."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Reply, Running, Setup, manifest, until
from tests.servers import Provider, provider
from tollway_api import wire
from tollway_api.epochs import EVERYTHING, Epochs, Scope
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_cli.simulator.latency import Latency
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_forgetter import RedisForgetter
from tollway_dataplane.cache import forgetting
from tollway_dataplane.cache.forgetting import TRUSTED_S
from tollway_dataplane.ports import Place

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "semantic-cache.md"
INDEX = "default/answers"
PASSWORD, PARAPHRASE = "How do I reset my password?", "How can I reset my password?"
SHARED = manifest("SemanticCacheIndex", "everybodys", {"scope": "Shared"})


@pytest.fixture
def token(tmp_path: Path) -> Path:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "token").write_text("admin-test-token", encoding="utf-8")
    return tmp_path / "tokens"


async def purge(gateway: Running, token: str = "admin-test-token", **wanted: str) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {token}"}
    async with gateway.http.post(f"{gateway.admin_url}/purge", json=wanted, headers=headers) as response:
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else await response.text()


async def sources(gateway: Running, *asked: tuple[str, str]) -> list[str]:
    return [(await gateway.ask(prompt, key)).source for prompt, key in asked]


async def eventually(gateway: Running, met: Callable[[Reply], bool], prompt: str = PASSWORD) -> Reply:
    deadline = time.monotonic() + 3 * TRUSTED_S
    while not met(reply := await gateway.ask(prompt)):
        assert time.monotonic() < deadline, reply.headers
        await asyncio.sleep(0.05)
    return reply


async def count(url: str) -> int:
    """Entries and vectors."""
    async with Redis.from_url(url) as redis:
        return len(await redis.keys(wire.REMEMBERED_PATTERN))


@pytest.mark.skipif(shutil.which("curl") is None, reason="NO curl, with which the documentation shows it")
async def test_the_commands_of_the_documentation_do_it(start: Start, setup: Setup, token: Path) -> None:
    gateway = await start(setup, admin_token_dir=token)
    commands = [
        line
        for line in DOCUMENTATION.read_text("utf-8").splitlines()
        if line.startswith("curl localhost:8081")
    ]
    assert len(commands) == 3
    for command in commands:
        of_this = command.replace("localhost:8081", gateway.admin_url)
        curl = await asyncio.create_subprocess_exec(
            *("sh", "-c", f"{of_this.partition('   #')[0]} --fail --silent"),
            env={"TOKEN": "admin-test-token", "PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await curl.communicate()
        assert curl.returncode == 0, command
        assert json.loads(said)["indexes"] == [INDEX]


async def test_a_purged_index_answers_nothing_of_before_and_everything_since(
    start: Start, setup: Setup, token: Path
) -> None:
    gateway = await start(setup, admin_token_dir=token)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    assert await sources(gateway, (PASSWORD, ACME_KEY), (PARAPHRASE, ACME_KEY)) == ["exact", "semantic"]
    status, purged = await purge(gateway, index=INDEX)
    assert (status, purged["indexes"], purged["shared"]) == (200, [INDEX], [])
    assert abs(purged["epoch"] / 1_000 - time.time()) < 60
    reply = await gateway.ask(PARAPHRASE)
    assert (reply.source, reply.headers["x-tollway-cache-reason"]) == ("live", "NoNeighbour")
    await gateway.stored(2)
    assert await sources(gateway, (PARAPHRASE, ACME_KEY), (PASSWORD, ACME_KEY)) == ["exact", "semantic"]


async def test_a_purged_tenant_costs_nobody_else_an_answer(start: Start, setup: Setup, token: Path) -> None:
    gateway = await start(setup, admin_token_dir=token)
    asked = ((PASSWORD, ACME_KEY), (PASSWORD, BETA_KEY))
    await sources(gateway, *asked)
    await gateway.stored(2)
    assert (await purge(gateway, tenant="acme"))[0] == 200
    assert await sources(gateway, *asked) == ["live", "exact"]
    await gateway.stored(3)
    assert (await purge(gateway, tenant="beta", index=INDEX))[0] == 200
    assert await sources(gateway, *asked) == ["exact", "live"]


async def test_every_data_plane_forgets_at_once_and_says_so(
    start: Start, setup: Setup, token: Path, cheap: Provider
) -> None:
    patient = {"cache_read_deadline_s": 10.0, "cache_write_deadline_s": 10.0, "embed_deadline_s": 10.0}
    one, other = [await start(setup, admin_token_dir=token, **patient) for _ in range(2)]
    # While the second was starting, the first may not have heard of purges.
    await until(lambda: one.dataplane.forgetting.is_trusted and other.dataplane.forgetting.is_trusted)
    await one.ask(PASSWORD)
    await one.stored()
    assert (await other.ask(PASSWORD)).source == "exact"
    began = time.monotonic()
    epoch = (await purge(one, index=INDEX))[1]["epoch"]
    assert one.dataplane.forgetting.epoch == epoch
    await until(lambda: other.dataplane.forgetting.epoch == epoch)
    assert time.monotonic() - began < TRUSTED_S, "it was told, and did not only find out"
    assert (await other.ask(PASSWORD)).source == "live"
    assert cheap.total == 2


async def test_what_was_asked_before_a_purge_is_not_remembered_after_it(
    start: Start, setup: Setup, token: Path, cache_redis: EmbeddedRedis
) -> None:
    with provider("slow", latency=Latency("fixed", 0.5)) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint), admin_token_dir=token)
        asking = asyncio.create_task(gateway.ask(PASSWORD))
        await until(lambda: slow.total == 1)
        await purge(gateway, index=INDEX)
        assert (await asking).source == "live"
        await gateway.stored()
        assert (await gateway.metrics())["tollway_cache_stores_total"] == {(("outcome", "Purged"),): 1}
        assert await count(cache_redis.url) == 0
        assert (await gateway.ask(PASSWORD)).source == "live"


async def test_who_waits_for_another_is_served_nothing_that_was_purged_meanwhile(
    start: Start, setup: Setup, token: Path
) -> None:
    """A paraphrase was remembered while they waited, by another data plane, and then all was purged."""
    with provider("slow", latency=Latency("fixed", 2.0)) as slow:
        patient = {"cache_read_deadline_s": 10.0, "coalesce_wait_s": 30.0}  # whatever else this machine does
        gateway = await start(setup.but(cheap=slow.endpoint), admin_token_dir=token, **patient)
        other = await start(setup, **patient)
        first = asyncio.create_task(gateway.ask(PASSWORD))
        await until(lambda: slow.total == 1)
        waiting = [asyncio.create_task(gateway.ask(PASSWORD)) for _ in range(3)]
        await other.ask(PARAPHRASE)
        await other.stored()
        assert (await purge(gateway, index=INDEX))[0] == 200
        assert not first.done()
        assert (await first).source == "live"
        found = [reply.headers["x-tollway-cache-reason"] for reply in await asyncio.gather(*waiting)]
        assert sorted(found) == ["Coalesced", "Coalesced", "NoNeighbour"], "one of them asks, for all"
        await gateway.stored(2)
        assert slow.total == 2
        assert (await gateway.ask(PASSWORD)).source == "exact", "it was asked after the purge"


async def test_who_waits_for_another_is_served_nothing_when_nobody_can_know_of_purges_any_more(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "TRUSTED_S", 1.5)
    with provider("slow", latency=Latency("fixed", 4.0)) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint), cache_url=fault_redis.url)
        first = asyncio.create_task(gateway.ask(PASSWORD))
        await until(lambda: slow.total == 1)
        waiting = asyncio.create_task(gateway.ask(PASSWORD))
        await asyncio.sleep(0.2)
        fault_redis.kill()
        assert (await first).source == "live"
        reply = await waiting
        assert (reply.source, reply.headers["x-tollway-cache-reason"]) == ("live", "CacheUnavailable")


async def test_a_purge_outlives_who_was_told(start: Start, setup: Setup, token: Path) -> None:
    first = await start(setup, admin_token_dir=token)
    await first.ask(PASSWORD)
    await first.stored()
    await purge(first, index=INDEX)
    later = await start(setup, admin_token_dir=token)
    assert later.dataplane.forgetting.epoch == first.dataplane.forgetting.epoch
    assert (await later.ask(PASSWORD)).source == "live"


async def test_what_was_purged_is_deleted_and_what_came_since_stays(
    start: Start, setup: Setup, token: Path, cache_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, admin_token_dir=token)
    asked = [(f"What is {word}?", ACME_KEY) for word in ("a fjord", "a delta", "a lighthouse", "an estuary")]
    await sources(gateway, *asked, (PASSWORD, BETA_KEY))
    await gateway.stored(5)
    await purge(gateway, tenant="acme")
    await gateway.ask(PASSWORD)
    await gateway.stored(6)
    assert await count(cache_redis.url) == 12
    client = connect(cache_redis.url, 2.0)
    forgetter = RedisForgetter(client, 2.0)
    assert await forgetter.sweep(60.0) is None, "somebody may still be at it"
    others = {"tollway:1:errors:{x}": "1", "tollway:1:{x}": "1", "entry:{x}": "1"}
    await client.mset(others)
    await asyncio.sleep(1.1)  # epochs are of milliseconds, and whether they are due of whole seconds
    await client.set(wire.SWEEP_KEY, "1")
    assert await forgetter.sweep(0.0) is None, "another does it"
    await client.delete(wire.SWEEP_KEY)
    assert await forgetter.sweep(0.0) == 8
    assert await forgetter.sweep(0.0) is None, "it is done"
    assert await client.exists(*others) == 3, "what is not ours"
    await client.delete(*others)
    await client.aclose()
    assert await count(cache_redis.url) == 4
    assert await sources(gateway, (PASSWORD, ACME_KEY), (PASSWORD, BETA_KEY)) == ["exact", "exact"]


async def test_data_planes_delete_what_was_purged_by_themselves(
    start: Start, setup: Setup, token: Path, cache_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, admin_token_dir=token)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    await purge(gateway, index=INDEX)
    for _ in range(300):
        if "what was purged is deleted" in str(gateway.log_lines()):
            break
        await asyncio.sleep(0.1)
    assert "what was purged is deleted" in str(gateway.log_lines())
    assert await count(cache_redis.url) == 0


async def test_a_redis_that_has_lost_a_purge_is_told_again(
    start: Start, setup: Setup, token: Path, cache_redis: EmbeddedRedis
) -> None:
    """As after a failover to a replica that was behind."""
    gateway = await start(setup, admin_token_dir=token)
    async with Redis.from_url(cache_redis.url) as redis:
        before: Any = await redis.hgetall(wire.EPOCHS_KEY)
        epoch = (await purge(gateway, index=INDEX))[1]["epoch"]
        nothing: Any = {}
        for lost in (before, nothing):
            await redis.delete(wire.EPOCHS_KEY)
            if lost:
                await redis.hset(wire.EPOCHS_KEY, mapping=lost)
            found: Any = {}
            for _ in range(300):
                found = await redis.hgetall(wire.EPOCHS_KEY)
                if found.get(f"{INDEX} ".encode()) == str(epoch).encode():
                    break
                await asyncio.sleep(0.02)
            assert Epochs.parse(found).by_scope == {EVERYTHING: int(before[b" "]), Scope(INDEX): epoch}


async def test_where_nobody_knows_any_more_what_was_purged_everything_is(cache_redis: EmbeddedRedis) -> None:
    """Redis has lost it, and the data planes of then are gone, or were away for too long to know the latest."""
    client = connect(cache_redis.url, 2.0)
    forgetter = RedisForgetter(client, 2.0)
    await forgetter.purge(Scope(INDEX))
    known = (await forgetter.news(Epochs(), 0.0, trusted=False)).epochs
    for knows in (Epochs(), known):
        await client.delete(wire.EPOCHS_KEY)
        news = await RedisForgetter(client, 2.0).news(knows, 0.0, trusted=False)
        assert news.epochs.by_scope[EVERYTHING] > known.version
    await client.delete(wire.EPOCHS_KEY)
    assert (await RedisForgetter(client, 2.0).news(known, 0.0, trusted=True)).epochs == known
    await client.aclose()


async def test_without_redis_nothing_is_purged_and_soon_nothing_served(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis, token: Path
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url, admin_token_dir=token)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    await asyncio.sleep(1.1)  # the append-only file is written every second
    fault_redis.kill()
    began = time.monotonic()
    status, why = await purge(gateway, index=INDEX)
    assert status == 503
    assert "did not say that it was done" in why
    assert (await gateway.ask(PASSWORD)).source == "exact", "this process remembers, for a while"
    await eventually(gateway, lambda reply: reply.headers["x-tollway-cache-reason"] == "CacheUnavailable")
    assert time.monotonic() - began < TRUSTED_S + 3, "the rest is this machine's noise"
    assert gateway.dataplane.forgetting.epoch > 0
    fault_redis.start()
    await eventually(gateway, lambda reply: reply.source == "exact")
    assert "purges cannot be followed" in str(gateway.log_lines())


async def test_somebody_elses_epochs_cost_the_cache_and_no_request(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis, token: Path
) -> None:
    async with Redis.from_url(cache_redis.url) as redis:
        await redis.rpush(wire.EPOCHS_KEY, "not a hash")
    gateway = await start(setup, admin_token_dir=token)
    reply = await gateway.ask(PASSWORD)
    assert (reply.status, reply.headers["x-tollway-cache-reason"]) == (200, "CacheUnavailable")
    assert (await purge(gateway, index=INDEX))[0] == 503
    async with Redis.from_url(cache_redis.url) as redis:
        await redis.delete(wire.EPOCHS_KEY)
    await eventually(gateway, lambda reply: reply.headers["x-tollway-cache-reason"] == "NoNeighbour")


@pytest.mark.parametrize(
    ("wanted", "status", "why"),
    [
        ({}, 400, "say of which index"),
        ({"index": INDEX, "tenent": "acme"}, 400, "not a purge"),
        ({"index": INDEX, "tenant": ""}, 400, "not a purge"),
        ({"index": "answers"}, 404, "write it like namespace/name"),
        ({"tenant": "acmee"}, 404, "there is no tenant 'acmee'"),
        ({"index": "default/everybodys", "tenant": "acme"}, 409, "default/everybodys is shared"),
    ],
    ids=[
        "nothing",
        "misspelt",
        "an empty name",
        "no such index",
        "no such tenant",
        "of a tenant in a shared one",
    ],
)
async def test_a_purge_that_makes_no_sense_purges_nothing(
    start: Start, setup: Setup, token: Path, wanted: dict[str, str], status: int, why: str
) -> None:
    gateway = await start(setup.but(others=(SHARED,)), admin_token_dir=token)
    before = gateway.dataplane.forgetting.epoch
    found, said = await purge(gateway, **wanted)
    assert (found, why in said) == (status, True), said
    assert gateway.dataplane.forgetting.epoch == before


async def test_a_tenants_purge_names_the_indexes_that_it_leaves(
    start: Start, setup: Setup, token: Path
) -> None:
    gateway = await start(setup.but(others=(SHARED,)), admin_token_dir=token)
    _, purged = await purge(gateway, tenant="acme")
    assert (purged["indexes"], purged["shared"]) == ([INDEX], ["default/everybodys"])


async def test_nobody_purges_without_the_token(start: Start, setup: Setup, token: Path) -> None:
    gateway = await start(setup, admin_token_dir=token)
    assert (await purge(gateway, "wrong", index=INDEX))[0] == 401
    without = await start(setup, admin_token_dir=token / "absent")
    assert (await purge(without, "", index=INDEX))[0] == 401


async def test_an_evicted_entry_is_gone_everywhere_at_once_and_alone(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis
) -> None:
    one, other = await start(setup), await start(setup)
    await sources(one, (PASSWORD, ACME_KEY), ("What is a fjord?", ACME_KEY))
    await one.stored(2)
    assert await sources(other, (PASSWORD, ACME_KEY), ("What is a fjord?", ACME_KEY)) == ["exact"] * 2
    async with Redis.from_url(cache_redis.url) as redis:
        found: Any = await redis.keys("tollway:1:entry:*")
    key = found[0].decode()
    partition = key.partition("{")[2].partition("}")[0]
    place = Place(one.snapshot.indexes[INDEX], partition, key.rpartition(":")[2])
    await one.dataplane.forgetting.evict(place)
    assert await count(cache_redis.url) == 2, "the other's entry and its vector"
    await until(lambda: other.dataplane.forgetting.recalled(place) is None)
    answered = await sources(other, (PASSWORD, ACME_KEY), ("What is a fjord?", ACME_KEY))
    assert sorted(answered) == ["exact", "live"]
