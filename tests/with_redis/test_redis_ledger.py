"""The ledger's script on a real Redis: atomic, conservative, and holds that come back by themselves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.budgets import FREE_OF_CHARGE, LedgerClock, budgets_on, need, stop_clock
from tests.dataplanes import Setup, compiled, lone_health, until
from tests.tenants import limit, shared, sharing, tenant
from tollway_api import wire
from tollway_api.meta import ModelName, TenantName
from tollway_api.snapshot import Calendar, Limit, Protocol, Rolling, SharedBudget, Snapshot, Tenant
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters import redis_ledger
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.adapters.tiktoken_tokenizers import TiktokenTokenizers
from tollway_dataplane.background import running
from tollway_dataplane.core.facts import ChatRequest, Usage
from tollway_dataplane.core.tokens import Counted
from tollway_dataplane.errors import LedgerFault, Refusal
from tollway_dataplane.fallback.dispatch import Dispatch
from tollway_dataplane.fallback.jobs import Job
from tollway_dataplane.ports import Chunk, Completion, UpstreamCall
from tollway_dataplane.record import Record
from tollway_dataplane.spending.holds import Need, Slice

HOUR = Rolling(3_600_000)
DAY = Calendar(CalendarPeriod.DAY, "Europe/Berlin")


@pytest.mark.parametrize("window", [HOUR, DAY, Calendar(CalendarPeriod.MONTH, "UTC"), Rolling(5_000)])
async def test_holds_and_spending_together_never_exceed_a_limit(
    ledger: RedisLedger, window: Rolling | Calendar
) -> None:
    acme = tenant(limit(100, window=window))
    assert await ledger.hold(acme, "a", [60]) is None
    denied = await ledger.hold(acme, "b", [60])
    assert denied is not None
    assert (denied.used, denied.held) == (0, 60)
    await ledger.settle(acme, "a", [30])
    assert await ledger.hold(acme, "b", [60]) is None
    denied = await ledger.hold(acme, "c", [11])
    assert denied is not None
    assert (denied.used, denied.held) == (30, 60)
    assert await ledger.hold(acme, "c", [10]) is None


async def test_all_limits_have_room_or_nothing_is_held(ledger: RedisLedger) -> None:
    acme = tenant(limit(100, "wide"), limit(10, "narrow", DAY))
    denied = await ledger.hold(acme, "a", [50, 11])
    assert denied is not None
    assert denied.limit.name == "narrow"
    assert await ledger.hold(acme, "b", [100, 10]) is None


async def test_what_was_counted_in_one_unit_never_counts_in_another(ledger: RedisLedger) -> None:
    dollars, tokens = (Limit("a-1", unit, 100, HOUR) for unit in (Unit.USD, Unit.TOKENS))
    await ledger.settle(tenant(dollars), "a", [100])
    assert await ledger.hold(tenant(tokens), "b", [60]) is None
    assert await ledger.hold(tenant(tokens), "c", [41]) is not None, "what is held in its own unit counts"
    assert await ledger.hold(tenant(dollars), "d", [1]) is not None, "and nothing is forgotten"
    await ledger.settle(tenant(tokens), "b", [40])
    assert await ledger.hold(tenant(tokens), "c", [60]) is None


async def test_whatever_is_asked_twice_for_one_id_changes_nothing_the_second_time(
    ledger: RedisLedger,
) -> None:
    acme = tenant(limit(100))
    for _ in range(2):
        assert await ledger.hold(acme, "a", [50]) is None
        assert await ledger.read(acme) == [(0, 50)]
    for _ in range(2):
        assert await ledger.extend(acme, "a", [70]) is None
        assert await ledger.read(acme) == [(0, 70)]
    for _ in range(2):
        await ledger.settle(acme, "a", [60])
        assert await ledger.read(acme) == [(60, 0)]
    await ledger.release(acme, "a")
    assert await ledger.hold(acme, "a", [50]) is None
    assert await ledger.read(acme) == [(60, 0)], "it is over"


async def test_a_hold_may_ask_that_more_is_left_than_it_takes(ledger: RedisLedger) -> None:
    acme = tenant(limit(100), limit(10, "narrow"))
    denied = await ledger.hold(acme, "a", [20, 2], [100, 11])
    assert denied is not None
    assert (denied.limit.name, denied.left) == ("narrow", 10)
    assert await ledger.hold(acme, "a", [20, 2], [100, 10]) is None
    assert await ledger.hold(acme, "a", [20, 2], [100, 10]) is None, "it is held already"
    assert await ledger.read(acme) == [(0, 20), (0, 2)]
    assert await ledger.hold(acme, "b", [81, 1], [10, 0]) is not None, "less room is not enough"
    assert await ledger.hold(acme, "b", [0, 1], [100, 8]) is None, "nothing more always fits"


async def test_an_extension_that_has_no_room_leaves_what_is_held(ledger: RedisLedger) -> None:
    acme = tenant(limit(100), limit(10, "narrow"))
    assert await ledger.hold(acme, "a", [20, 2]) is None
    denied = await ledger.extend(acme, "a", [50, 11])
    assert denied is not None
    assert (denied.limit.name, denied.asked, denied.held) == ("narrow", 11, 2)
    assert await ledger.read(acme) == [(0, 20), (0, 2)]
    assert await ledger.extend(acme, "a", [50, 10]) is None


NOW_MS = 1_800_000_000_000


@pytest.fixture
async def clock(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> LedgerClock:
    """Of ledgers that the test makes."""
    stop_clock(monkeypatch)
    clock = LedgerClock(redis)
    await clock.set(NOW_MS)
    return clock


async def settle_many(ledger: RedisLedger, acme: Tenant, name: str, count: int) -> None:
    await asyncio.gather(*(ledger.settle(acme, f"{name}{number}", [1]) for number in range(count)))


async def test_of_what_is_finished_the_latest_and_the_last_minutes_are_remembered(
    redis: Redis, clock: LedgerClock
) -> None:
    acme, ledger = tenant(limit(10_000)), RedisLedger(redis, 5.0)
    finished = wire.ledger_keys(TenantName("acme")).finished
    await settle_many(ledger, acme, "r", 150)
    for minute in range(1, 5):
        await clock.later(60)
        await ledger.settle(acme, f"m{minute}", [1])
    assert await redis.zcard(finished) == 154
    await clock.later(60)
    await settle_many(ledger, acme, "s", 10)
    assert await redis.zcard(finished) == 100
    await settle_many(ledger, acme, "s", 10)
    assert await ledger.read(acme) == [(164, 0)]


async def test_however_long_the_ledger_was_away_what_was_finished_before_is_not_forgotten_for_that(
    redis: Redis, clock: LedgerClock
) -> None:
    """Not before all who may ask again have had their time; and how often it is away makes no difference."""
    acme, ledger = tenant(limit(10_000)), RedisLedger(redis, 5.0)
    for outage in range(3):
        await settle_many(ledger, acme, f"before{outage}-", 150)
        await clock.later(1_200)
        for second in range(20):
            await settle_many(ledger, acme, f"after{outage}-{second}-", 10)
            await clock.later(1)
        counted = (await ledger.read(acme))[0].used
        await settle_many(ledger, acme, f"before{outage}-", 150)
        assert (await ledger.read(acme))[0].used == counted, "told again, and counted once"
    for second in range(300):
        await clock.later(1)
        await ledger.settle(acme, f"later{second}", [1])
    finished = wire.ledger_keys(TenantName("acme")).finished
    assert await redis.zcard(finished) < 700, "nothing is remembered for ever"


async def test_asking_for_nothing_always_fits(ledger: RedisLedger) -> None:
    acme = tenant(limit(10))
    await ledger.settle(acme, "a", [500])
    assert await ledger.hold(acme, "b", [0]) is None
    assert await ledger.hold(acme, "c", [1]) is not None
    await ledger.settle(acme, "b", [0])


async def test_amounts_stay_exact_up_to_the_largest_budget(ledger: RedisLedger, redis: Redis) -> None:
    most = 9_000_000 * 10**9
    acme = tenant(limit(most))
    assert await ledger.hold(acme, "a", [most - 1]) is None
    await ledger.settle(acme, "a", [most - 1])
    assert await ledger.hold(acme, "b", [2]) is not None
    assert await ledger.hold(acme, "b", [1]) is None
    assert int(await redis.hget("tollway:1:{ledger}:holds", "=acme:one:Tokens") or 0) == 1


async def test_a_hold_whose_pod_is_gone_comes_back_by_itself(
    ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_ledger, "HOLD_LIFE_MS", 150)
    acme = tenant(limit(100))
    assert await ledger.hold(acme, "gone", [100]) is None
    assert await ledger.hold(acme, "a", [1]) is not None
    await asyncio.sleep(0.2)
    assert await ledger.hold(acme, "a", [100]) is None


async def test_a_hold_whose_request_still_runs_is_kept(
    ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_ledger, "HOLD_LIFE_MS", 300)
    monkeypatch.setattr(redis_ledger, "KEEP_EVERY_S", 0.1)
    acme = tenant(limit(100))
    async with running(ledger.keep_holds()):
        assert await ledger.hold(acme, "long", [100]) is None
        await asyncio.sleep(0.8)
        assert await ledger.hold(acme, "a", [1]) is not None


async def test_a_hold_whose_caller_left_while_it_was_made_is_freed_at_once(redis: Redis) -> None:
    acme = tenant(limit(100))
    budgets = budgets_on(RedisLedger(redis, 2.0))

    async def begin() -> Slice:
        return Slice(Counted(100, 100))

    need = Need(Usage(100, 0), begin)
    holding = asyncio.create_task(budgets.hold("left", acme, FREE_OF_CHARGE, need))
    await asyncio.sleep(0)  # it is on its way to Redis
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    await budgets.hold("next", acme, FREE_OF_CHARGE, need)


async def test_who_waits_for_others_holds_begins_by_no_limit_that_has_been_edited_meanwhile(
    redis: Redis,
) -> None:
    acme, ledger = tenant(limit(100)), RedisLedger(redis, 30.0)
    budgets = budgets_on(ledger)
    budgets.follow(Snapshot("default", tenants={acme.name: acme}))
    assert await ledger.hold(acme, "another", [95]) is None
    waiting = asyncio.create_task(budgets.hold("waits", acme, FREE_OF_CHARGE, need(10, 50, 60.0)))
    await until(lambda: bool(budgets._queues._queues))
    lowered = tenant(limit(20))
    budgets.follow(Snapshot("default", tenants={acme.name: lowered}))
    with pytest.raises(Refusal, match="was changed"):
        await waiting
    assert await ledger.read(lowered) == [(0, 95)], "though what it waited for is still held"


async def test_who_waits_goes_on_where_nothing_is_edited_but_what_is_said(redis: Redis) -> None:
    """Of a budget of its own, and of one that it shares."""
    team = shared("default/team", limit(100, "team"))
    acme, ledger = tenant(limit(100)), RedisLedger(redis, 30.0)
    acme = replace(acme, shared=(team.id,))
    counted, budgets = sharing(acme, team), budgets_on(ledger)

    def follow(one: Tenant, other: SharedBudget) -> None:
        budgets.follow(Snapshot("default", tenants={one.name: one}, shared={other.id: other}))

    follow(acme, team)
    assert await ledger.hold(counted, "another", [95, 95]) is None
    waiting = asyncio.create_task(budgets.hold("waits", counted, FREE_OF_CHARGE, need(10, 50, 60.0)))
    await until(lambda: bool(budgets._queues._queues))
    said = replace(team.on_exceeded, message="ask Ada")
    other = replace(team, alert_threshold_percent=50, on_exceeded=said)
    follow(replace(acme, alert_threshold_percent=50, on_exceeded=said), other)
    await ledger.release(counted, "another")
    assert (await waiting).standing
    follow(acme, replace(other, limits=(limit(20, "team"),)))
    with pytest.raises(Refusal, match="was changed"):
        await budgets.hold("late", counted, FREE_OF_CHARGE, need(50, 50, 60.0))


class Exploding:
    """An upstream with a mistake in it."""

    async def complete(self, _: UpstreamCall) -> Completion:
        raise TypeError("nobody foresaw this")

    def stream(self, call: UpstreamCall) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        raise NotImplementedError(call)


async def test_no_hold_stands_for_a_mistake_of_ours(redis: Redis) -> None:
    limits = [{"name": "requests", "unit": "Requests", "amount": "1"}]
    snapshot = compiled(Setup("http://a/v1", "http://b/v1", acme={"limits": limits}).objects())
    acme = next(each for each in snapshot.tenants.values() if each.name == "acme")
    budgets = budgets_on(RedisLedger(redis, 2.0))
    dispatch = Dispatch({Protocol.OPENAI: Exploding()}, budgets, TiktokenTokenizers(), lone_health())
    for number in range(3):  # a request that failed is not counted, so the limit of one is never met
        request = ChatRequest(f"r{number}", "auto", [{"role": "user", "content": "x"}])
        job = Job(
            request, acme, snapshot.policies[0], ModelName("cheap"), Record(f"r{number}", "chat"), frozenset()
        )
        with pytest.raises(TypeError):
            await dispatch.call(job)


class Answering(Exploding):
    async def complete(self, _: UpstreamCall) -> Completion:
        return Completion(b"{}", Usage(10, 20), complete=True)


async def test_a_caller_who_leaves_while_an_answer_is_settled_pays_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = compiled(Setup("http://a/v1", "http://b/v1").objects())
    (acme,) = [
        replace(each, limits=(limit(1_000_000),)) for each in snapshot.tenants.values() if each.name == "acme"
    ]
    ledger, settles, settled = RedisLedger(redis, 2.0), asyncio.Event(), asyncio.Event()
    told = ledger.settle

    async def slowly(*asked: Any) -> None:
        settles.set()
        await settled.wait()
        await told(*asked)

    monkeypatch.setattr(ledger, "settle", slowly)
    dispatch = Dispatch(
        {Protocol.OPENAI: Answering()}, budgets_on(ledger), TiktokenTokenizers(), lone_health()
    )
    request, record = ChatRequest("r", "auto", [{"role": "user", "content": "x"}]), Record("r", "chat")
    job = Job(request, acme, snapshot.policies[0], ModelName("cheap"), record, frozenset())
    asking = asyncio.create_task(dispatch.call(job))
    await settles.wait()
    asking.cancel()
    settled.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: not ledger.owed())
    price = snapshot.policies[0].models[ModelName("cheap")].price
    assert record.cost_nano == (10 * price.input + 20 * price.output) // 1_000
    assert [each.outcome for each in record.attempts] == ["ok"]
    await asyncio.sleep(0.1)
    assert await ledger.read(acme) == [(30, 0)]


async def test_a_connection_that_has_ended_meanwhile_costs_nobody_his_answer(
    ledger: RedisLedger, redis: Redis
) -> None:
    acme = tenant(limit(100))
    for number in range(3):
        assert await ledger.hold(acme, f"a{number}", [10]) is None
        await ledger.settle(acme, f"a{number}", [5])
        own = await redis.client_id()
        await redis.client_kill_filter(skipme=True)
        while any(int(each["id"]) != own for each in await redis.client_list()):
            pass
        assert await redis.ping()  # the end of the other connection came before this reply
    assert await ledger.read(acme) == [(15, 0)]


async def test_spending_is_counted_although_its_hold_is_gone(
    ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_ledger, "HOLD_LIFE_MS", 20)
    acme = tenant(limit(100))
    assert await ledger.hold(acme, "a", [100]) is None
    await asyncio.sleep(0.05)
    await ledger.settle(acme, "a", [70])
    denied = await ledger.hold(acme, "b", [31])
    assert denied is not None
    assert (denied.used, denied.held) == (70, 0)


async def test_a_rolling_window_forgets_only_what_has_left_it(ledger: RedisLedger) -> None:
    acme = tenant(limit(100, window=Rolling(2_000)))
    assert await ledger.hold(acme, "a", [100]) is None
    await ledger.settle(acme, "a", [100])
    denied = await ledger.hold(acme, "b", [1])
    assert denied is not None
    assert 1 <= denied.retry_after_s <= 3
    await asyncio.sleep(1.0)
    assert await ledger.hold(acme, "b", [1]) is not None, "half the window has passed"
    await asyncio.sleep(denied.retry_after_s - 1.0 + 0.1)
    assert await ledger.hold(acme, "b", [1]) is None, "as the refusal said"


async def test_in_another_time_zone_what_was_used_counts_where_its_day_began_within_the_new_one(
    redis: Redis, clock: LedgerClock
) -> None:
    def day(zone: str) -> Tenant:
        return tenant(limit(100, window=Calendar(CalendarPeriod.DAY, zone)))

    async def used(zone: str) -> int:
        return (await ledger.read(day(zone)))[0].used

    ledger = RedisLedger(redis, 5.0)
    await clock.set(int(datetime(2027, 1, 15, 12, tzinfo=UTC).timestamp() * 1_000))
    await ledger.settle(day("Europe/Berlin"), "a", [50])
    assert await used("Asia/Tokyo") == 50, "there the day began before Berlin's did"
    assert await used("UTC") == 0, "an hour later"
    await ledger.settle(day("UTC"), "b", [7])
    assert await used("Europe/Berlin") == 57, "nothing is forgotten when it is taken back"
    await clock.later(11 * 3_600)
    assert await used("Europe/Berlin") == 0
    assert await used("UTC") == 7
    await clock.later(3_600)
    assert await used("UTC") == 0


async def test_a_hold_of_which_nobody_heard_is_freed_when_the_ledger_is_back(
    fault_redis: EmbeddedRedis,
) -> None:
    client = connect(fault_redis.url, 0.5)
    ledger = RedisLedger(client, 0.5)
    acme = tenant(limit(100))
    assert await ledger.hold(acme, "a", [0]) is None  # so that the script is known there
    fault_redis.pause()
    with pytest.raises(LedgerFault):
        await ledger.hold(acme, "b", [100])
    fault_redis.resume()
    await ledger.finish_pending()
    assert await ledger.hold(acme, "d", [100]) is None
    await client.aclose()


async def test_what_is_too_much_for_one_round_trip_is_told_in_smaller_ones(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, ledger, at_most = tenant(limit(1_000)), RedisLedger(redis, 5.0), 0
    exchange = ledger._script._exchange

    async def slow(commands: Sequence[bytes]) -> Sequence[object]:
        if len(commands) > at_most:
            raise TimeoutError
        return await exchange(commands)

    monkeypatch.setattr(ledger._script, "_exchange", slow)
    await asyncio.gather(
        *(ledger.settle(acme, f"r{number}", [1]) for number in range(40)), return_exceptions=True
    )
    at_most = 5
    for _ in range(10):
        with suppress(LedgerFault):
            await ledger.finish_pending()
    assert not ledger.owed()
    assert await ledger.read(acme) == [(40, 0)]


async def test_of_more_than_can_be_remembered_the_oldest_is_given_up_and_said(
    fault_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_ledger, "_MOST_PENDING", 3)
    client, given_up = connect(fault_redis.url, 0.5), list[Tenant]()
    ledger = RedisLedger(client, 0.5, uncounted=given_up.append)
    acme = tenant(limit(1_000))
    fault_redis.kill()
    with pytest.raises(LedgerFault):
        await ledger.release(acme, "nothing was used")
    for number in range(5):
        with pytest.raises(LedgerFault):
            await ledger.settle(acme, f"r{number}", [10**number])
    assert given_up == [acme, acme]
    fault_redis.start()
    await ledger.finish_pending()
    assert await ledger.read(acme) == [(11_100, 0)]
    await client.aclose()


async def test_a_damaged_account_keeps_no_other_from_being_settled(fault_redis: EmbeddedRedis) -> None:
    client = connect(fault_redis.url, 0.5)
    ledger = RedisLedger(client, 0.5)
    acme = tenant(limit(100))
    beta = replace(acme, name=TenantName("beta"))
    fault_redis.pause()
    for each in (acme, beta):
        with pytest.raises(LedgerFault):
            await ledger.settle(each, "a", [60])
    fault_redis.resume()
    spent = wire.ledger_keys(acme.name).spent
    await client.delete(spent)
    await client.set(spent, "damaged")
    with pytest.raises(LedgerFault):
        await ledger.finish_pending()
    denied = await ledger.hold(beta, "b", [41])
    assert denied is not None
    assert denied.used >= 60
    await client.aclose()


async def test_a_settlement_that_the_ledger_did_not_take_is_made_up_for(fault_redis: EmbeddedRedis) -> None:
    client = connect(fault_redis.url, 0.5)
    ledger = RedisLedger(client, 0.5)
    acme = tenant(limit(100))
    assert await ledger.hold(acme, "a", [60]) is None
    fault_redis.pause()
    with pytest.raises(LedgerFault):
        await ledger.settle(acme, "a", [50])
    fault_redis.resume()
    await ledger.aclose()
    denied = await ledger.hold(acme, "b", [51])
    assert denied is not None
    assert denied.used == 50, "once, whether or not the paused server got the first attempt"
    await client.aclose()
