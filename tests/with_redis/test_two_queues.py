"""Who needs something of two limits, and waits for the one or the other: it holds nobody up for what is plenty, and
gets in though both are tight.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from tests.budgets import FREE_OF_CHARGE, budgets_on, need
from tests.tenants import limit, shared, sharing, tenant
from tollway_api.snapshot import Tenant
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.core.tokens import Counted
from tollway_dataplane.spending import queueing
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.exceeding import Exceeded
from tollway_dataplane.spending.holds import Need, Slice

PATIENCE_S = 20.0
TEAM = shared("default/team", limit(10_000, "team"))


def member(name: str, own: int) -> Tenant:
    return sharing(tenant(limit(own, "own"), name=name), TEAM)


async def test_who_lacks_room_in_its_own_limit_holds_up_no_other_that_shares_one(redis: Redis) -> None:
    """The team's room comes back while acme, which waited for it first, has none of its own."""
    acme, beta, ledger = member("acme", 1_000), member("beta", 10_000), RedisLedger(redis, 5.0)
    budgets = budgets_on(ledger)
    await ledger.hold(beta, "another", [0, 9_990])
    waiting = [
        asyncio.create_task(budgets.hold(f"a{n}", acme, FREE_OF_CHARGE, need(10, 50, PATIENCE_S)))
        for n in range(14)
    ]
    await asyncio.sleep(0.3)
    await ledger.hold(acme, "long", [1_000, 0])
    await ledger.release(beta, "another")
    async with asyncio.timeout(PATIENCE_S / 2):
        asked = (budgets.hold(f"b{n}", beta, FREE_OF_CHARGE, need(10, 50, PATIENCE_S)) for n in range(120))
        assert len(await asyncio.gather(*asked)) == 120
    assert not any(each.done() for each in waiting)
    await ledger.release(acme, "long")
    await asyncio.gather(*waiting)


async def test_what_it_found_room_for_is_kept_for_who_still_lacks_another_limit(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "KEEPS_S", PATIENCE_S)
    acme, begun, ledger = member("acme", 1_000), list[str](), RedisLedger(redis, 5.0)
    alone, budgets = tenant(limit(1_000, "own")), budgets_on(ledger)

    async def ask(name: str, of: Tenant) -> None:
        await budgets.hold(name, of, FREE_OF_CHARGE, whole(1_000))
        begun.append(name)
        await ledger.release(of, name)

    await ledger.hold(acme, "another", [1_000, 0])
    await ledger.hold(acme, "team's", [0, 9_500])
    first = asyncio.create_task(ask("both", acme))
    await asyncio.sleep(0.3)
    second = asyncio.create_task(ask("one", alone))
    await ledger.release(acme, "another")
    await asyncio.sleep(0.5)
    assert begun == []
    await ledger.release(acme, "team's")
    await asyncio.gather(first, second)
    assert begun == ["both", "one"]


def whole(amount: int) -> Need:
    """All of it or nothing."""

    async def begin() -> Slice:
        return Slice(Counted(0, 0), amount, amount)

    return Need(Usage(0, amount), begin, lambda _: PATIENCE_S)


@dataclass
class Crowd:
    """Of a tenant, who hold and settle without end, each for a moment."""

    ledger: RedisLedger
    budgets: Budgets
    done: Counter[str]

    async def goes_on(self, of: Tenant, number: int, seconds: float) -> None:
        while True:
            with suppress(Exceeded):
                name = f"{of.name}{number}-{self.done.total()}"
                hold = await self.budgets.hold(name, of, FREE_OF_CHARGE, whole(1_000))
                await asyncio.sleep(seconds)
                await self.budgets.settle(hold, Usage(0, 0), answered=True)
                self.done[of.name] += 1


@pytest.mark.parametrize("seconds", [0.05, 0.4, 1.0])
async def test_who_needs_two_limits_that_are_never_both_at_rest_gets_in(redis: Redis, seconds: float) -> None:
    """Others take the one or the other whole, for a moment, and ask without end."""
    ledger = RedisLedger(redis, 5.0)
    crowd = Crowd(ledger, budgets_on(ledger), Counter())
    own, team = limit(1_000, "own"), shared("default/team", limit(1_000, "team"))
    both = sharing(tenant(own), team)
    # Of acme there are requests that the team does not count, as if it had just got into it.
    one, other = tenant(own), sharing(tenant(limit(1_000_000, "own"), name="beta"), team)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(crowd.goes_on(of, number, seconds))
            for of in (one, other)
            for number in range(5)
        ]
        await asyncio.sleep(0.5)
        for number in range(2):
            hold = await crowd.budgets.hold(f"both{number}", both, FREE_OF_CHARGE, whole(1_000))
            await crowd.budgets.settle(hold, Usage(0, 0), answered=True)
        for task in tasks:
            task.cancel()
    assert crowd.done["acme"] > 0
    assert crowd.done["beta"] > 0
