"""The ledger goes away under load, and comes back: what was leased is spent and no more, callers are told why they are
refused, requests flow again by themselves, and everything is counted once.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import redis as sync_redis
from redis.asyncio import Redis

from tests import loopback
from tests.dataplanes import ACME_KEY, Reply, Running, Setup, SharedEmbedder, running, until
from tests.processes import forked, free_port, wait_for
from tests.servers import Provider, provider
from tests.snapshots import process_env, published
from tests.tenants import tenant
from tollway_api.snapshot import Calendar, Limit
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.spending import leases

PROMPT = "What is a lighthouse?"
INPUT, OUTPUT = 150, 600  # nano-USD a token, of gpt-4o-mini
LIMIT = 30_000_000  # nano-USD; a hundredth of it is about ten answers
SLICE = LIMIT // 100
MONEY = Limit("money", Unit.USD, LIMIT, Calendar(CalendarPeriod.DAY, "UTC"))


def money(rule: str = "Lease", nano: int = LIMIT) -> dict[str, object]:
    limits = [{"name": "money", "amount": f"{nano / 1e9:.9f}"}]
    return {"limits": limits, "onLedgerUnavailable": rule}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LOOK_EVERY_S", 0.1)


@asynccontextmanager
async def pods(
    setup: Setup,
    cache: EmbeddedRedis,
    ledger: EmbeddedRedis,
    embedder: SharedEmbedder,
    count: int = 2,
    deadline_s: float = 10.0,
) -> AsyncIterator[list[Running]]:
    """Where it takes no time to know that the ledger is away, it may be slow otherwise."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                running(setup, cache.url, ledger.url, embedder, ledger_deadline_s=deadline_s)
            )
            for _ in range(count)
        ]


async def taken(ledger: EmbeddedRedis) -> tuple[int, int]:
    """Used and held, of acme's money in nano-USD."""
    async with Redis.from_url(ledger.url) as redis:
        ((used, held),) = await RedisLedger(redis, 5.0).read(tenant(MONEY))
        return used, held


async def until_counted(ledger: EmbeddedRedis, gateways: Sequence[Running], held: int) -> None:
    """Until what is used is what all requests have cost, as far as the log has them."""
    before = None
    for _ in range(60):
        found = await taken(ledger)
        # Twice, since lines reach the log a tenth of a second late and the ledger hears of what it missed when it can.
        if found == before == (cost(gateways), held):
            return
        before = found
        await asyncio.sleep(0.3)
    raise AssertionError(f"{await taken(ledger)} is not {cost(gateways)}, {held}")


async def asked(gateways: Sequence[Running], count: int) -> list[Reply]:
    """At once, of all of them by turns."""

    async def ask(number: int) -> Reply:
        return await gateways[number % len(gateways)].ask(f"{PROMPT} {number}", more={"temperature": 2})

    return list(await asyncio.gather(*map(ask, range(count))))


def cost(gateways: Sequence[Running]) -> int:
    """Of all requests, as their log lines have it."""
    lines = [line for each in gateways for line in each.log_lines() if line["event"] == "request"]
    return int(sum(Decimal(str(line["cost_usd"])) for line in lines) * 10**9)


def billed(of: Provider) -> int:
    tokens = of.seen()["tokens"]
    assert isinstance(tokens, dict)
    used = tokens["gpt-4o-mini"]
    return int(used["prompt"] * INPUT + used["completion"] * OUTPUT)


@pytest.mark.parametrize("fault", ["killed", "paused"])
async def test_what_was_leased_is_spent_and_no_more_and_then_all_goes_on(
    setup: Setup,
    cheap: Provider,
    cache_redis: EmbeddedRedis,
    fault_redis: EmbeddedRedis,
    embedder: SharedEmbedder,
    fault: str,
) -> None:
    deadline_s = 1.0 if fault == "paused" else 10.0
    made = setup.but(acme=money())
    async with pods(made, cache_redis, fault_redis, embedder, deadline_s=deadline_s) as pair:
        await asked(pair, 2)
        await until_counted(fault_redis, pair, 2 * SLICE)
        before = billed(cheap)
        if fault == "killed":
            fault_redis.kill()
        else:
            fault_redis.pause()
        replies = await asked(pair, 60)
        # Who asks while others are answered is refused for what those may cost, so until nobody is answered.
        latest = replies
        while {reply.status for reply in latest} != {503}:
            latest = await asked(pair, 2)
            replies += latest
        assert {reply.status for reply in replies} == {200, 503}
        refused = next(reply for reply in replies if reply.status == 503)
        assert refused.error["code"] == "budget_unavailable"
        assert "what was set aside of limit 'money' for that is used up" in refused.error["message"]
        assert refused.headers["retry-after"] == "2"
        cut = [reply for reply in replies if "x-tollway-cut" in reply.headers]
        assert all("set aside of limit 'money'" in reply.headers["x-tollway-cut"] for reply in cut)
        under_way = len(cut) * 60 * OUTPUT  # this provider writes a whole answer at once
        assert SLICE <= billed(cheap) - before <= 2 * SLICE + under_way
        if fault == "killed":
            fault_redis.start()
        else:
            fault_redis.resume()
        for _ in range(100):
            if {reply.status for reply in await asked(pair, 2)} == {200}:
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("the ledger is back, and nobody is answered")
        await until_counted(fault_redis, pair, 2 * SLICE)
        spent = cost(pair)
    assert await taken(fault_redis) == (spent, 0), "given back, and nothing twice"


async def test_of_a_busy_tenant_the_ledger_hears_seldom_and_misses_nothing(
    setup: Setup,
    cheap: Provider,
    cache_redis: EmbeddedRedis,
    fault_redis: EmbeddedRedis,
    embedder: SharedEmbedder,
) -> None:
    made = setup.but(acme=money("Deny", nano=10**15))
    async with pods(made, cache_redis, fault_redis, embedder, deadline_s=1.0) as pair:
        replies = [reply for _ in range(10) for reply in await asked(pair, 60)]
        assert {reply.status for reply in replies} == {200}
        async with Redis.from_url(fault_redis.url) as redis:
            calls = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
        assert calls < len(replies), "where each is asked for it takes two calls for each"
        fault_redis.kill()
        while {reply.status for reply in await asked(pair, 20)} != {503}:
            pass  # what was granted lasts for a second
        fault_redis.start()
        await until_counted(fault_redis, pair, 0)
        assert {reply.status for reply in await asked(pair, 60)} == {200}
        await asked(pair, 60)
    assert await taken(fault_redis) == (billed(cheap), 0)


async def test_a_ledger_that_comes_and_goes_counts_everything_once_and_exceeds_nothing(
    setup: Setup, cache_redis: EmbeddedRedis, fault_redis: EmbeddedRedis, embedder: SharedEmbedder
) -> None:
    limit = LIMIT // 10  # about a hundred answers, of which more are asked for
    async with pods(setup.but(acme=money(nano=limit)), cache_redis, fault_redis, embedder) as pair:
        for _ in range(3):
            asking = asyncio.create_task(asked(pair, 60))
            await asyncio.sleep(0.5)
            fault_redis.kill()
            await asyncio.sleep(0.5)
            fault_redis.start()
            # Who waits for the ledger may be answered once it is back.
            assert {reply.status for reply in await asking} <= {200, 429, 503}
        for _ in range(50):  # until it is used up
            if {reply.status for reply in await asked(pair, 10)} == {429}:
                break
        else:
            raise AssertionError("there is always more")
        await until_counted(fault_redis, pair, 0)
        spent = cost(pair)
        overshot = [(await each.metrics()).get("ai_budget_overshoot_usd", {}).values() for each in pair]
        assert 0.9 * limit <= spent <= limit + 1.001e9 * sum(map(sum, overshot))


async def test_who_has_no_lease_is_told_so(
    setup: Setup, cache_redis: EmbeddedRedis, fault_redis: EmbeddedRedis, embedder: SharedEmbedder
) -> None:
    async with pods(setup.but(acme=money()), cache_redis, fault_redis, embedder, 1) as (gateway,):
        fault_redis.kill()
        reply = await gateway.ask(PROMPT)
    assert reply.status == 503
    assert "nothing of this budget is set aside for that" in reply.error["message"]


@pytest.mark.parametrize("percent", [10, 1], ids=["enough", "not enough"])
async def test_an_answer_goes_on_out_of_the_lease(
    setup: Setup,
    cache_redis: EmbeddedRedis,
    fault_redis: EmbeddedRedis,
    embedder: SharedEmbedder,
    percent: int,
) -> None:
    with provider("slow", tokens_per_second=40.0) as slow:
        # So that the budget is tight and most of the answer is held to begin with; what is leased is enough for the
        # rest of it, or for a few words.
        nano = 400_000
        leased = nano * percent // 100
        made = setup.but(cheap=slow.endpoint, acme={**money(nano=nano), "lease": {"percent": percent}})
        async with pods(made, cache_redis, fault_redis, embedder, 1) as (gateway,):
            await gateway.ask(PROMPT, max_tokens=1)
            await until_counted(fault_redis, [gateway], leased)
            asking = asyncio.create_task(gateway.ask(f"{PROMPT} Say it at length."))
            await until(lambda: slow.seen()["in_flight"] == 1)
            fault_redis.kill()
            reply = await asking
            assert reply.status == 200
            assert ("x-tollway-cut" in reply.headers) == (percent == 1)
            fault_redis.start()
            await until_counted(fault_redis, [gateway], leased)
            spent = cost([gateway])
        assert await taken(fault_redis) == (spent, 0)


async def test_what_was_allowed_without_counting_is_counted_afterwards(
    setup: Setup, cache_redis: EmbeddedRedis, fault_redis: EmbeddedRedis, embedder: SharedEmbedder
) -> None:
    async with pods(setup.but(acme=money("Allow")), cache_redis, fault_redis, embedder, 1) as (gateway,):
        fault_redis.kill()
        assert (await gateway.ask(PROMPT)).status == 200
        fault_redis.start()
        await until(lambda: cost([gateway]) > 0)
        await until_counted(fault_redis, [gateway], 0)


def test_a_pod_that_ends_gives_its_lease_back_and_one_that_is_killed_leaves_it_to_expire(
    tmp_path: Path, setup: Setup, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    folder = tmp_path / "snapshot"
    published(setup.but(acme=money()), folder, cache_redis, ledger_redis)
    auth = {"authorization": f"Bearer {ACME_KEY}"}

    def held() -> int:
        return asyncio.run(taken(ledger_redis))[1]

    def is_ready(admin: int) -> bool:
        return loopback.get(f"http://127.0.0.1:{admin}/readyz").status_code == 200

    with ExitStack() as stack:
        pair = []
        for name in ("one", "two"):
            port, admin = free_port(), free_port()
            env = process_env(folder, cache_redis, ledger_redis, port, admin)
            patient = {**env, "TOLLWAY_LEDGER_DEADLINE_S": "5"}
            log = tmp_path / f"{name}.log"
            pair.append(stack.enter_context(forked(log, "tollway_dataplane", patient)))
            wait_for(partial(is_ready, admin), name, 60)
            reply = loopback.post(f"http://127.0.0.1:{port}/chat", json={"prompt": name}, headers=auth)
            assert reply.status_code == 200
        wait_for(lambda: held() == 2 * SLICE, "both have a lease", 60)
        assert pair[0].stop() == 0
        assert held() == SLICE
        pair[1].stop(signal.SIGKILL)
        assert held() == SLICE
    with closing(sync_redis.Redis("127.0.0.1", port=ledger_redis.port)) as redis:
        (key,) = redis.scan_iter("*:expiry")
        expires_ms = redis.zrange(key, 0, -1, withscores=True)[0][1]
        assert float(expires_ms) / 1_000 - redis.time()[0] <= leases.LEASE_LIFE_S + 1, "cut to seconds"
