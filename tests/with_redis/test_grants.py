"""Grants on a real ledger: who asks often waits for no round trip, whatever is spent is held there before and counted
there after, once, and all comes back of which nobody makes use.
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.budgets import Unreliable
from tests.tenants import limit, tenant
from tollway_api.snapshot import Limit, Rolling, Tenant
from tollway_api.tenant_budget import Unit
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger
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
async def redis(ledger_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    client = connect(ledger_redis.url, 5.0)
    yield client
    await client.aclose()


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


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),  # whose
        st.sampled_from(["begin", "begin", "many", "end", "end", "look", "look", "ask again"]),
        st.sampled_from(["", "", "", "", "call", "reply"]),
    ),
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
        await _spend_at_random([Pod(redis, "one"), Pod(redis, "two")], steps, random.Random(seed))  # noqa: S311 - no secret


async def _spend_at_random(
    pods: Sequence[Pod], steps: Sequence[tuple[int, str, str]], chance: random.Random
) -> None:
    most = 64 * 2 * 100 * OFTEN
    small = tenant(limit(most))
    for number, step, loses in steps:
        pod = pods[number]
        if step in ("begin", "many"):
            for _ in range(1 if step == "begin" else OFTEN):
                await pod.begin(small)
        elif step == "end" and pod.holds:
            await pod.end(chance.choice(list(pod.holds)), chance.randint(0, 100))
        elif step == "look":
            pod.script.loses = loses
            await pod.grants.look()
            pod.script.loses = ""
        elif step == "ask again":
            await pod.ledger.finish_pending()
        used, held = await pods[0].taken(small)
        assert used + held <= most
        owed = sum(
            sum(asked.amounts) for each in pods for asked in each.ledger._pending.values() if asked.amounts
        )
        spent, under_way = sum(each.spent for each in pods), sum(len(each.holds) for each in pods)
        assert spent + 100 * under_way <= used + held + owed
    for pod in pods:
        for hold_id in list(pod.holds):
            await pod.end(hold_id, 10)
        await pod.grants.aclose()
        await pod.ledger.finish_pending()
    assert await pods[0].taken(small) == (sum(each.spent for each in pods), 0)
