"""Budgets at the surface: a cap that is a cap, polite refusals, and hits that are still served."""

import asyncio
import json

import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Setup
from tests.servers import Provider
from tollway_cli.embedded_redis import EmbeddedRedis

ACME = (("tenant", "acme"),)
NO_CACHE = {"cache-control": "no-store"}
# On two cores that do everything at once, a ledger may be late that is not away.
PATIENCE_S = 10.0


def limit(name: str, amount: str, unit: str = "USD", **window: str) -> dict[str, object]:
    return {"name": name, "unit": unit, "amount": amount, "window": window or {"calendar": "Month"}}


async def test_the_requests_of_a_window_are_counted_exactly(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(acme={"limits": [limit("few", "2", "Requests", rolling="1h")]}))
    statuses = [(await gateway.ask(f"question {n}")).status for n in range(4)]
    assert statuses == [200, 200, 429, 429]


async def test_a_refusal_is_polite_and_says_when_to_come_back(start: Start, setup: Setup) -> None:
    exceeded = {"message": "Please ask finance for more."}
    limits = [limit("few", "1", "Requests", rolling="1h")]
    gateway = await start(setup.but(acme={"limits": limits, "onExceeded": exceeded}))
    await gateway.ask("one")
    reply = await gateway.ask("two")
    assert reply.status == 429
    assert reply.error["code"] == "budget_exceeded"
    assert reply.error["type"] == "rate_limit_error"
    assert "Please ask finance for more." in reply.error["message"]
    assert reply.headers["x-tollway-limit"] == "few"
    assert 3_000 < int(reply.headers["retry-after"]) <= 3_660


async def test_hits_are_served_although_the_budget_is_spent_and_cost_nothing(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(acme={"limits": [limit("few", "1", "Requests")]}))
    await gateway.ask("How do I reset my password?")
    await gateway.stored()
    assert (await gateway.ask("What is a fjord?")).status == 429
    assert (await gateway.ask("How do I reset my password?")).source == "exact"
    assert (await gateway.ask("How can I reset my password?")).source == "semantic"
    assert cheap.total == 1


async def test_an_exhausted_tenant_can_be_degraded_to_a_free_model(
    start: Start, setup: Setup, rich: Provider
) -> None:
    free = {
        "name": "free",
        "model": "openai/free",
        "endpoint": setup.rich,
        "pricing": {"input": "0", "output": "0"},
    }
    cheap = {"name": "cheap", "model": "openai/gpt-4o-mini", "endpoint": setup.cheap}
    acme = {
        "limits": [limit("few", "1", "Requests"), limit("money", "5.00")],
        "onExceeded": {"action": "Degrade", "model": "free"},
    }
    gateway = await start(
        setup.but(policy={"models": [cheap, free], "route": {"simpleModel": "cheap"}}, acme=acme)
    )
    assert (await gateway.ask("one")).source == "live"
    reply = await gateway.ask("two")
    assert (reply.status, reply.source) == (200, "degraded")
    assert reply.headers["x-tollway-model"] == "free"
    assert reply.headers["x-tollway-cost-usd"] == "0"
    assert (await gateway.ask("two")).source == "degraded", "a degraded answer is not remembered"
    assert rich.total == 2


async def test_a_degraded_request_still_fits_the_money_or_is_refused(start: Start, setup: Setup) -> None:
    acme = {
        "limits": [limit("few", "1", "Requests"), limit("money", "0.0001")],
        "onExceeded": {"action": "Degrade", "model": "rich"},
    }
    gateway = await start(setup.but(acme=acme))
    assert (await gateway.ask("one")).status == 200
    reply = await gateway.ask("two")
    assert (reply.status, reply.headers["x-tollway-limit"]) == (429, "money")


async def test_a_model_that_costs_money_stands_in_only_where_money_is_counted(
    start: Start, setup: Setup, rich: Provider
) -> None:
    degrade = {"action": "Degrade", "model": "rich"}
    gateway = await start(setup.but(acme={"limits": [limit("few", "1", "Requests")], "onExceeded": degrade}))
    assert (await gateway.ask("one")).status == 200
    assert (await gateway.ask("two")).status == 429
    assert rich.total == 0


async def test_money_is_held_at_its_worst_and_settled_to_what_was_used(
    start: Start, setup: Setup, ledger_redis: EmbeddedRedis
) -> None:
    acme = {"limits": [limit("money", "5.00")], "onLedgerUnavailable": "Deny"}
    gateway = await start(setup.but(acme=acme))
    reply = await gateway.ask("one")
    usage = reply.json["usage"]
    assert isinstance(usage, dict)
    expected = usage["prompt_tokens"] * 150 + usage["completion_tokens"] * 600
    async with Redis.from_url(ledger_redis.url) as redis:
        spent = await redis.hgetall("tollway:1:{ledger}:spent:acme")
        assert [int(value) for value in spent.values()] == [expected]
        assert await redis.exists("tollway:1:{ledger}:holds", "tollway:1:{ledger}:expiry") == 0


async def test_a_request_that_no_budget_of_its_limit_could_pay_is_refused_before_it_is_sent(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(acme={"limits": [limit("money", "0.00002")]}))
    reply = await gateway.ask("word " * 200)
    assert reply.status == 429, "200 tokens cost 0.00003"
    assert "could take more than limit 'money' ever allows" in reply.error["message"]
    assert cheap.total == 0
    assert (await gateway.ask("one")).status == 200


async def test_tenants_do_not_share_a_budget(start: Start, setup: Setup) -> None:
    few = {"limits": [limit("few", "1", "Requests")]}
    gateway = await start(setup.but(acme=few, beta=few))
    assert (await gateway.ask("one", ACME_KEY)).status == 200
    assert (await gateway.ask("one", BETA_KEY)).status == 200
    assert (await gateway.ask("two", ACME_KEY)).status == 429


async def test_what_was_used_stays_used_when_a_limit_is_edited(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(acme={"limits": [limit("few", "2", "Requests")]}))
    assert (await gateway.ask("one")).status == 200
    await gateway.swap(setup.but(acme={"limits": [limit("few", "1", "Requests")]}))
    assert (await gateway.ask("two")).status == 429
    await gateway.swap(setup.but(acme={"limits": [limit("few", "3", "Requests")]}))
    assert (await gateway.ask("two")).status == 200


@pytest.mark.parametrize(("action", "status"), [("Deny", 503), ("Allow", 200)])
async def test_without_a_ledger_the_tenants_own_rule_holds(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis, action: str, status: int
) -> None:
    acme = {"limits": [limit("money", "5.00")], "onLedgerUnavailable": action}
    gateway = await start(setup.but(acme=acme), ledger_url=fault_redis.url)
    assert (await gateway.ask("one")).status == 200
    fault_redis.kill()
    reply = await gateway.ask("two")
    assert reply.status == status
    assert (await gateway.ask("one")).source == "exact", "hits need no ledger"
    assert (await gateway.ask("three", BETA_KEY)).status == 200, "tenants without limits need none either"


async def test_a_ledger_that_hangs_costs_no_more_than_its_deadline(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis
) -> None:
    acme = {"limits": [limit("money", "5.00")]}
    gateway = await start(setup.but(acme=acme), ledger_url=fault_redis.url)
    fault_redis.pause()
    async with asyncio.timeout(5):
        assert (await gateway.ask("one")).status == 503
    fault_redis.resume()
    assert (await gateway.ask("one")).status == 200


async def test_two_data_planes_never_overspend_one_limit_together(
    start: Start, setup: Setup, cheap: Provider, ledger_redis: EmbeddedRedis
) -> None:
    budget = setup.but(acme={"limits": [limit("fifty", "50", "Requests")]})
    pair = [await start(budget, ledger_deadline_s=PATIENCE_S) for _ in range(2)]

    async def ask(number: int) -> int:
        body = json.dumps({"messages": [{"role": "user", "content": f"question {number}"}]}).encode()
        reply = await pair[number % 2].post("/v1/chat/completions", body, headers=NO_CACHE)
        return reply.status

    statuses = await asyncio.gather(*map(ask, range(200)))
    assert sorted(statuses) == [200] * 50 + [429] * 150
    assert cheap.total == 50
    async with Redis.from_url(ledger_redis.url) as redis:
        spent = await redis.hgetall("tollway:1:{ledger}:spent:acme")
        assert [int(value) for value in spent.values()] == [50]


async def test_two_hundred_requests_at_once_never_spend_more_money_than_there_is(
    start: Start, setup: Setup, cheap: Provider, ledger_redis: EmbeddedRedis
) -> None:
    # Each may cost (200 × $0.6 + prompt's bytes × $0.15) per million; the limit fits ten of those.
    worst = 200 * 600 + 70 * 150
    amount = f"{10 * worst / 1e9:.9f}"
    budget = setup.but(acme={"limits": [limit("money", amount)]})
    pair = [await start(budget, ledger_deadline_s=PATIENCE_S) for _ in range(2)]

    async def ask(number: int) -> int:
        reply = await pair[number % 2].ask(f"question {number:03}", max_tokens=200)
        return reply.status

    statuses = await asyncio.gather(*map(ask, range(200)))
    assert set(statuses) == {200, 429}
    seen = cheap.seen()["tokens"]
    assert isinstance(seen, dict)
    used = seen["gpt-4o-mini"]
    overshot = sum(
        [(await each.metrics()).get("ai_budget_overshoot_usd", {}).get(ACME, 0.0) for each in pair]
    )
    # This provider writes a whole answer at once, also what is not paid for any more.
    assert used["prompt"] * 150 + used["completion"] * 600 <= 10 * worst + 1.001e9 * overshot
    async with Redis.from_url(ledger_redis.url) as redis:
        spent = sum(map(int, (await redis.hgetall("tollway:1:{ledger}:spent:acme")).values()))
    assert 9.5 * worst <= spent <= 10 * worst + 1.001e9 * overshot


async def test_two_data_planes_on_one_redis_share_hits(start: Start, setup: Setup, cheap: Provider) -> None:
    one, two = await start(setup), await start(setup)
    await one.ask("How do I reset my password?")
    await one.stored()
    assert (await two.ask("How do I reset my password?")).source == "exact"
    assert (await two.ask("How can I reset my password?")).source == "semantic"
    assert cheap.total == 1
