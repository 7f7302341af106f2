"""Who waits for what others hold has it as soon as it is there: on a ledger and a clock of the test's own."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import inf
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests import virtual_time
from tests.budgets import FREE_OF_CHARGE
from tests.tenants import limit, shared, sharing, tenant
from tollway_api.meta import TenantName
from tollway_api.snapshot import Tenant
from tollway_api.wire import account_of
from tollway_dataplane.core.budgeting import Denied, LimitState, Taken
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.core.tokens import Counted
from tollway_dataplane.spending import queueing
from tollway_dataplane.spending.balances import Balances
from tollway_dataplane.spending.budgets import ASK_AGAIN_S, Budgets
from tollway_dataplane.spending.exceeding import Exceeded
from tollway_dataplane.spending.grants import Grants
from tollway_dataplane.spending.holds import Need, Slice
from tollway_dataplane.spending.leases import Leases
from tollway_dataplane.telemetry.metrics import MoneyMetrics

ROOM: Final = 1_000
SHARED: Final = [shared(f"default/{name}", limit(ROOM, name)) for name in "xyz"]
# One for every choice of what is shared, with more than enough of its own.
MEMBERS: Final = [
    sharing(tenant(limit(1_000_000, "own"), name=f"m{number}"), *some)
    for number, some in enumerate(some for size in (1, 2, 3) for some in combinations(SHARED, size))
]
X, Y, Z, XY, XZ, YZ, XYZ = MEMBERS
# To ask takes two calls of the ledger, and is tried once more where there is some room.
CALL_S: Final = 0.002
ASK_S: Final = 4 * CALL_S
LOOK_S: Final = 0.05
# Within which the first of a queue has asked once more, and somebody has seen it.
SOON_S: Final = 2 * (ASK_AGAIN_S + ASK_S) + LOOK_S


@dataclass
class CountingLedger:
    """Of one data plane, which nothing befalls."""

    holds: dict[str, Counter[str]] = field(default_factory=dict)
    calls: int = 0

    def held(self, account: str) -> int:
        return sum(each[account] for each in self.holds.values())

    async def hold(
        self,
        tenant: Tenant,
        hold_id: str,
        amounts: Sequence[int],
        room: Sequence[int] = (),
        life_s: int | None = None,  # noqa: ARG002 - the ledger's signature
    ) -> Denied | None:
        await asyncio.sleep(CALL_S)
        self.calls += 1
        accounts = [account_of(tenant.name, each) for each in tenant.limits]
        states = [LimitState(*each) for each in zip(tenant.limits, [0] * 9, map(self.held, accounts))]  # noqa: B905 - there are no more limits
        for number, each in enumerate(states):
            if max(amounts[number], room[number] if room else 0) > each.left:
                return Denied(states, number, amounts[number], 1)
        self.holds[hold_id] = Counter(dict(zip(accounts, amounts, strict=True)))
        return None

    async def extend(
        self, tenant: Tenant, hold_id: str, amounts: Sequence[int], life_s: int | None = None
    ) -> Denied | None:
        raise NotImplementedError(tenant, hold_id, amounts, life_s)

    async def resize(
        self, tenant: Tenant, hold_id: str, amounts: Sequence[int], room: Sequence[int]
    ) -> Denied | None:
        raise NotImplementedError(tenant, hold_id, amounts, room)

    async def settle(self, tenant: Tenant, hold_id: str, amounts: Sequence[int]) -> None:
        raise NotImplementedError(tenant, hold_id, amounts)

    async def release(self, tenant: Tenant, hold_id: str) -> None:  # noqa: ARG002 - the ledger's signature
        self.holds.pop(hold_id, None)

    async def read(self, tenant: Tenant) -> Sequence[Taken]:
        return [Taken(0, self.held(account_of(tenant.name, each))) for each in tenant.limits]

    async def recalled(self) -> Collection[str]:
        return ()

    def owed(self) -> Collection[TenantName]:
        return ()


class Request(NamedTuple):
    member: Tenant
    amount: int
    patience_s: float = 30.0
    lasts_s: float = 1e6
    gives_way: bool = False


@dataclass(eq=False)
class Asked:
    request: Request
    tenant: Tenant  # its own copy, by which it is told apart in a queue
    at_s: float
    ended_s: float = inf
    has_begun: bool = False

    @property
    def waited_s(self) -> float:
        return self.ended_s - self.at_s


class House:
    """One data plane."""

    def __init__(self) -> None:
        self.ledger = CountingLedger()
        leases, balances = Leases(self.ledger, "pod", lambda: 0.0), Balances()
        money = MoneyMetrics(CollectorRegistry(), balances, 1)
        grants = Grants(self.ledger, "pod", lambda: 0.0, money.unsettled)
        self.budgets = Budgets(self.ledger, leases, grants, balances, money)
        self.asked: list[Asked] = []

    async def ask(self, request: Request) -> Asked:
        """Until it has begun or is refused."""
        loop, number = asyncio.get_running_loop(), len(self.asked)
        asked = Asked(request, replace(request.member), loop.time())
        self.asked.append(asked)

        async def begin() -> Slice:
            return Slice(Counted(0, 0), request.amount, request.amount)

        need = Need(Usage(0, request.amount), begin, lambda _: request.patience_s, request.gives_way)
        try:
            hold = await self.budgets.hold(f"r{number}", asked.tenant, FREE_OF_CHARGE, need)
        except Exceeded:
            pass
        else:
            asked.has_begun = True
            loop.call_later(request.lasts_s, self.ledger.holds.pop, hold.id)
        asked.ended_s = loop.time()
        return asked

    def left(self, account: str) -> int:
        return ROOM - self.ledger.held(account)

    def queues(self) -> dict[str, list[queueing.Waiter]]:
        """By account; of what is shared, since there is always enough of their own."""
        found = self.budgets._queues._queues.items()
        return {place.partition(":")[0]: list(each.waiting) for place, each in found}


async def who_keeps_what_it_cannot_use(house: House) -> Asked:
    """Room for X comes back while an older one has got in front of who waits for X and for Y, in Y."""
    older = Request(sharing(tenant(limit(ROOM, "own"), name="older"), SHARED[1]), ROOM)
    house.ledger.holds["own"] = Counter({"older": ROOM})
    house.ledger.holds["x"] = Counter({"default/x": ROOM})
    tasks = [asyncio.create_task(house.ask(older))]
    await asyncio.sleep(0.05)
    tasks.append(asyncio.create_task(house.ask(Request(XY, ROOM))))
    await asyncio.sleep(0.25)
    house.ledger.holds["y"] = Counter({"default/y": ROOM})
    del house.ledger.holds["x"]
    await asyncio.sleep(ASK_AGAIN_S + ASK_S)
    assert "default/y" in house.queues()
    del house.ledger.holds["own"]
    await asyncio.sleep(0.01)
    return house.asked[1]


@pytest.mark.parametrize("patience_s", [5.0, 30.0])
def test_who_is_overtaken_for_one_limit_holds_nobody_up_for_another(
    monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> None:
    """Also where it would be waited for longer than they have patience."""
    monkeypatch.setattr(queueing, "KEEPS_S", 20.0)

    async def main() -> None:
        house = House()
        kept = await who_keeps_what_it_cannot_use(house)
        behind = [asyncio.create_task(house.ask(Request(X, 100, patience_s))) for _ in range(5)]
        for each in behind:
            served = await each
            assert served.has_begun
            assert served.waited_s < 3 * ASK_AGAIN_S
        assert kept.ended_s == inf
        assert house.left("default/x") == ROOM - 500

    virtual_time.run(main())


def test_what_gives_way_waits_for_nobody_and_takes_nothing_that_others_wait_for() -> None:
    async def main() -> None:
        house = House()
        background = Request(X, 300, gives_way=True)
        house.ledger.holds["another's"] = Counter({"default/x": 800})
        refused = await house.ask(background)
        assert not refused.has_begun
        assert refused.waited_s < ASK_AGAIN_S, "it does not wait until there is room"
        caller = asyncio.create_task(house.ask(Request(X, 900)))
        await asyncio.sleep(ASK_AGAIN_S / 2)
        house.ledger.holds["another's"] = Counter({"default/x": 200})
        assert not (await house.ask(background)).has_begun, "although there is room for it"
        del house.ledger.holds["another's"]
        assert (await caller).has_begun
        assert not (await house.ask(background)).has_begun
        house.ledger.holds.clear()
        assert (await house.ask(background)).has_begun

    virtual_time.run(main())


class Came(NamedTuple):
    after_s: float
    request: Request

    def __repr__(self) -> str:
        who, amount, patience_s, lasts_s, _ = self.request
        return f"{self.after_s} {who.shared} {amount} {patience_s} {lasts_s}"


arrivals = st.lists(
    st.builds(
        Came,
        st.sampled_from([0.05, 0.2, 0.5]),
        st.builds(
            Request,
            st.sampled_from(MEMBERS),
            st.sampled_from([400, 700, ROOM]),
            st.sampled_from([1.0, 5.0, 30.0]),
            st.sampled_from([0.3, 1.0, 2.0]),
        ),
    ),
    min_size=25,
    max_size=30,
)


class Watch:
    """Holds what becomes of who waits against what was left meanwhile."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.free_since: dict[tuple[str, int], float] = {}
        self.room_since: dict[Asked, float] = {}
        self.room_for_all_since: dict[Asked, float] = {}

    async def look(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._at_limits(clock())
            self._at_requests(clock())
            await asyncio.sleep(LOOK_S)

    def _at_limits(self, now: float) -> None:
        """None with room for its first is kept by it for longer than it may be."""
        before, self.free_since = self.free_since, {}
        for account, (first, *_) in self.house.queues().items():
            assert first._is_first(), "the first of every queue may ask"
            (asked,) = [each for each in self.house.asked if each.tenant is first.tenant]
            if self.house.left(account) >= asked.request.amount:
                since = self.free_since[account, first.number] = before.get((account, first.number), now)
                assert now - since <= first.keeps_s + SOON_S

    def _at_requests(self, now: float) -> None:
        """Nobody is refused for whom there was room, or waits where there is room for all who came no later."""
        waiters = [each for queue in self.house.queues().values() for each in queue]
        keeps_s = max((each.keeps_s for each in waiters), default=0.0)
        before, for_all_before, demand = self.room_since, self.room_for_all_since, Counter[str]()
        self.room_since, self.room_for_all_since = {}, {}
        for asked in self.house.asked:
            accounts = [account_of(asked.tenant.name, each) for each in asked.tenant.limits[1:]]
            if asked.ended_s <= now:
                if not asked.has_begun:
                    assert now - before.get(asked, now) <= SOON_S
                continue
            demand.update(dict.fromkeys(accounts, asked.request.amount))
            if all(self.house.left(each) >= asked.request.amount for each in accounts):
                self.room_since[asked] = before.get(asked, now)
            if all(self.house.left(each) >= demand[each] for each in accounts):
                since = self.room_for_all_since[asked] = for_all_before.get(asked, now)
                assert now - since <= len(SHARED) * (keeps_s + SOON_S)


@settings(max_examples=40, deadline=None)
@given(arrivals, st.sampled_from([0.2, 1.0, 5.0]))
def test_nobody_is_refused_or_waits_where_there_is_room(came: list[Came], keeps_s: float) -> None:
    async def main() -> None:
        house, began = House(), asyncio.get_running_loop().time()
        watch = asyncio.create_task(Watch(house).look())
        tasks = []
        for each in came:
            await asyncio.sleep(each.after_s)
            tasks.append(asyncio.create_task(house.ask(each.request)))
        everybody = asyncio.gather(*tasks)
        everybody.add_done_callback(lambda _: watch.cancel())
        with suppress(asyncio.CancelledError):
            await watch
        await everybody
        assert not house.budgets._queues._queues
        assert not house.budgets._queues._waiting
        lasted = asyncio.get_running_loop().time() - began
        calls = 4 * (len(SHARED) * lasted / ASK_AGAIN_S + 3 * len(came))
        assert house.ledger.calls <= calls

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queueing, "KEEPS_S", keeps_s)
        virtual_time.run(main())
