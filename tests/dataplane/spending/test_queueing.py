"""Who waits for money that others hold."""

import asyncio
from contextlib import ExitStack
from dataclasses import replace

from tests.tenants import limit, shared, sharing, tenant
from tollway_api.meta import TenantName
from tollway_dataplane.core.budgeting import Denied, LimitState
from tollway_dataplane.spending.queueing import KEEPS_S, MOST_OF_ONE, MOST_WAITING, Queues

MONEY, FEW = limit(100, "money"), limit(10, "few")
ACME, BETA = (tenant(MONEY, FEW, name=name) for name in ("acme", "beta"))
NO_MONEY = Denied([LimitState(MONEY, 0, 95), LimitState(FEW, 0, 0)], 0, 10, 1)
TOO_FEW = Denied([LimitState(MONEY, 0, 3), LimitState(FEW, 0, 10)], 1, 1, 1)


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_those_who_wait_for_one_limit_take_turns_in_the_order_they_came() -> None:
    queues, order = Queues(), list[int]()

    async def wait(number: int) -> None:
        with queues.waiter(ACME, MONEY) as waiter:
            assert await waiter.turn(soon())
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*map(wait, range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_who_waits_for_another_limit_or_is_another_tenant_does_not_wait_for_them() -> None:
    queues = Queues()
    with queues.waiter(ACME, MONEY), queues.waiter(BETA, MONEY) as ours:
        assert await ours.turn(soon(0.0))
    with queues.waiter(ACME, MONEY), queues.waiter(ACME, FEW) as ours:
        assert await ours.turn(soon(0.0))


async def test_tenants_who_share_a_limit_wait_for_it_in_one_queue() -> None:
    team = shared("team/all", MONEY)
    both = [sharing(tenant(FEW, name=name), team) for name in ("acme", "beta")]
    queues = Queues()
    with queues.waiter(both[0], both[0].limits[1]), queues.waiter(both[1], both[1].limits[1]) as ours:
        assert not await ours.turn(soon(0.01))


async def test_patience_ends_and_nothing_is_left_of_a_queue() -> None:
    queues = Queues()
    with queues.waiter(ACME, MONEY), queues.waiter(ACME, MONEY) as ours:
        assert not await ours.turn(soon(0.01))
    assert not queues._queues
    assert not queues._waiting


async def test_whoever_takes_something_of_what_others_wait_for_came_later() -> None:
    queues = Queues()
    assert queues.ahead_of(ACME, [1, 1]) is None
    with queues.waiter(ACME, MONEY) as waiter:
        assert queues.ahead_of(ACME, [1, 1]) is None, "nobody knows what for"
        waiter.heard(NO_MONEY)
        ahead = queues.ahead_of(ACME, [1, 1])
        assert ahead is not None
        assert (ahead.limit, ahead.left, ahead.asked) == (MONEY, 5, 0)
        assert queues.ahead_of(ACME, [1, 1], waiter) is None, "not of itself"
        with queues.waiter(ACME, FEW) as younger:
            younger.heard(TOO_FEW)
            assert queues.ahead_of(ACME, [1, 1], waiter) is None, "nor of who came later"
            newer = queues.ahead_of(ACME, [1, 1], younger)
            assert newer is not None
            assert (newer.limit, newer.left) == (MONEY, 97)
        assert queues.ahead_of(ACME, [0, 1]) is None
        assert queues.ahead_of(BETA, [1, 1]) is None
        waiter.heard(None)
        assert queues.ahead_of(ACME, [1, 1]) is None, "nobody knows any more"
    assert queues.ahead_of(ACME, [1, 1]) is None


async def test_who_is_denied_by_another_limit_lets_those_behind_it_pass_after_a_moment() -> None:
    queues = Queues()
    with queues.waiter(ACME, MONEY) as first, queues.waiter(ACME, MONEY) as second:
        first.heard(NO_MONEY)
        first.heard(TOO_FEW)
        assert await first.turn(soon())
        assert not await second.turn(soon(0.0))
        ahead = queues.ahead_of(ACME, [1, 0])
        assert ahead is not None
        assert ahead.left == 97, "of both limits it is the newest word"
        await asyncio.sleep(1.5 * KEEPS_S)
        first.heard(TOO_FEW)
        assert await second.turn(soon())
        assert await first.turn(soon())


async def test_who_comes_back_is_before_those_who_came_later_and_is_waited_for_twice_as_long() -> None:
    queues = Queues()
    with ExitStack() as stack:
        first, second, third = (
            stack.enter_context(queues.waiter(ACME, each)) for each in (MONEY, MONEY, FEW)
        )
        third.heard(TOO_FEW)
        first.heard(TOO_FEW)
        assert not await third.turn(soon(0.0))
        await asyncio.sleep(1.5 * KEEPS_S)
        first.heard(TOO_FEW)
        assert await second.turn(soon())
        first.heard(NO_MONEY)
        assert await first.turn(soon())
        assert not await second.turn(soon(0.0))
        assert first.keeps_s == 2 * KEEPS_S


async def test_who_has_to_wait_behind_others_first_holds_nobody_else_up() -> None:
    queues = Queues()
    with queues.waiter(ACME, FEW) as other, queues.waiter(ACME, MONEY) as first:
        other.heard(TOO_FEW)
        with queues.waiter(ACME, MONEY) as second:
            first.heard(NO_MONEY)
            ahead = queues.ahead_of(ACME, [1, 1], first)
            assert ahead is not None
            first.go_behind(ahead.limit)
            assert await second.turn(soon())
            assert not await first.turn(soon(0.0))
            waiting = asyncio.create_task(first.turn(soon()))
            await asyncio.sleep(0)
            other.leave()
            assert await waiting


async def test_who_is_overtaken_for_one_limit_lets_those_behind_it_pass_for_another_at_once() -> None:
    team = shared("team/all", limit(10, "few"))
    acme, beta = (sharing(tenant(limit(100, "money"), name=name), team) for name in ("acme", "beta"))
    money, few = acme.limits
    none_of = {
        few: Denied([LimitState(money, 0, 3), LimitState(few, 0, 10)], 1, 1, 1),
        money: Denied([LimitState(money, 0, 95), LimitState(few, 0, 0)], 0, 10, 1),
    }
    queues = Queues()
    with ExitStack() as stack:
        older = stack.enter_context(queues.waiter(beta, beta.limits[0]))
        both, behind = (stack.enter_context(queues.waiter(acme, money)) for _ in range(2))
        both.heard(none_of[money])
        both.heard(none_of[few])
        assert await both.turn(soon())
        waiting = asyncio.create_task(behind.turn(soon()))
        await asyncio.sleep(0)
        assert not waiting.done()
        older.heard(none_of[few])
        assert await waiting
        assert not await both.turn(soon(0.0))
        assert await older.turn(soon())
        # And who was overtaken while it asked keeps nothing of what it is denied by then.
        both.heard(none_of[money])
        assert await behind.turn(soon())
        assert list(both.denied_at) == list(older.denied_at)[1:]


async def test_whose_limits_are_edited_waits_no_longer() -> None:
    queues = Queues()
    with queues.waiter(ACME, MONEY), queues.waiter(ACME, MONEY) as ours, queues.waiter(BETA, MONEY) as other:
        waiting = asyncio.create_task(ours.turn(soon(60.0)))
        await asyncio.sleep(0)
        queues.end_waits(lambda each: each is not ACME)
        assert not await waiting
        assert (ours.is_over, other.is_over) == (True, False)


async def test_no_more_than_so_many_wait_and_half_as_many_of_one_tenant() -> None:
    queues, gamma = Queues(), replace(ACME, name=TenantName("gamma"))
    with ExitStack() as stack:
        for number in range(MOST_OF_ONE):
            assert not queues.is_full_for(ACME)
            stack.enter_context(queues.waiter(ACME, MONEY if number % 2 else FEW))
        assert queues.is_full_for(ACME)
        for _ in range(MOST_WAITING - MOST_OF_ONE):
            assert not queues.is_full_for(BETA)
            stack.enter_context(queues.waiter(BETA, MONEY))
        assert queues.is_full_for(gamma)
    assert not queues.is_full_for(ACME)
