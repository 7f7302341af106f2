"""Who waits for money that others hold."""

import asyncio

from tollway_api.meta import TenantName
from tollway_dataplane.queueing import MOST_WAITING, Queues

ACME, BETA = TenantName("acme"), TenantName("beta")


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_those_of_one_tenant_take_turns_in_the_order_they_came() -> None:
    queues, order = Queues(), list[int]()

    async def wait(number: int) -> None:
        async with queues.turn(ACME, soon()) as ours:
            assert ours
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*map(wait, range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_another_tenant_does_not_wait_for_them() -> None:
    queues = Queues()
    async with queues.turn(ACME, soon()), queues.turn(BETA, soon(0.0)) as ours:
        assert ours


async def test_patience_ends_and_nothing_is_left_of_a_queue() -> None:
    queues = Queues()
    async with queues.turn(ACME, soon()), queues.turn(ACME, soon(0.01)) as ours:
        assert not ours
    assert not queues._queues


async def test_no_more_than_so_many_wait() -> None:
    queues, begun = Queues(), asyncio.Event()

    async def wait() -> bool:
        async with queues.turn(ACME, soon()) as ours:
            await begun.wait()
            return ours

    waiting = [asyncio.create_task(wait()) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    async with queues.turn(ACME, soon()) as ours:
        assert not ours
    begun.set()
    assert all(await asyncio.gather(*waiting))
