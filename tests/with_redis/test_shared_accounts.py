"""Requests that count in several accounts at once, and limits that are edited, on a real Redis."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from tests.tenants import limit, shared, sharing, tenant
from tollway_api.snapshot import Calendar, Rolling, Tenant
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_dataplane.adapters import redis_ledger
from tollway_dataplane.adapters.redis_ledger import RedisLedger

HOUR, DAY, MONTH = (
    Calendar(period, "UTC") for period in (CalendarPeriod.HOUR, CalendarPeriod.DAY, CalendarPeriod.MONTH)
)
A_MINUTE, AN_HOUR, A_DAY = Rolling(60_000), Rolling(3_600_000), Rolling(86_400_000)
CLOCK = "a clock that the test moves"
NOON_MS = 1_790_251_200_000  # 2026-09-24T12:00Z, a Thursday


TEAM = shared("team/all", limit(100))
ACME = sharing(tenant(limit(80)), TEAM)
BETA = sharing(tenant(limit(80), name="beta"), TEAM)
BARE = sharing(tenant(name="bare"), TEAM)


async def test_tenants_that_share_a_budget_never_exceed_it_together(ledger: RedisLedger) -> None:
    assert await ledger.hold(ACME, "a", [60, 60]) is None
    denied = await ledger.hold(BETA, "a", [60, 60])
    assert denied is not None
    assert (denied.limit.title, denied.used, denied.held) == ("team/all/one", 0, 60)
    assert await ledger.hold(BARE, "a", [40]) is None, "the same id of another tenant is another hold"
    await ledger.settle(ACME, "a", [10, 10])
    assert await ledger.hold(BETA, "a", [50, 50]) is None
    assert await ledger.read(ACME) == [(10, 0), (10, 90)]
    assert await ledger.read(BETA) == [(0, 50), (10, 90)]
    assert await ledger.read(BARE) == [(10, 90)]


async def test_all_accounts_have_room_or_nothing_is_held_in_any(ledger: RedisLedger) -> None:
    assert await ledger.hold(BETA, "b", [30, 30]) is None
    denied = await ledger.hold(ACME, "a", [75, 75])
    assert denied is not None
    assert denied.limit.title == "team/all/one"
    denied = await ledger.hold(ACME, "a", [81, 10])
    assert denied is not None
    assert denied.limit.title == "one"
    assert await ledger.read(ACME) == [(0, 0), (0, 30)]
    assert await ledger.hold(ACME, "a", [10, 10], [80, 71]) is not None, "so much is not left of the second"
    assert await ledger.hold(ACME, "a", [10, 10], [80, 70]) is None
    assert await ledger.extend(ACME, "a", [71, 71]) is not None
    assert await ledger.read(ACME) == [(0, 10), (0, 40)]
    for _ in range(2):
        await ledger.settle(ACME, "a", [5, 5])
        assert await ledger.read(ACME) == [(5, 0), (5, 30)]
    await ledger.release(BETA, "b")
    assert await ledger.read(BETA) == [(0, 0), (5, 0)]


async def test_what_a_dead_pod_held_in_a_shared_account_comes_back_although_its_tenant_asks_no_more(
    ledger: RedisLedger, redis: Redis
) -> None:
    assert await ledger.hold(ACME, "gone", [80, 80]) is None
    assert await ledger.hold(BETA, "b", [30, 30]) is not None
    await redis.zadd("tollway:1:{ledger}:expiry", {"acme/gone": 1})
    stranger = tenant(limit(1), name="stranger")
    await ledger.read(stranger)
    assert await redis.keys("tollway:1:{ledger}:[he]*") == [], "whoever asks, and whatever for"
    assert await ledger.hold(BETA, "b", [80, 80]) is None


async def test_who_joins_brings_nothing_along_and_who_leaves_leaves_what_was_used(
    ledger: RedisLedger,
) -> None:
    alone = tenant(limit(80))
    await ledger.settle(alone, "a", [30])
    assert await ledger.read(ACME) == [(30, 0), (0, 0)]
    assert await ledger.hold(ACME, "b", [20, 20]) is None
    assert await ledger.read(alone) == [(30, 20)]
    await ledger.settle(ACME, "b", [20, 20])
    await ledger.settle(alone, "c", [5])
    assert await ledger.read(ACME) == [(55, 0), (20, 0)]
    # Where it was made while shared, and is settled as not shared, it is freed all the same.
    assert await ledger.hold(ACME, "d", [20, 20]) is None
    await ledger.settle(alone, "d", [20])
    assert await ledger.read(ACME) == [(75, 0), (20, 0)]
    assert await ledger.hold(ACME, "e", [5, 20]) is None
    assert await ledger.extend(alone, "e", [5]) is None
    assert await ledger.read(ACME) == [(75, 5), (20, 20)], "it stands where it was made until it is over"
    await ledger.release(alone, "e")
    assert await ledger.read(ACME) == [(75, 0), (20, 0)]


class Clock:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def set(self, now_ms: int) -> None:
        await self._redis.delete(CLOCK)
        await self._redis.rpush(CLOCK, now_ms // 1_000, now_ms % 1_000 * 1_000)


@pytest.fixture
async def clock(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Clock:
    of_redis = "redis.call('TIME')"
    script = redis_ledger._SCRIPT.replace(of_redis, f"redis.call('LRANGE', '{CLOCK}', 0, 1)")
    monkeypatch.setattr(redis_ledger, "_SCRIPT", script)
    made = Clock(redis)
    await made.set(NOON_MS)
    return made


MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("before", "after", "then_ms", "counted"),
    [
        pytest.param(
            AN_HOUR, A_DAY, 30 * MINUTE_MS, 10, id="a longer rolling window has what the shorter had"
        ),
        pytest.param(A_DAY, AN_HOUR, 90 * MINUTE_MS, 0, id="a shorter one has not what began before it"),
        pytest.param(A_DAY, AN_HOUR, 30 * MINUTE_MS, 10, id="and has what began within it"),
        pytest.param(HOUR, DAY, 30 * MINUTE_MS, 10, id="a longer calendar window has what the shorter had"),
        pytest.param(MONTH, DAY, 30 * MINUTE_MS, 0, id="a shorter one begins anew"),
        pytest.param(AN_HOUR, DAY, 30 * MINUTE_MS, 10, id="from rolling to calendar"),
        pytest.param(
            HOUR, AN_HOUR, 30 * MINUTE_MS, 10, id="from calendar to a rolling one that reaches to its begin"
        ),
        pytest.param(MONTH, A_DAY, 30 * MINUTE_MS, 0, id="and to one that does not"),
    ],
)
async def test_a_window_that_is_edited_counts_the_stretches_that_began_within_the_new_one(
    redis: Redis,
    clock: Clock,
    before: Rolling | Calendar,
    after: Rolling | Calendar,
    then_ms: int,
    counted: int,
) -> None:
    ledger = RedisLedger(redis, 2.0)
    await ledger.settle(tenant(limit(100, window=before)), "a", [10])
    await clock.set(NOON_MS + then_ms)
    assert await ledger.read(tenant(limit(100, window=after))) == [(counted, 0)]


async def test_a_shorter_window_forgets_for_good_what_it_does_not_reach(redis: Redis, clock: Clock) -> None:
    ledger = RedisLedger(redis, 2.0)
    monthly, hourly = (tenant(limit(100, window=window)) for window in (MONTH, HOUR))
    await ledger.settle(monthly, "a", [10])
    await ledger.read(hourly)
    assert await ledger.read(monthly) == [(0, 0)]


@pytest.mark.parametrize(
    ("edited", "counted"),
    [
        pytest.param({"amount": 20}, 10, id="the amount keeps it"),
        pytest.param({"amount": 5}, 10, id="also below what is used"),
        pytest.param({"unit": Unit.REQUESTS}, 0, id="another unit begins anew"),
        pytest.param({"name": "two"}, 0, id="another name is another limit"),
    ],
)
async def test_what_an_edit_of_a_limit_keeps(
    ledger: RedisLedger, edited: dict[str, object], counted: int
) -> None:
    one = limit(100)
    await ledger.settle(tenant(one), "a", [10])
    assert await ledger.read(tenant(replace(one, **edited))) == [(counted, 0)]  # type: ignore[arg-type]  # any field
    assert await ledger.read(tenant(one)) == [(10, 0)], "and when it is taken back it goes on"


@pytest.mark.parametrize("whose", [ACME, BARE], ids=["a tenant's", "a shared one"])
async def test_a_budget_that_is_deleted_and_added_again_goes_on(ledger: RedisLedger, whose: Tenant) -> None:
    """The ledger is not told of either."""
    used = [10] * len(whose.limits)
    await ledger.settle(whose, "a", used)
    await ledger.settle(tenant(limit(5), name="meanwhile"), "b", [1])
    assert await ledger.read(replace(whose, key_digests={})) == [(10, 0)] * len(used)
