"""Grants on a real ledger: who asks often waits for no round trip, whatever is spent is held there before and counted
there after, once, and all comes back of which nobody makes use.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.budgets import LedgerClock, Unreliable, stop_clock
from tests.tenants import limit, tenant
from tollway_api.snapshot import Limit, Rolling, Tenant
from tollway_api.tenant_budget import Unit
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.core.budgeting import Denied
from tollway_dataplane.spending.grants import LASTS_S, Grants

OFTEN = 10
MOST = 1_000_000
ACME = tenant(limit(MOST), Limit("requests", Unit.REQUESTS, 10_000, Rolling(3_600_000)))


@dataclass
class Pod:
    """Holds 100 tokens for each request, and counts what it could not hold by a grant."""

    redis: Redis
    name: str = "pod"
    now: float = 1_000.0
    unsettled: int = 0
    asked: int = 0
    spent: int = 0
    holds: dict[str, tuple[Tenant, bool]] = field(default_factory=dict)  # whether by a grant

    def __post_init__(self) -> None:
        self.ledger = RedisLedger(self.redis, 5.0)
        self.script = Unreliable(self.ledger._script)
        self.ledger._script = self.script  # type: ignore[assignment]  # of the same shape
        self.grants = Grants(self.ledger, self.name, lambda: self.now, self._unsettled)

    def _unsettled(self) -> None:
        self.unsettled += 1

    async def begin(self, of: Tenant = ACME) -> str:
        """Its id; "" where there is no room."""
        self.asked += 1
        hold_id, amounts = f"{self.name}-{self.asked}", [100, 1][: len(of.limits)]
        granted = self.grants.hold(of, hold_id, amounts)
        if not granted and await self.ledger.hold(of, hold_id, amounts) is not None:
            return ""
        self.holds[hold_id] = of, granted
        return hold_id

    async def end(self, hold_id: str, used: int) -> None:
        of, granted = self.holds.pop(hold_id)
        amounts = [used, 1][: len(of.limits)]
        assert self.grants.settle(hold_id, amounts) == granted
        self.spent += used
        if not granted:
            await self.ledger.settle(of, hold_id, amounts)

    async def answer(self, count: int, of: Tenant = ACME) -> int:
        """How many of so many requests were held by a grant."""
        granted = 0
        for _ in range(count):
            hold_id = await self.begin(of)
            granted += self.holds[hold_id][1]
            await self.end(hold_id, 30)
        return granted

    async def taken(self, of: Tenant = ACME) -> tuple[int, int]:
        """Tokens that are used and held, as the ledger has it."""
        first, *_ = await self.ledger.read(of)
        return first.used, first.held


@pytest.fixture
def pod(redis: Redis) -> Pod:
    return Pod(redis)


async def test_what_is_asked_for_seldom_is_counted_when_it_ends(pod: Pod) -> None:
    for number in range(1, 4):
        assert await pod.answer(OFTEN - 1) == 0
        assert await pod.taken() == (number * (OFTEN - 1) * 30, 0)
        await pod.grants.look()


async def test_who_asks_often_is_held_and_settled_here_and_counted_there_at_the_next_look(pod: Pod) -> None:
    assert await pod.answer(OFTEN) == 0
    await pod.grants.look()
    assert await pod.taken() == (300, 2_000)
    assert await pod.answer(2 * OFTEN) == 2 * OFTEN
    assert await pod.taken() == (300, 2_000)
    under_way = await pod.begin()
    assert not pod.holds[under_way][1], "no more than was granted"
    await pod.end(under_way, 30)
    await pod.grants.look()
    assert await pod.taken() == (300 + 630, 4_200)


async def test_what_is_granted_comes_back_when_nobody_asks_any_more(pod: Pod) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    long = [await pod.begin() for _ in range(2)]
    await pod.answer(5)
    await pod.grants.look()
    assert await pod.taken() == (450, 200), "what is under way is held, and no more"
    for left, hold_id in enumerate(reversed(long)):
        await pod.end(hold_id, 50)
        await pod.grants.look()
        assert await pod.taken() == (450 + 50 * (left + 1), 100 * (1 - left))


async def test_what_is_no_small_share_of_what_is_left_is_asked_for_one_by_one(pod: Pod) -> None:
    small = tenant(limit(2 * 100 * OFTEN * 31))
    await pod.answer(OFTEN, small)
    await pod.grants.look()
    assert await pod.answer(OFTEN, small) == 0
    assert await pod.taken(small) == (2 * OFTEN * 30, 0)


async def test_where_little_is_left_by_then_only_what_is_under_way_stays_held(pod: Pod, redis: Redis) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    under_way = await pod.begin()
    assert await pod.ledger.hold(ACME, "somebody", [MOST - 3_000, 1]) is None
    assert await pod.answer(OFTEN) == OFTEN
    await pod.grants.look()
    assert await pod.taken() == (600, MOST - 3_000 + 100)
    assert await pod.answer(1) == 0
    await pod.end(under_way, 70)
    await pod.grants.look()
    assert await pod.taken() == (700, MOST - 3_000)


async def test_who_asks_as_often_as_ever_is_granted_nothing_once_little_is_left(pod: Pod) -> None:
    most = 64 * 2 * 100 * OFTEN
    small = tenant(limit(most))
    await pod.answer(OFTEN, small)
    await pod.grants.look()
    assert await pod.answer(OFTEN, small) == OFTEN
    await pod.ledger.settle(small, "somebody", [most - 2_600])
    await pod.grants.look()
    assert await pod.answer(OFTEN, small) == 0
    assert await pod.taken(small) == (most - 2_600 + 3 * OFTEN * 30, 0)


async def test_a_grant_of_which_nothing_is_under_way_when_little_is_left_is_given_back(pod: Pod) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    await pod.answer(OFTEN)
    await pod.ledger.settle(ACME, "somebody", [MOST - 3_000, 1])
    await pod.grants.look()
    await pod.grants.look()
    assert pod.unsettled == 0
    assert await pod.taken() == (MOST - 3_000 + pod.spent, 0)


@pytest.mark.parametrize("end", ["settle", "release", "expire"])
async def test_a_hold_that_was_resized_to_nothing_of_a_limit_comes_back(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """To free it when it is over is in every call, of whichever tenant."""
    stop_clock(monkeypatch)
    clock, ledger = LedgerClock(redis), RedisLedger(redis, 5.0)
    await clock.set(1_800_000_000_000)
    assert await ledger.hold(ACME, "hold", [100, 1]) is None
    assert await ledger.resize(ACME, "hold", [0, 1], ()) is None
    match end:
        case "settle":
            await ledger.settle(ACME, "hold", [0, 0])
        case "release":
            await ledger.release(ACME, "hold")
        case _:
            await clock.later(60)
    assert [(each.used, each.held) for each in await ledger.read(ACME)] == [(0, 0), (0, 0)]


async def test_what_ends_while_little_is_left_stays_held_until_it_is_reported(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    under_way = await pod.begin()
    assert await pod.ledger.hold(ACME, "somebody", [MOST - 3_000, 1]) is None
    await pod.answer(OFTEN)
    resize = pod.ledger.resize

    async def resized(of: Tenant, hold_id: str, amounts: Sequence[int], room: Sequence[int]) -> Denied | None:
        denied = await resize(of, hold_id, amounts, room)
        if denied is not None:
            await pod.end(under_way, 70)
        return denied

    monkeypatch.setattr(pod.ledger, "resize", resized)
    await pod.grants.look()
    assert await pod.taken() == (600, MOST - 3_000 + 70)
    await pod.grants.look()
    assert await pod.taken() == (670, MOST - 3_000)


async def test_an_edit_of_the_limits_leaves_what_is_under_way_to_the_old_ones(pod: Pod) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    under_way = await pod.begin()
    await pod.answer(5)
    edited = tenant(limit(2 * MOST))
    assert await pod.answer(OFTEN, edited) == 0
    await pod.grants.look()
    assert await pod.taken() == (750, 100 + 2_000), "what is under way, and what the new limits were granted"
    assert await pod.answer(OFTEN, edited) == OFTEN
    await pod.end(under_way, 70)
    await pod.grants.look()
    await pod.grants.look()
    assert await pod.taken() == (750 + 300 + 70, 0)


async def test_an_edit_that_leaves_the_limits_leaves_the_grant(pod: Pod) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    edited = replace(ACME, alert_threshold_percent=50)
    assert await pod.answer(OFTEN, edited) == 0
    await pod.grants.look()
    assert await pod.answer(OFTEN, edited) == OFTEN
    await pod.grants.look()
    assert (await pod.taken())[0] == 900


@pytest.mark.parametrize("loses", ["call", "reply"])
async def test_a_report_that_was_lost_counts_once(pod: Pod, loses: str) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    await pod.answer(OFTEN)
    pod.script.loses = loses
    await pod.grants.look()
    assert pod.unsettled == 1
    assert await pod.answer(OFTEN) > 0, "the grant itself was renewed"
    await pod.ledger.finish_pending()
    await pod.grants.look()
    assert (await pod.taken())[0] == pod.spent


@pytest.mark.parametrize("loses", ["call", "reply", "late"])
async def test_what_was_used_is_held_until_a_report_that_was_lost_is_told(pod: Pod, loses: str) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    await pod.answer(OFTEN)
    pod.script.loses, pod.script.lasts = loses, True
    await pod.grants.look()
    pod.script.loses = ""
    await pod.grants.look()
    assert sum(await pod.taken()) >= pod.spent
    await pod.ledger.finish_pending()
    await pod.grants.look()
    await pod.script.arrive()
    assert await pod.taken() == (pod.spent, 0)


async def test_a_call_that_comes_late_takes_nothing_away_that_was_granted_since(pod: Pod) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    pod.script.loses = "late"
    under_way = [await pod.begin() for _ in range(3)]
    await pod.grants.look()
    under_way += [await pod.begin() for _ in range(5 * OFTEN)]
    await pod.grants.look()
    under_way += [await pod.begin() for _ in range(5 * OFTEN)]
    await pod.script.arrive()
    assert (await pod.taken())[1] >= 100 * len(under_way)


async def test_what_a_late_call_holds_comes_back_within_a_second_whatever_is_under_way(pod: Pod) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    await pod.begin()
    await pod.answer(OFTEN)
    pod.script.loses, pod.script.lasts = "late", True
    await pod.grants.look()
    pod.script.loses = ""
    await pod.ledger.finish_pending()
    await pod.grants.look()
    assert await pod.taken() == (pod.spent, 100)
    await pod.script.arrive()
    assert (await pod.taken())[1] > 2_000
    pod.now += LASTS_S
    await pod.grants.look()
    assert await pod.taken() == (pod.spent, 100)


async def test_what_goes_wrong_with_one_tenant_is_told_and_keeps_no_other_waiting(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tenant(limit(MOST), name="other")
    for of in (ACME, other):
        await pod.answer(OFTEN, of)
    await pod.grants.look()
    for of in (ACME, other):
        assert await pod.answer(OFTEN, of) == OFTEN
    resize, told = pod.ledger.resize, list[object]()

    async def resized(of: Tenant, hold_id: str, amounts: Sequence[int], room: Sequence[int]) -> Denied | None:
        if of is ACME:
            raise KeyError
        return await resize(of, hold_id, amounts, room)

    monkeypatch.setattr(pod.ledger, "resize", resized)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    await pod.grants.look()
    assert told == ["a grant was not renewed: KeyError: "]
    assert await pod.answer(OFTEN, other) == OFTEN
    await pod.grants.aclose()
    assert [await pod.taken(of) for of in (ACME, other)] == [(600, 0), (900, 0)]


async def test_a_ledger_that_is_away_lends_for_no_longer_than_a_second(pod: Pod) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    pod.now += LASTS_S - 0.01
    assert await pod.answer(1) == 1
    pod.now += 0.01
    assert await pod.answer(1) == 0


async def test_a_pod_that_ends_reports_all_and_what_ends_later_is_told_by_itself(pod: Pod) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    under_way = await pod.begin()
    await pod.answer(5)
    await pod.grants.aclose()
    assert await pod.taken() == (450, 0)
    assert not pod.grants.settle(under_way, [30, 1])


async def test_what_begins_while_a_pod_ends_is_counted(pod: Pod) -> None:
    await pod.answer(OFTEN)
    await pod.grants.look()
    ending = asyncio.create_task(pod.grants.aclose())
    await asyncio.sleep(0)
    late = await pod.begin()
    await ending
    await pod.end(late, 30)
    assert await pod.taken() == (330, 0)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),  # whose
        st.sampled_from(
            [*("begin", "many", "end", "all", "fill", "empty"), *("look", "look", "ask again", "arrive")]
        ),
        st.sampled_from(["", "", "", "call", "reply", "late"]),
    ),
    min_size=20,
    max_size=60,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, seed=st.integers(0, 1_000))
async def test_whatever_is_lost_nothing_is_spent_that_is_not_held(
    ledger_redis: EmbeddedRedis, steps: list[tuple[int, str, str]], seed: int
) -> None:
    async with aclosing(connect(ledger_redis.url, 5.0)) as redis:
        await redis.flushall()
        pods = [Pod(redis, "one"), Pod(redis, "two")]
        spending = _Spending(pods, random.Random(seed))  # noqa: S311 - no secret
        await spending.begin()
        for number, step, loses in steps:
            await spending.step(pods[number], step, loses)
            await spending.check()
        await spending.end()


@dataclass
class _Spending:
    """At random, by several pods, and by somebody else who takes nearly all that is left and gives it back."""

    pods: Sequence[Pod]
    chance: random.Random
    most: int = 64 * 2 * 100 * OFTEN
    others: dict[str, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.tenant = tenant(limit(self.most))

    async def begin(self) -> None:
        for pod in self.pods:
            await pod.answer(OFTEN, self.tenant)
            await pod.grants.look()

    async def step(self, pod: Pod, step: str, loses: str) -> None:
        match step:
            case "begin":
                await pod.begin(self.tenant)
            case "many":
                for _ in range(OFTEN):
                    await pod.begin(self.tenant)
            case "end" if pod.holds:
                await pod.end(self.chance.choice(list(pod.holds)), self.chance.randint(0, 100))
            case "all":
                for hold_id in list(pod.holds):
                    await pod.end(hold_id, self.chance.randint(0, 100))
            case "look":  # all of whose calls share a round trip
                pod.script.loses, pod.script.lasts = loses, True
                await pod.grants.look()
                pod.script.loses = ""
            case "ask again":
                await pod.ledger.finish_pending()
            case "arrive":
                await pod.script.arrive()
            case "fill":
                await self._fill(pod)
            case "empty":
                await self._empty(pod)

    async def _fill(self, pod: Pod) -> None:
        left = self.most - sum(await pod.taken(self.tenant))
        name, amount = f"other-{next(self.numbers)}", max(0, left - self.chance.randint(0, 3_000))
        if await pod.ledger.hold(self.tenant, name, [amount]) is None:
            self.others[name] = amount

    async def _empty(self, pod: Pod) -> None:
        if self.others:
            await pod.ledger.release(self.tenant, self.others.popitem()[0])

    async def check(self) -> None:
        used, held = await self.pods[0].taken(self.tenant)
        owed = sum(sum(asked.amounts) for each in self.pods for asked in each.ledger._pending.values())
        spent, under_way = (
            sum(each.spent for each in self.pods),
            sum(len(each.holds) for each in self.pods),
        )
        taken = spent + 100 * under_way + sum(self.others.values())
        assert taken <= self.most
        assert taken <= used + held + owed

    async def end(self) -> None:
        while self.others:
            await self._empty(self.pods[0])
        for pod in self.pods:
            for hold_id in list(pod.holds):
                await pod.end(hold_id, 10)
            await pod.grants.aclose()
            await pod.ledger.finish_pending()
            await pod.script.arrive()
        assert await self.pods[0].taken(self.tenant) == (sum(each.spent for each in self.pods), 0)
