"""Who finds no room, though what is in the way is only held or set aside by others, waits for it: in turn, through a
fault of the ledger, and until the last of a limit is spent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from tests.budgets import FREE_OF_CHARGE, budgets_on, need
from tests.tenants import limit, tenant
from tollway_api.snapshot import Limit, Price, Rolling, Tenant, Variant
from tollway_api.tenant_budget import LedgerUnavailable, Unit
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.background import running
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.errors import Refusal
from tollway_dataplane.spending import budgets as doorkeeper
from tollway_dataplane.spending import leases as leasing
from tollway_dataplane.spending import queueing
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.exceeding import Exceeded
from tollway_dataplane.spending.holds import Need
from tollway_dataplane.spending.leases import Leases

HOUR = Rolling(3_600_000)
PATIENCE_S = 20.0


def leasing_tenant(*limits: Limit, percent: int = 10) -> Tenant:
    return replace(tenant(*limits), on_ledger_unavailable=LedgerUnavailable.LEASE, lease_percent=percent)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(doorkeeper, "AWAY_S", 0.05)


@asynccontextmanager
async def pods(redis: Redis, count: int, of: Tenant) -> AsyncIterator[list[tuple[RedisLedger, Budgets]]]:
    """Each with a lease."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(count):
            ledger = RedisLedger(redis, 5.0)
            leases = Leases(ledger, f"pod{number}", asyncio.get_running_loop().time)
            leases.asked_by(of)
            await leases.look()
            found.append((ledger, budgets_on(ledger, leases)))
            await stack.enter_async_context(running(leases.run()))
        yield found


async def taken(redis: Redis, of: Tenant) -> tuple[int, int]:
    return (await RedisLedger(redis, 5.0).read(of))[0]


@pytest.mark.parametrize(
    ("limited", "answer", "servable"),
    [
        pytest.param(Limit("few", Unit.REQUESTS, 40, HOUR), 1, 40, id="requests"),
        pytest.param(limit(4_000, "tokens"), 90, 40, id="tokens"),
    ],
)
async def test_what_other_pods_have_set_aside_is_spent_to_its_end(
    redis: Redis, limited: Limit, answer: int, servable: int
) -> None:
    """By one of three, the others of which are asked for nothing."""
    acme = leasing_tenant(limited)
    async with pods(redis, 3, acme) as ((ledger, budgets), *_):
        assert (await ledger.read(acme))[0].held == 3 * limited.amount // 10
        for number in range(servable):
            wanted = need(10, answer, PATIENCE_S)
            hold = await budgets.hold(f"r{number}", acme, FREE_OF_CHARGE, wanted)
            await budgets.settle(hold, Usage(10, answer), answered=True)
        with pytest.raises(Exceeded):
            await budgets.hold("last", acme, FREE_OF_CHARGE, need(10, answer, PATIENCE_S))
    assert await taken(redis, acme) == (limited.amount, 0)


async def test_an_answer_goes_on_by_what_other_pods_have_set_aside(redis: Redis) -> None:
    acme = leasing_tenant(limit(1_000))
    async with pods(redis, 4, acme) as ((ledger, budgets), *_):
        await ledger.settle(acme, "before", [500])
        hold = await budgets.hold("r", acme, FREE_OF_CHARGE, need(10, 1_000))
        assert await budgets.covers(hold, 480)
        assert not await budgets.covers(hold, 491), "and then it is used up"
        assert hold.cut == "limit 'one' is used up"


async def test_what_this_pod_has_set_aside_is_there_at_once(redis: Redis) -> None:
    acme = leasing_tenant(limit(1_000), percent=1)
    async with pods(redis, 1, acme) as ((ledger, budgets),):
        await ledger.settle(acme, "before", [950])
        hold = await budgets.hold("r", acme, FREE_OF_CHARGE, need(10, 35))
        assert hold.held.total == 42
        assert await taken(redis, acme) == (950, 42)


async def test_what_this_pod_has_set_aside_is_there_at_once_for_who_would_be_refused(redis: Redis) -> None:
    """Also where more is left than is to be kept free, and though nobody looks for what is recalled."""
    acme, ledger = leasing_tenant(limit(1_000)), RedisLedger(redis, 5.0)
    leases = Leases(ledger, "pod", asyncio.get_running_loop().time)
    leases.asked_by(acme)
    await leases.look()
    await ledger.settle(acme, "before", [750])
    wanted = Need(Usage(200, 0), need(200, 0).slice)
    assert (await budgets_on(ledger, leases).hold("r", acme, FREE_OF_CHARGE, wanted)).held.total == 200
    assert await taken(redis, acme) == (750, 200)


async def test_whose_turn_it_is_after_a_while_asks_at_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it heard itself before it waited is long out of date."""
    monkeypatch.setattr(doorkeeper, "ASK_AGAIN_S", 0.5)
    acme, ledger, begun = tenant(limit(1_000)), RedisLedger(redis, 5.0), asyncio.Event()
    budgets = budgets_on(ledger)
    await ledger.hold(acme, "another", [990])

    async def ask(name: str) -> None:
        await budgets.hold(name, acme, FREE_OF_CHARGE, need(100, 100, PATIENCE_S))
        begun.set()

    first, second = (asyncio.create_task(ask(name)) for name in ("first", "second"))
    await asyncio.sleep(0.3)
    await ledger.release(acme, "another")
    await begun.wait()
    begun.clear()
    late = asyncio.create_task(asyncio.sleep(0.25))
    await asyncio.wait([late, asyncio.create_task(begun.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert begun.is_set()
    await asyncio.gather(first, second, late)


async def test_who_comes_while_others_wait_goes_behind_them(redis: Redis) -> None:
    acme, ledger = tenant(limit(1_000)), RedisLedger(redis, 5.0)
    budgets, begun = budgets_on(ledger), list[str]()
    await ledger.hold(acme, "another", [800])

    async def ask(name: str, prompt: int) -> None:
        await budgets.hold(name, acme, FREE_OF_CHARGE, need(prompt, 100, PATIENCE_S))
        begun.append(name)

    first = asyncio.create_task(ask("first", 300))
    await asyncio.sleep(0.3)
    others = []
    for name in ("second", "third"):
        others.append(asyncio.create_task(ask(name, 10)))  # for which there is room
        await asyncio.sleep(0.1)
    assert begun == []
    await ledger.release(acme, "another")
    await asyncio.gather(first, *others)
    assert begun == ["first", "second", "third"]


async def test_who_needs_nothing_of_what_others_wait_for_does_not(redis: Redis) -> None:
    money, tokens = Limit("money", Unit.USD, 1_000_000, HOUR), limit(100_000)
    acme, ledger = tenant(money, tokens), RedisLedger(redis, 5.0)
    budgets, dear = budgets_on(ledger), replace(FREE_OF_CHARGE, price=Price(100_000, 100_000))
    await ledger.hold(acme, "another", [1_000_000, 0])
    waiting = asyncio.create_task(budgets.hold("first", acme, dear, need(10, 100, PATIENCE_S)))
    await asyncio.sleep(0.3)
    await budgets.hold("free", acme, FREE_OF_CHARGE, need(10, 100, PATIENCE_S))
    assert not waiting.done()
    await ledger.release(acme, "another")
    await waiting


async def test_who_finds_too_many_waiting_is_refused_at_once_with_what_they_were_told(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "MOST_OF_ONE", 1)
    acme, ledger = tenant(limit(1_000)), RedisLedger(redis, 5.0)
    budgets = budgets_on(ledger)
    await ledger.hold(acme, "another", [800])
    first = asyncio.create_task(budgets.hold("first", acme, FREE_OF_CHARGE, need(300, 100, PATIENCE_S)))
    await asyncio.sleep(0.3)
    async with asyncio.timeout(PATIENCE_S / 2):
        with pytest.raises(Exceeded) as exceeded:
            await budgets.hold("second", acme, FREE_OF_CHARGE, need(10, 100, PATIENCE_S))
    assert (exceeded.value.denied.limit, exceeded.value.denied.left) == (acme.limits[0], 200)
    await ledger.release(acme, "another")
    assert (await first).held.prompt_tokens == 300


async def test_whose_patience_ends_in_the_queue_asks_once_before_it_is_refused(redis: Redis) -> None:
    acme, ledger = tenant(limit(1_000)), RedisLedger(redis, 5.0)
    budgets = budgets_on(ledger)
    await ledger.hold(acme, "another", [800])
    first = asyncio.create_task(budgets.hold("first", acme, FREE_OF_CHARGE, need(300, 100, PATIENCE_S)))
    await asyncio.sleep(0.3)
    await budgets.hold("second", acme, FREE_OF_CHARGE, need(10, 100, 0.2))
    with pytest.raises(Exceeded):
        await budgets.hold("third", acme, FREE_OF_CHARGE, need(200, 100, 0.2))
    first.cancel()


@pytest.mark.parametrize("rule", [LedgerUnavailable.DENY, LedgerUnavailable.LEASE])
async def test_who_waits_goes_on_waiting_while_the_ledger_starts_again(
    fault_redis: EmbeddedRedis, rule: LedgerUnavailable
) -> None:
    acme = replace(tenant(limit(1_000)), on_ledger_unavailable=rule)
    client = connect(fault_redis.url, 1.0)
    ledger = RedisLedger(client, 1.0)
    budgets = budgets_on(ledger)
    await ledger.hold(acme, "another", [990])
    waiting = asyncio.create_task(budgets.hold("r", acme, FREE_OF_CHARGE, need(10, 100, PATIENCE_S)))
    await asyncio.sleep(0.3)
    fault_redis.kill()
    await asyncio.sleep(0.5)
    assert not waiting.done()
    with pytest.raises(Refusal, match="cannot be counted"):
        await budgets.hold("new", acme, FREE_OF_CHARGE, need(10, 100, PATIENCE_S))
    fault_redis.start()
    await asyncio.sleep(0.3)
    await ledger.release(acme, "another")
    hold = await waiting
    await ledger.finish_pending()
    assert (await ledger.read(acme))[0] == (0, hold.held.total), "nothing is held by what was asked in vain"
    await client.aclose()


async def test_who_waits_longer_than_its_patience_for_a_ledger_is_told_so(fault_redis: EmbeddedRedis) -> None:
    acme, client = tenant(limit(1_000)), connect(fault_redis.url, 1.0)
    ledger = RedisLedger(client, 1.0)
    budgets = budgets_on(ledger)
    await ledger.hold(acme, "another", [990])
    waiting = asyncio.create_task(budgets.hold("r", acme, FREE_OF_CHARGE, need(10, 100, 1.0)))
    await asyncio.sleep(0.3)
    fault_redis.kill()
    with pytest.raises(Refusal) as refused:
        await waiting
    assert refused.value.status == 503
    await client.aclose()


async def test_an_answer_begins_with_what_the_fullest_of_all_limits_has_left(redis: Redis) -> None:
    """Of which the first that refuses need not be the one."""
    acme, ledger = tenant(limit(1_000, "one"), limit(2_000, "other")), RedisLedger(redis, 5.0)
    budgets = budgets_on(ledger)
    await ledger.settle(acme, "before", [970, 1_980])
    hold = await budgets.hold("r", acme, FREE_OF_CHARGE, need(2, 100))
    assert hold.held.completion_tokens == 18
    assert hold.most == 18, "and can come to no more"


async def test_an_answer_may_come_to_what_others_hold_of_a_limit(redis: Redis) -> None:
    acme, ledger = tenant(limit(1_000)), RedisLedger(redis, 5.0)
    budgets = budgets_on(ledger)
    await ledger.hold(acme, "another", [900])
    hold = await budgets.hold("r", acme, FREE_OF_CHARGE, need(10, 5_000))
    assert (hold.held.completion_tokens, hold.most) == (32, 990)


async def test_what_a_tokenizer_counts_is_priced_by_its_length(redis: Redis) -> None:
    """Where a model costs more above a length that the prompt's bytes have and its tokens have not."""
    cheap, dear = Price(1_000, 1_000), Price(1_000_000, 1_000_000)
    model = replace(FREE_OF_CHARGE, price=replace(cheap, variants=(Variant("", 500, dear),)))
    acme, ledger = tenant(Limit("money", Unit.USD, 1_000, HOUR)), RedisLedger(redis, 5.0)
    hold = await budgets_on(ledger).hold("r", acme, model, need(1_000, 100, counted=200))
    assert hold.held_nano == 200 + hold.held.completion_tokens
