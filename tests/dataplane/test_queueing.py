"""Who waits for money that others hold."""

import asyncio
from dataclasses import replace

from tests.tenants import limit, shared, sharing, tenant
from tollway_api.meta import TenantName
from tollway_dataplane.core.budgeting import Denied, Standing
from tollway_dataplane.queueing import MOST_WAITING, Queues

MONEY, FEW = limit(100, "money"), limit(10, "few")
ACME, BETA = (tenant(MONEY, FEW, name=name) for name in ("acme", "beta"))


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_those_who_wait_for_one_limit_take_turns_in_the_order_they_came() -> None:
    queues, order = Queues(), list[int]()

    async def wait(number: int) -> None:
        async with queues.turn(ACME, MONEY, soon()) as queue:
            assert queue is not None
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*map(wait, range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_who_waits_for_another_limit_or_is_another_tenant_does_not_wait_for_them() -> None:
    queues = Queues()
    async with queues.turn(ACME, MONEY, soon()), queues.turn(BETA, MONEY, soon(0.0)) as ours:
        assert ours is not None
    async with queues.turn(ACME, MONEY, soon()), queues.turn(ACME, FEW, soon(0.0)) as ours:
        assert ours is not None


async def test_tenants_who_share_a_limit_wait_for_it_in_one_queue() -> None:
    team = shared("team/all", MONEY)
    both = [sharing(tenant(FEW, name=name), team) for name in ("acme", "beta")]
    one, other = (each.limits[1] for each in both)
    queues = Queues()
    async with queues.turn(both[0], one, soon()), queues.turn(both[1], other, soon(0.01)) as ours:
        assert ours is None


async def test_patience_ends_and_nothing_is_left_of_a_queue() -> None:
    queues = Queues()
    async with queues.turn(ACME, MONEY, soon()), queues.turn(ACME, MONEY, soon(0.01)) as ours:
        assert ours is None
    assert not queues._queues


async def test_whoever_takes_something_of_what_others_wait_for_came_later() -> None:
    queues, denied = Queues(), Denied([Standing(MONEY, 0, 95), Standing(FEW, 0, 0)], 0, 10, 1)
    assert queues.ahead_of(ACME, [1, 1]) is None
    async with queues.turn(ACME, MONEY, soon()) as queue:
        assert queue is not None
        assert queues.ahead_of(ACME, [1, 1]) is None, "nobody knows what for"
        queue.denied = denied
        ahead = queues.ahead_of(ACME, [1, 1])
        assert ahead is not None
        assert (ahead.limit, ahead.left, ahead.asked) == (MONEY, 5, 0)
        assert queues.ahead_of(ACME, [0, 1]) is None
        assert queues.ahead_of(BETA, [1, 1]) is None
    assert queues.ahead_of(ACME, [1, 1]) is None


async def test_no_more_of_a_tenant_than_so_many_wait() -> None:
    queues, begun = Queues(), asyncio.Event()

    async def wait() -> bool:
        async with queues.turn(ACME, MONEY, soon()) as queue:
            await begun.wait()
            return queue is not None

    waiting = [asyncio.create_task(wait()) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    assert queues.is_full(ACME, MONEY)
    assert not queues.is_full(replace(ACME, name=TenantName("gamma")), MONEY)
    assert not queues.is_full(ACME, FEW)
    begun.set()
    assert all(await asyncio.gather(*waiting))
