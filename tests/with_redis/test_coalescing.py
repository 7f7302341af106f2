"""Identical requests at the same time are one call, and nobody waits for ever or for another tenant."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from tests import loopback
from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Running, Setup, compiled, until
from tests.processes import forked, free_port, wait_for
from tests.servers import Provider, provider
from tests.snapshots import process_env, published
from tests.with_redis.test_streams import collect
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_cli.simulator.answers import answer_for
from tollway_cli.simulator.latency import Latency
from tollway_dataplane.adapters import redis_cache, redis_claims
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_claims import LIFE_S
from tollway_dataplane.background import running
from tollway_dataplane.ports import Place

PROMPT = "What is a lighthouse?"
MANY = 12
# On a busy machine: one that cannot be asked in time is no reason to wait for anybody, what could not be remembered in
# time helps nobody else, and who has waited for long enough asks for itself.
PATIENT = {"cache_read_deadline_s": 10.0, "cache_write_deadline_s": 10.0, "coalesce_wait_s": 60.0}

pytestmark = pytest.mark.usefixtures("unhurried")


async def begun(start: Start, setup: Setup, **more: object) -> Running:
    """A patient one, which remembers."""
    gateway = await start(setup, **{**PATIENT, **more})
    await until(lambda: gateway.dataplane.forgetting.is_trusted)
    return gateway


async def claims(server: EmbeddedRedis) -> Sequence[object]:
    async with Redis.from_url(server.url) as redis:
        found: Sequence[object] = await redis.keys("tollway:1:claim:*")
        return found


async def asked_at_once(
    gateway: Running, key: str = ACME_KEY, count: int = MANY, others: Sequence[Running] = ()
) -> Counter[str]:
    """How many came from where."""
    gateways = [gateway, *others]
    replies = await asyncio.gather(
        *(gateways[number % len(gateways)].ask(PROMPT, key) for number in range(count))
    )
    assert {reply.status for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    return Counter(f"{reply.source} {reply.headers['x-tollway-cache-reason']}" for reply in replies)


async def test_concurrent_identical_misses_become_one_call(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 0.3)) as slow:
        gateway = await begun(start, setup.but(cheap=slow.endpoint))
        found = await asked_at_once(gateway)
        assert slow.total == 1
        assert found == {"live NoNeighbour": 1, "exact Coalesced": MANY - 1}


async def test_a_stream_is_waited_for_as_well(start: Start, setup: Setup) -> None:
    with provider("slow", tokens_per_second=40.0) as slow:
        gateway = await begun(start, setup.but(cheap=slow.endpoint))
        answers = await asyncio.gather(*(collect(gateway.acme, PROMPT, usage=False) for _ in range(4)))
        assert slow.total == 1
        assert {text for text, _, _ in answers} == {answer_for("slow", "gpt-4o-mini", PROMPT)}


async def test_tenants_wait_for_their_own_alone(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 0.3)) as slow:
        gateway = await begun(start, setup.but(cheap=slow.endpoint))
        await asyncio.gather(asked_at_once(gateway, ACME_KEY), asked_at_once(gateway, BETA_KEY))
        assert slow.total == 2


async def test_who_has_waited_long_enough_asks_for_itself(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 1.0)) as slow:
        gateway = await begun(start, setup.but(cheap=slow.endpoint), coalesce_wait_s=0.1)
        assert set(await asked_at_once(gateway, count=3)) == {"live NoNeighbour"}
        assert slow.total == 3


async def test_when_who_asked_got_no_answer_the_others_ask(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 0.3)) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint, rich=slow.endpoint))
        slow.fail("server-error", times=2)  # the first one's attempt and its fallback
        replies = await asyncio.gather(*(gateway.ask(PROMPT) for _ in range(4)))
        assert sorted(reply.status for reply in replies) == [200, 200, 200, 503]


async def test_when_who_asked_has_gone_the_others_ask(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 0.5)) as slow:
        gateway = await begun(start, setup.but(cheap=slow.endpoint))
        first = asyncio.create_task(gateway.ask(PROMPT))
        await asyncio.sleep(0.2)
        others = [asyncio.create_task(gateway.ask(PROMPT)) for _ in range(2)]
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert {reply.status for reply in await asyncio.gather(*others)} == {200}


async def test_two_data_planes_ask_once(start: Start, setup: Setup, cache_redis: EmbeddedRedis) -> None:
    with provider("slow", latency=Latency("fixed", 1.0)) as slow:
        one, other = [await begun(start, setup.but(cheap=slow.endpoint)) for _ in range(2)]
        found = await asked_at_once(one, count=50, others=[other])
        assert found == {"live NoNeighbour": 1, "exact Coalesced": 49}
        assert slow.total == 1
        assert await claims(cache_redis) == []


async def test_a_stream_at_another_data_plane_is_waited_for_as_well(start: Start, setup: Setup) -> None:
    with provider("slow", tokens_per_second=40.0) as slow:
        gateways = [await begun(start, setup.but(cheap=slow.endpoint)) for _ in range(2)]
        answers = await asyncio.gather(*(collect(each.acme, PROMPT, usage=False) for each in gateways * 2))
        assert slow.total == 1
        assert {text for text, _, _ in answers} == {answer_for("slow", "gpt-4o-mini", PROMPT)}


async def test_what_takes_longer_than_a_claim_lives_is_still_one_call(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", LIFE_S + 1.5)) as slow:
        one, other = [
            await begun(start, setup.but(cheap=slow.endpoint), coalesce_wait_s=30.0) for _ in range(2)
        ]
        await asked_at_once(one, count=2, others=[other])
        assert slow.total == 1


async def test_where_the_first_fails_the_next_asks(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis
) -> None:
    """One after the other, since what failed once may fail again."""
    with provider("slow", latency=Latency("fixed", 0.5)) as slow:
        model = setup.but(cheap=slow.endpoint, policy={"fallback": {"maxFallbacks": 0}})
        one, other = [await begun(start, model) for _ in range(2)]
        slow.fail("server-error", times=1)
        replies = await asyncio.gather(one.ask(PROMPT), other.ask(PROMPT))
        assert sorted(reply.status for reply in replies) == [200, 503]
        assert slow.total == 2
        assert await claims(cache_redis) == []


async def test_a_store_that_fails_in_a_way_nobody_foresaw_lets_nobody_wait(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> bytes:
        raise RuntimeError("nobody foresaw this")

    gateway = await begun(start, setup)
    monkeypatch.setattr(redis_cache, "_packed", broken)
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context["message"]))
    assert (await gateway.ask(PROMPT)).status == 200
    await gateway.stored()
    stores = (await gateway.metrics())["tollway_cache_stores_total"]
    assert {dict(labels)["outcome"]: count for labels, count in stores.items()} == {"Unforeseen": 1}
    for _ in range(500):
        if not await claims(cache_redis):
            break
        await asyncio.sleep(0.02)
    assert await claims(cache_redis) == []
    assert reports == ["work in the background ended: RuntimeError: nobody foresaw this"]


async def test_a_claim_is_not_kept_up_for_ever(
    setup: Setup, cache_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    (index,) = compiled(setup.objects()).indexes.values()
    place, late = Place(index, "0" * 32, "1" * 32), Place(index, "0" * 32, "2" * 32)
    async with Redis.from_url(cache_redis.url) as redis:
        cache = RedisAnswerCache(redis, 5.0, 384)
        async with running(cache.claims.keep()):
            assert await cache.claim(place, 5.0) == (True, None)
            monkeypatch.setattr(redis_claims, "LONGEST_KEPT_S", 0.0)
            assert await cache.claim(late, 5.0) == (True, None)
            await asyncio.sleep(LIFE_S + 1)
        assert await claims(cache_redis) == [wire.claim_key(place.partition, place.entry).encode()]


async def test_a_semantic_hit_lets_nobody_wait(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis
) -> None:
    one, other = [await start(setup) for _ in range(2)]
    await one.ask("How do I reset my password?")
    await one.stored()
    for gateway in (one, other):
        assert (await gateway.ask("How can I reset my password?")).source == "semantic"
    for _ in range(100):
        if not await claims(cache_redis):
            break
        await asyncio.sleep(0.02)
    assert await claims(cache_redis) == []


async def test_who_has_waited_long_enough_for_another_data_plane_asks_for_itself(
    start: Start, setup: Setup
) -> None:
    with provider("slow", latency=Latency("fixed", 2.0)) as slow:
        one, other = [
            await begun(start, setup.but(cheap=slow.endpoint), coalesce_wait_s=0.2) for _ in range(2)
        ]
        assert set(await asked_at_once(one, count=2, others=[other])) == {"live NoNeighbour"}
        assert slow.total == 2


async def test_who_has_waited_for_one_here_waits_no_longer_for_another_elsewhere(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis
) -> None:
    """One who leaves without an answer after 2.5 s, and then one elsewhere who never comes back."""
    with provider("slow") as slow:
        gateway = await begun(start, setup.but(cheap=slow.endpoint), coalesce_wait_s=3.0)
        slow.fail("stall", times=1)
        first = asyncio.create_task(gateway.ask(PROMPT))
        await until(lambda: slow.total == 1)
        began = time.monotonic()
        second = asyncio.create_task(gateway.ask(PROMPT))
        await asyncio.sleep(2.5)
        async with Redis.from_url(cache_redis.url) as redis:
            (claim,) = await redis.keys("tollway:1:claim:*")
            await redis.set(claim, "elsewhere")
            first.cancel()
            await redis.set(claim, "elsewhere")
            assert (await second).source == "live"
        assert time.monotonic() - began < 5.2, "3 s; the rest is this machine's noise"


async def test_a_redis_that_dies_meanwhile_keeps_nobody_waiting(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis
) -> None:
    with provider("slow", latency=Latency("fixed", 1.5)) as slow:
        gateways = [
            await start(setup.but(cheap=slow.endpoint), cache_url=fault_redis.url, coalesce_wait_s=60.0)
            for _ in range(2)
        ]
        first = asyncio.create_task(gateways[0].ask(PROMPT))
        await until(lambda: slow.total == 1)
        second = asyncio.create_task(gateways[1].ask(PROMPT))
        await asyncio.sleep(0.2)
        fault_redis.kill()
        replies = await asyncio.gather(first, second)
        assert [(reply.status, reply.source) for reply in replies] == [(200, "live")] * 2
        assert slow.total == 2


@pytest.mark.parametrize("stops", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_a_data_plane_that_dies_is_not_waited_for_to_the_end(
    tmp_path: Path,
    setup: Setup,
    cheap: Provider,
    cache_redis: EmbeddedRedis,
    ledger_redis: EmbeddedRedis,
    stops: signal.Signals,
) -> None:
    folder = tmp_path / "snapshot"
    published(setup, folder, cache_redis, ledger_redis)
    with ExitStack() as stack:
        urls, processes = [], []
        for name in ("one", "two"):
            port, admin = free_port(), free_port()
            env = {
                **process_env(folder, cache_redis, ledger_redis, port, admin),
                "TOLLWAY_CACHE_READ_DEADLINE_S": "1",
                "TOLLWAY_LEDGER_DEADLINE_S": "5",
                "TOLLWAY_COALESCE_WAIT_S": "25",
            }
            log = tmp_path / f"{name}.log"
            processes.append(stack.enter_context(forked(log, "tollway_dataplane", env)))
            urls.append(f"http://127.0.0.1:{port}/chat")
            ready = f"http://127.0.0.1:{admin}/readyz"
            wait_for(lambda ready=ready: loopback.get(ready).status_code == 200, "ready", 60)  # type: ignore[misc]  # mypy does not type a lambda with a default

        def ask(url: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {ACME_KEY}"}
            return loopback.post(url, json={"prompt": PROMPT}, headers=headers, timeout=60)

        cheap.fail("stall", times=1)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(ask, urls[0])
            wait_for(lambda: cheap.total == 1, "the first asks")
            began = time.monotonic()
            second = pool.submit(ask, urls[1])
            time.sleep(1)
            assert not second.done(), "it waits for the first"
            processes[0].process.send_signal(stops)
            assert second.result(30).json()["source"] == "live"
            assert time.monotonic() - began < 20, (
                "a claim lives three seconds; the rest is this machine's noise"
            )
            with suppress(ProcessLookupError):
                processes[0].process.send_signal(signal.SIGKILL)
            assert isinstance(first.exception(30), httpx.TransportError)
        assert cheap.total == 2
