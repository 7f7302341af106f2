"""Our alerts go off under real faults, and are over when those are: a real Prometheus scrapes a running data plane."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import redis as sync_redis
from redis.asyncio import Redis

from tests.callers import callers
from tests.conftest import Start
from tests.dataplanes import Running, Setup
from tests.judges import INDEX, newest_key, patient
from tests.prometheus import prometheus
from tests.proxies import Proxy, proxy
from tests.servers import Provider
from tollway_api.error_control import Label, Scale, label_field
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.errors import SnapshotFault

pytestmark = pytest.mark.long


async def test_a_provider_that_is_down(
    start: Start, setup: Setup, cheap: Provider, rich: Provider, tmp_path: Path
) -> None:
    breaker = {"openFor": "1s", "window": "2s", "minRequests": 2}
    fallback = {"circuitBreaker": breaker, "deadline": "500ms"}  # else callers wait for what may be well soon
    gateway = await start(setup.but(policy={"cache": None, "fallback": fallback}))
    numbers = count()
    with prometheus(tmp_path / "prometheus", [gateway.admin_url], minute_ms=200) as watching:
        async with callers(lambda: gateway.ask(f"What is {next(numbers)}?"), many=16):
            cheap.fail("server-error")
            burst = await watching.fires("TollwayFallbackBurst")
            assert "fallbacks as requests" in burst["annotations"]["description"]
            not_asked = await watching.fires("TollwayModelNotAsked")
            assert not_asked["labels"]["model"] == "cheap"
            assert watching.firing("TollwayRequestsFailing") == [], "the other model answers"
            rich.fail("server-error")
            failing = await watching.fires("TollwayRequestsFailing")
            assert failing["labels"]["severity"] == "critical"
            cheap.reset()
            rich.reset()
            for name in ("TollwayRequestsFailing", "TollwayFallbackBurst", "TollwayModelNotAsked"):
                await watching.resolves(name)


@pytest.fixture
def ledger_proxy(ledger_redis: EmbeddedRedis) -> Iterator[Proxy]:
    with proxy(ledger_redis.url) as made:
        yield made


async def test_a_ledger_that_is_gone_and_a_cache_that_is_full(
    start: Start, setup: Setup, ledger_proxy: Proxy, fault_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    gateway = await start(setup, ledger_url=ledger_proxy.url, cache_url=fault_redis.url)
    with (
        sync_redis.Redis("127.0.0.1", port=fault_redis.port) as cache,
        prometheus(tmp_path / "prometheus", [gateway.admin_url]) as watching,
    ):
        roomy = cache.config_get("maxmemory")["maxmemory"]
        cache.config_set("maxmemory", int(cache.info("memory")["used_memory"] * 1.1))
        ledger_proxy.cut()
        down = await watching.fires("TollwayRedisDown")
        assert (down["labels"]["role"], down["labels"]["severity"]) == ("ledger", "critical")
        full = await watching.fires("TollwayRedisMemoryHigh")
        assert (full["labels"]["role"], full["labels"]["severity"]) == ("cache", "warning")
        ledger_proxy.restore()
        cache.config_set("maxmemory", roomy)
        await watching.resolves("TollwayRedisDown")
        await watching.resolves("TollwayRedisMemoryHigh")


async def test_a_budget_near_its_limit(start: Start, setup: Setup, tmp_path: Path) -> None:
    def limited(amount: str) -> Setup:
        return setup.but(acme={"limits": [{"name": "few", "unit": "Requests", "amount": amount}]})

    gateway = await start(limited("10"))
    with prometheus(tmp_path / "prometheus", [gateway.admin_url]) as watching:
        for number in range(8):
            await gateway.ask(f"What is {number}?")
        near = await watching.fires("TollwayBudgetNearLimit")
        assert (near["labels"]["tenant"], near["labels"]["limit"]) == ("acme", "few")
        assert near["annotations"]["description"].startswith("80% of limit few are used")
        await gateway.swap(limited("100"))
        await gateway.ask("What is a fjord?")
        await watching.resolves("TollwayBudgetNearLimit")


async def test_data_planes_that_run_different_snapshots(start: Start, setup: Setup, tmp_path: Path) -> None:
    one, other = await start(setup), await start(setup)
    edited = setup.but(acme={"alertThresholdPercent": 50})
    with prometheus(tmp_path / "prometheus", [one.admin_url, other.admin_url]) as watching:
        await one.swap(edited)
        await watching.fires("TollwayRevisionsDiffer")

        async def offer_what_is_damaged() -> None:
            with contextlib.suppress(SnapshotFault):
                await other.dataplane.live.offer(b"{}")

        async with callers(offer_what_is_damaged):
            await watching.fires("TollwaySnapshotRejected")
        await other.swap(edited)
        await watching.resolves("TollwayRevisionsDiffer")
        await watching.resolves("TollwaySnapshotRejected")


async def test_an_index_that_is_wrong_too_often(
    start: Start, judged: Callable[..., Setup], cache_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    gateway = await patient(start)(judged())
    with prometheus(tmp_path / "prometheus", [gateway.admin_url]) as watching:
        async with Redis.from_url(cache_redis.url, protocol=2) as redis:
            key = newest_key(gateway)
            await redis.hset(key, label_field(Scale.PROBABILITY, 0, Label.WRONG), "500")
            inaccurate = await watching.fires("TollwayCacheInaccurate")
            assert inaccurate["labels"]["index"] == INDEX
            await redis.delete(key)
            await watching.resolves("TollwayCacheInaccurate")


async def test_a_cache_that_is_slow(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    gateway = await patient(start)(setup, cache_url=fault_redis.url, near_cache_bytes=0)
    await gateway.ask("What is a fjord?")
    await gateway.stored()

    async def ask_slowly() -> None:
        """Redis sleeps for longer than an answer from memory may take."""
        fault_redis.pause()
        async with asyncio.TaskGroup() as group:
            for _ in range(80):
                group.create_task(gateway.ask("What is a fjord?"))
            try:
                await asyncio.sleep(0.6)
            finally:
                fault_redis.resume()

    with prometheus(tmp_path / "prometheus", [gateway.admin_url], minute_ms=200) as watching:
        async with callers(ask_slowly):
            await watching.fires("TollwayHitsSlow")
        await watching.resolves("TollwayHitsSlow")


async def test_a_cache_that_has_little_to_give(gateway: Running, tmp_path: Path) -> None:
    numbers = count()
    with prometheus(tmp_path / "prometheus", [gateway.admin_url], minute_ms=300) as watching:
        async with callers(lambda: gateway.ask(f"What is {next(numbers)}?"), many=16):
            await watching.fires("TollwayHitRatioLow")
        async with callers(lambda: gateway.ask("What is 0?"), many=16):
            await watching.resolves("TollwayHitRatioLow")
