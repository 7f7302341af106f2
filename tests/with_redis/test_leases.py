"""Leases on a real Redis: taken, kept, given back, and spent no longer than they stand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest
from redis.asyncio import Redis

from tests.tenants import tenant
from tollway_api.meta import TenantName
from tollway_api.snapshot import Limit, Rolling, Tenant
from tollway_api.tenant_budget import LedgerUnavailable, Unit
from tollway_api.wire import LEASE, ledger_keys
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.errors import LedgerFault
from tollway_dataplane.spending import leases as leasing
from tollway_dataplane.spending.leases import KEEP_EVERY_S, LEASE_LIFE_S, Leases


def leasing_tenant(amount: int = 1_000, percent: int = 1) -> Tenant:
    limited = tenant(Limit("one", Unit.TOKENS, amount, Rolling(3_600_000)))
    return replace(limited, on_ledger_unavailable=LedgerUnavailable.LEASE, lease_percent=percent)


@dataclass
class Clock:
    """The pod's, which the test moves."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Pod:
    ledger: RedisLedger
    leases: Leases
    clock: Clock

    async def taken(self, of: Tenant) -> tuple[int, int]:
        ((used, held),) = await self.ledger.read(of)
        return used, held

    async def later(self, seconds: float) -> None:
        self.clock.now += seconds
        await self.leases.look()


def pod(redis: Redis, name: str) -> Pod:
    ledger, clock = RedisLedger(redis, 2.0), Clock()
    return Pod(ledger, Leases(ledger, name, clock), clock)


@pytest.fixture
async def redis(fault_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    client = connect(fault_redis.url, 2.0)
    yield client
    await client.aclose()


@pytest.fixture
def one(redis: Redis) -> Pod:
    return pod(redis, "one")


async def test_who_asks_has_a_lease_soon_and_no_longer_than_he_asks(one: Pod) -> None:
    acme = leasing_tenant()
    await one.leases.look()
    assert await one.taken(acme) == (0, 0)
    one.leases.asked_by(acme)
    await one.leases.look()
    assert await one.taken(acme) == (0, 10)
    await one.later(250)
    assert await one.taken(acme) == (0, 10)
    await one.later(60)
    await one.later(60)
    assert await one.taken(acme) == (0, 0)


async def test_pods_lease_apart_from_each_other_and_give_back_when_they_end(one: Pod, redis: Redis) -> None:
    acme, two = leasing_tenant(), pod(redis, "two")
    for each in (one, two):
        each.leases.asked_by(acme)
        await each.leases.look()
    assert await one.taken(acme) == (0, 20)
    await one.leases.aclose()
    assert await one.taken(acme) == (0, 10)
    await two.leases.aclose()
    assert await one.taken(acme) == (0, 0)


async def test_a_lease_is_taken_from_plenty_and_given_back_where_it_is_needed(one: Pod) -> None:
    acme = leasing_tenant()
    await one.ledger.settle(acme, "before", [760])
    one.leases.asked_by(acme)
    await one.leases.look()
    assert await one.taken(acme) == (760, 0), "less than a quarter is left"
    raised = leasing_tenant(2_000)
    one.leases.asked_by(raised)
    await one.later(KEEP_EVERY_S)
    assert await one.taken(raised) == (760, 20)
    await one.ledger.settle(raised, "more", [1_000])
    await one.later(KEEP_EVERY_S)
    assert await one.taken(raised) == (1_760, 20), "in between it stays"
    await one.ledger.settle(raised, "most", [30])
    await one.later(KEEP_EVERY_S)
    assert await one.taken(raised) == (1_790, 0)


async def test_who_is_denied_has_what_was_leased(one: Pod, redis: Redis) -> None:
    acme = leasing_tenant()
    one.leases.asked_by(acme)
    await one.leases.look()
    denied = await one.ledger.hold(acme, "large", [995])
    assert denied is not None
    assert not await one.leases.give_back(acme, denied, needed=False), "there is more left than that"
    assert await one.leases.give_back(acme, denied, needed=True)
    assert await one.ledger.hold(acme, "large", [995]) is None
    assert not await one.leases.give_back(acme, denied, needed=True), "once"
    await one.ledger.release(acme, "large")
    await one.leases.look()
    assert await one.taken(acme) == (0, 0), "and it is not taken again at once"
    await redis.delete(ledger_keys("").recalled)  # which the ledger does by its own clock
    await one.later(1)
    assert await one.taken(acme) == (0, 0)
    await one.later(KEEP_EVERY_S)
    assert await one.taken(acme) == (0, 10)


async def test_where_little_is_left_a_lease_is_given_back_before_anybody_is_refused(one: Pod) -> None:
    acme = leasing_tenant()
    one.leases.asked_by(acme)
    await one.leases.look()
    await one.ledger.settle(acme, "before", [985])
    denied = await one.ledger.hold(acme, "a", [15])
    assert denied is not None
    assert await one.leases.give_back(acme, denied, needed=False)
    assert await one.ledger.hold(acme, "a", [15]) is None


async def test_what_is_leased_by_limits_that_are_no_more_is_given_back(one: Pod) -> None:
    acme = leasing_tenant()
    one.leases.asked_by(acme)
    await one.leases.look()
    one.leases.keep_only(lambda tenant: tenant is acme)
    await one.later(KEEP_EVERY_S)
    assert await one.taken(acme) == (0, 10)
    one.leases.keep_only(lambda _: False)
    await one.later(KEEP_EVERY_S)
    assert await one.taken(acme) == (0, 0)


async def test_an_edited_budget_is_leased_anew(one: Pod) -> None:
    acme = leasing_tenant()
    one.leases.asked_by(acme)
    await one.leases.look()
    one.leases.asked_by(leasing_tenant(percent=5))
    await one.later(KEEP_EVERY_S)
    assert await one.taken(acme) == (0, 50)
    one.leases.asked_by(replace(acme, on_ledger_unavailable=LedgerUnavailable.DENY))
    await one.later(KEEP_EVERY_S)
    assert await one.taken(acme) == (0, 0)


async def test_a_lease_is_spent_no_longer_than_it_surely_stands(one: Pod, fault_redis: EmbeddedRedis) -> None:
    acme = leasing_tenant()
    with pytest.raises(LedgerFault, match="nothing of this budget is set aside"):
        one.leases.hold(acme, "a", [1])
    one.leases.asked_by(acme)
    await one.leases.look()
    fault_redis.kill()
    await one.later(LEASE_LIFE_S - 1)
    assert one.leases.hold(acme, "a", [4]) is None
    one.leases.settle("a", [3])
    denied = one.leases.hold(acme, "b", [8])
    assert denied is not None
    assert denied.left == 7
    await one.later(1)
    with pytest.raises(LedgerFault, match="lasts 60 seconds"):
        one.leases.hold(acme, "b", [1])


async def test_a_pod_that_was_killed_leaves_no_lease(one: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "LEASE_LIFE_S", 1)
    acme = leasing_tenant()
    one.leases.asked_by(acme)
    await one.leases.look()
    assert await one.taken(acme) == (0, 10)
    await asyncio.sleep(1.1)
    assert await one.taken(acme) == (0, 0)


async def test_what_was_spent_of_a_lease_counts_once_and_another_is_leased(
    one: Pod, fault_redis: EmbeddedRedis
) -> None:
    acme = leasing_tenant()
    one.leases.asked_by(acme)
    await one.leases.look()
    fault_redis.kill()
    for name in ("a", "b"):
        assert one.leases.hold(acme, name, [5]) is None
    with pytest.raises(LedgerFault):
        await one.ledger.settle(acme, "a", [4])
    one.leases.settle("a", [4])
    await one.later(1)
    fault_redis.start()
    await one.later(1)
    assert await one.taken(acme) == (0, 10), "nothing is leased or given back before that is counted"
    with pytest.raises(LedgerFault):
        one.leases.hold(acme, "c", [1])  # so another fault within this time is not bridged
    await one.ledger.finish_pending()
    await one.later(1)
    assert await one.taken(acme) == (4, 20), "somebody still spends of the first"
    await one.ledger.settle(acme, "b", [5])
    one.leases.settle("b", [5])
    await one.later(1)
    assert await one.taken(acme) == (9, 10)
    await one.leases.aclose()
    assert await one.taken(acme) == (9, 0)


async def test_a_lease_of_which_the_ledger_knows_nothing_is_held_again_or_given_up(
    one: Pod, redis: Redis
) -> None:
    acme = leasing_tenant()
    one.leases.asked_by(acme)
    await one.leases.look()
    await redis.flushall()
    await one.later(KEEP_EVERY_S)
    assert await one.taken(acme) == (0, 10)
    await redis.flushall()
    await one.ledger.settle(acme, "others", [995])
    await one.later(KEEP_EVERY_S)
    assert await one.taken(acme) == (995, 0)
    with pytest.raises(LedgerFault):
        one.leases.hold(acme, "a", [1])


async def test_a_lease_that_was_touched_is_not_released_before_all_that_is_owed_is_counted(
    one: Pod, fault_redis: EmbeddedRedis
) -> None:
    """Also where nobody spends of it any more, and the ledger is there again: it might be spent twice."""
    acme = leasing_tenant()
    one.leases.asked_by(acme)
    await one.leases.look()
    fault_redis.kill()
    assert one.leases.hold(acme, "a", [5]) is None
    with pytest.raises(LedgerFault):
        await one.ledger.settle(acme, "a", [4])
    one.leases.settle("a", [4])
    fault_redis.start()
    for _ in range(2):
        await one.later(1)
        assert await one.taken(acme) == (0, 10)
    await one.ledger.finish_pending()
    await one.later(1)
    assert await one.taken(acme) == (4, 10)


@pytest.mark.parametrize("asked", ["hold", "extend"])
async def test_a_lease_stands_from_before_the_ledger_was_asked(
    one: Pod, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """However long the answer takes: the ledger has counted from when it was asked."""
    acme, ask = leasing_tenant(), getattr(one.ledger, asked)

    async def slowly(*words: object) -> object:
        one.clock.now += 30
        return await ask(*words)

    one.leases.asked_by(acme)
    if asked == "extend":
        await one.leases.look()
        monkeypatch.setattr(one.ledger, asked, slowly)
        await one.later(KEEP_EVERY_S)
    else:
        monkeypatch.setattr(one.ledger, asked, slowly)
        await one.leases.look()
    one.clock.now += LEASE_LIFE_S - 30
    with pytest.raises(LedgerFault, match="lasts 60 seconds"):
        one.leases.hold(acme, "a", [1])


async def test_what_is_leased_is_recalled_from_all_pods_where_somebody_has_no_room_for_it(
    one: Pod, redis: Redis
) -> None:
    acme, other, two = leasing_tenant(percent=10), leasing_tenant(percent=10), pod(redis, "two")
    beta = replace(other, name=TenantName("beta"))
    for each in (one, two):
        for of in (acme, beta):
            each.leases.asked_by(of)
        await each.leases.look()
    assert await one.ledger.hold(acme, "more than there ever is", [1_001]) is not None
    assert await one.ledger.hold(acme, "with room to spare", [10], [900]) is not None
    assert await one.ledger.recalled() == set()
    denied = await one.ledger.hold(acme, "a", [900])
    assert denied is not None
    assert (denied.left, denied.leased) == (800, 200)
    assert await one.ledger.recalled() == {"acme"}
    await two.later(1)
    assert await one.taken(acme) == (0, 100)
    await one.later(1)
    assert await one.ledger.hold(acme, "a", [900]) is None
    assert await one.taken(beta) == (0, 200)
    for each in (one, two):
        await each.later(1)
    assert await one.taken(acme) == (0, 900), "and not taken again at once"


async def test_what_was_touched_is_not_given_back_though_it_is_recalled(one: Pod) -> None:
    acme = leasing_tenant(percent=10)
    one.leases.asked_by(acme)
    await one.leases.look()
    assert one.leases.hold(acme, "a", [1]) is None
    assert await one.ledger.hold(acme, "b", [950]) is not None
    await one.later(1)
    assert await one.taken(acme) == (0, 100), "it stands until all is counted"


async def test_what_leases_hold_is_known_until_the_last_has_come_back(
    one: Pod, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, two = leasing_tenant(percent=10), pod(redis, "two")
    monkeypatch.setattr(leasing, "LEASE_LIFE_S", 1)
    for each in (one, two):
        each.leases.asked_by(acme)
        await each.leases.look()
    await one.leases.aclose()
    holding = await one.ledger.hold(acme, "a", [500])
    assert holding is None
    denied = await one.ledger.hold(acme, "b", [500])
    assert denied is not None
    assert (denied.held, denied.leased) == (600, 100)
    await asyncio.sleep(1.1)
    denied = await one.ledger.hold(acme, "b", [501])
    assert denied is not None
    assert (denied.held, denied.leased) == (500, 0)


async def test_a_lease_recalls_no_other_lease(one: Pod, redis: Redis) -> None:
    """Or pods would take from each other by turns what nobody spends."""
    acme, two = leasing_tenant(percent=10), pod(redis, "two")
    one.leases.asked_by(acme)
    await one.leases.look()
    assert await one.ledger.hold(acme, "a", [850]) is None
    denied = await two.ledger.hold(acme, f"{LEASE}two.0", [100])
    assert denied is not None
    assert (denied.left, denied.leased) == (50, 100)
    assert await one.ledger.recalled() == set()
    assert await one.ledger.hold(acme, "b", [100]) is not None
    assert await one.ledger.recalled() == {"acme"}, "which a request does"


async def test_who_ends_gives_back_what_it_has_exchanged_as_well(one: Pod) -> None:
    acme = leasing_tenant()
    one.leases.asked_by(acme)
    await one.leases.look()
    assert one.leases.hold(acme, "a", [5]) is None
    await one.later(1)
    assert await one.taken(acme) == (0, 20), "what somebody still spends of, and another one"
    await one.leases.aclose()
    assert await one.taken(acme) == (0, 0)


async def test_leases_of_many_tenants_share_their_round_trips(
    one: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, trips = one.ledger._script._exchange, list[int]()

    async def counted(commands: Sequence[bytes]) -> Sequence[object]:
        trips.append(len(commands))
        return await exchange(commands)

    monkeypatch.setattr(one.ledger._script, "_exchange", counted)
    tenants = [replace(leasing_tenant(), name=TenantName(f"tenant-{number}")) for number in range(250)]
    for each in tenants:
        one.leases.asked_by(each)
    await one.leases.look()
    await one.later(KEEP_EVERY_S)
    assert [await one.taken(each) for each in tenants] == [(0, 10)] * 250
    assert sum(count > 1 for count in trips) <= 3 * 3 * 2, "taken, kept, and looked at, a hundred at once"
