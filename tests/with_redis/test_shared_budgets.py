"""Budgets that several tenants share, at the surface: the cap is one for all of them, at any number of pods."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Reply, Setup, manifest, secret
from tests.servers import Provider
from tollway_api.inventory import RawObject
from tollway_cli.embedded_redis import EmbeddedRedis

GAMMA_KEY = "gamma-test-key"
KEYS = (ACME_KEY, BETA_KEY, GAMMA_KEY)
TEAM = (("limit", "default/team/all"), ("tenant", ""))


def limit(name: str, amount: str, unit: str = "USD") -> dict[str, object]:
    return {"name": name, "unit": unit, "amount": amount, "window": {"calendar": "Month"}}


def team(*limits: Mapping[str, object], **more: object) -> RawObject:
    return manifest("TenantBudget", "team", {"scope": "Namespace", "limits": limits, **more})


def gamma(**spec: object) -> tuple[RawObject, ...]:
    budget = manifest("TenantBudget", "gamma", {"apiKeys": [{"secretRef": {"name": "gamma"}}], **spec})
    return budget, secret("gamma", GAMMA_KEY)


async def recorded(ledger: EmbeddedRedis, account: str) -> list[int]:
    async with Redis.from_url(ledger.url) as redis:
        return sorted(map(int, (await redis.hgetall(f"tollway:1:{{ledger}}:spent:{account}")).values()))


def counted(replies: list[Reply]) -> Counter[tuple[int, str]]:
    return Counter((each.status, each.headers.get("x-tollway-limit", "")) for each in replies)


async def test_fifty_at_once_of_three_tenants_at_two_pods_never_exceed_what_they_share(
    start: Start, setup: Setup, ledger_redis: EmbeddedRedis
) -> None:
    roomy = {"limits": [limit("own", "100", "Requests")]}
    setup = setup.but(acme=roomy, beta=roomy, others=(*gamma(), team(limit("all", "20", "Requests"))))
    pods = [await start(setup), await start(setup)]
    asked = [pods[n % 2].ask(f"question {n}", KEYS[n % 3], n=2) for n in range(50)]
    replies = await asyncio.gather(*asked)
    assert counted(replies) == {(200, ""): 20, (429, "default/team/all"): 30}
    assert await recorded(ledger_redis, "default/team") == [20]
    own = [sum(await recorded(ledger_redis, each)) for each in ("acme", "beta")]
    assert sum(own) <= 20, "what the team has no room for is not held of the tenant's own either"
    async with Redis.from_url(ledger_redis.url) as redis:
        assert await redis.exists("tollway:1:{ledger}:holds") == 0


async def test_money_that_is_shared_is_spent_by_all_and_never_more_of_it(
    start: Start, setup: Setup, ledger_redis: EmbeddedRedis
) -> None:
    setup = setup.but(others=(*gamma(), team(limit("all", "0.001"))))
    pods = [await start(setup), await start(setup)]
    replies: list[Reply] = []
    for _ in range(5):
        asked = [pods[n % 2].ask(f"{len(replies) + n}?", KEYS[n % 3], n=2) for n in range(10)]
        replies += await asyncio.gather(*asked)
    (spent,) = await recorded(ledger_redis, "default/team")
    costs = [float(each.headers.get("x-tollway-cost-usd", 0)) for each in replies]
    assert round(sum(costs) * 1e9) == spent
    # What a provider so fast has written beyond what was held before it is stopped.
    overshot = [(await pod.metrics()).get("ai_budget_overshoot_usd", {}).values() for pod in pods]
    assert spent <= 1_000_000 + round(sum(map(sum, overshot)) * 1e9)
    assert {each.headers["x-tollway-budget-tight"] for each in replies if each.status == 200} == {
        "default/team/all"
    }


async def test_a_shared_budget_refuses_in_its_own_words_and_is_measured_once(
    start: Start, setup: Setup
) -> None:
    shared = team(limit("all", "2", "Requests"), onExceeded={"message": "Ask your team lead."})
    gateway = await start(setup.but(others=(*gamma(), shared)))
    assert [(await gateway.ask("one", key)).status for key in (ACME_KEY, BETA_KEY)] == [200, 200]
    reply = await gateway.ask("two", GAMMA_KEY)
    assert (reply.status, reply.headers["x-tollway-limit"]) == (429, "default/team/all")
    assert reply.error["message"] == "Ask your team lead. (limit 'default/team/all': 0 of 2 requests left)"
    assert (await gateway.metrics())["ai_budget_utilization_ratio"] == {TEAM: 1.0}


@pytest.mark.parametrize(("of_team", "of_all", "refuses"), [("2", "9", "team"), ("9", "2", "everybody")])
async def test_a_request_counts_in_every_budget_that_covers_its_tenant(
    start: Start, setup: Setup, of_team: str, of_all: str, refuses: str
) -> None:
    spec = {"scope": "Installation", "limits": [limit("all", of_all, "Requests")]}
    everybody = manifest("TenantBudget", "everybody", spec)
    gateway = await start(setup.but(others=(team(limit("all", of_team, "Requests")), everybody)))
    replies = [await gateway.ask(f"{number}?") for number in range(3)]
    assert counted(replies) == {(200, ""): 2, (429, f"default/{refuses}/all"): 1}


async def test_a_limit_of_nothing_refuses_in_the_budgets_own_words(start: Start, setup: Setup) -> None:
    nothing = {"limits": [limit("own", "0", "Requests")], "onExceeded": {"message": "Not in this month."}}
    gateway = await start(setup.but(acme=nothing))
    assert (await gateway.ask("one")).error["message"].startswith("Not in this month.")


async def test_labels_say_who_shares_and_one_that_leaves_is_held_no_more(start: Start, setup: Setup) -> None:
    def with_label(stage: str) -> Setup:
        selected = team(limit("all", "1", "Requests"), selector={"matchLabels": {"stage": "trial"}})
        labelled, key = gamma()
        labelled = {**labelled, "metadata": {"name": "gamma", "labels": {"stage": stage}}}
        trial = manifest("TenantBudget", "trial", {"apiKeys": [{"secretRef": {"name": "trial"}}]})
        trial = {**trial, "metadata": {"name": "trial", "labels": {"stage": "trial"}}}
        return setup.but(others=(labelled, key, trial, secret("trial", "trial-key"), selected))

    gateway = await start(with_label("trial"))
    assert (await gateway.ask("one", GAMMA_KEY)).status == 200
    assert (await gateway.ask("two", GAMMA_KEY)).status == 429
    assert (await gateway.ask("two", ACME_KEY)).status == 200
    await gateway.swap(with_label("paid"))
    assert (await gateway.ask("three", GAMMA_KEY)).status == 200
    assert (await gateway.ask("three?", "trial-key")).status == 429, "what was used stays used"


async def test_a_tenants_own_rule_does_not_get_it_past_what_it_shares(
    start: Start, setup: Setup, rich: Provider
) -> None:
    """Degraded requests count in no limit of the budget that has sent them on, but in all others."""
    acme = {"limits": [limit("none", "0", "Requests")], "onExceeded": {"action": "Degrade", "model": "free"}}
    free = {
        "name": "free",
        "model": "openai/free",
        "endpoint": setup.rich,
        "pricing": {"input": "0", "output": "0"},
    }
    cheap = {"name": "cheap", "model": "openai/gpt-4o-mini", "endpoint": setup.cheap}
    policy = {"models": [cheap, free], "route": {"simpleModel": "cheap"}}
    setup = setup.but(policy=policy, acme=acme, others=(team(limit("all", "2", "Requests")),))
    gateway = await start(setup)
    replies = [await gateway.ask(f"question {n}") for n in range(3)]
    assert [each.status for each in replies] == [200, 200, 429]
    assert replies[1].source == "degraded"
    assert replies[2].headers["x-tollway-limit"] == "default/team/all"
    assert rich.total == 2
    degrading = team(limit("all", "2", "Requests"), onExceeded={"action": "Degrade", "model": "free"})
    await gateway.swap(setup.but(others=(degrading,)))
    assert (await gateway.ask("question 4")).source == "degraded", "where both send it on, it goes on"
    assert (await gateway.ask("question 4", BETA_KEY)).source == "degraded"


async def test_the_strictest_word_for_a_ledger_that_is_away_holds(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis
) -> None:
    acme = {"limits": [limit("own", "100", "Requests")], "onLedgerUnavailable": "Allow"}
    strict = setup.but(acme=acme, others=(team(limit("all", "100", "Requests")),))
    gateway = await start(strict, ledger_url=fault_redis.url)
    assert (await gateway.ask("one")).status == 200
    fault_redis.pause()
    assert (await gateway.ask("two")).status == 503
    lenient = team(limit("all", "100", "Requests"), onLedgerUnavailable="Allow")
    await gateway.swap(strict.but(others=(lenient,)))
    assert (await gateway.ask("two")).status == 200
    assert (await gateway.ask("two, too", BETA_KEY)).status == 503, "it has no word of its own, and so denies"
    fault_redis.resume()
