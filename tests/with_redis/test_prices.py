"""What providers bill at other prices, and what the cache itself costs: counted exactly, in the tenant's budget, and
shown apart.
"""

import json
from collections.abc import AsyncIterator, Mapping

import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.conftest import Start
from tests.dataplanes import Running, Setup, secret, until
from tests.servers import Provider, provider, served
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_cli.simulator.answers import count_tokens

ACME = (("tenant", "acme"),)
PASSWORD, PARAPHRASE = "How do I reset my password?", "How can I reset my password?"
MONEY = {"limits": [{"name": "money", "amount": "5.00"}]}
USAGE = {
    "prompt_tokens": 2_006,
    "completion_tokens": 300,
    "total_tokens": 2_306,
    "prompt_tokens_details": {"cached_tokens": 1_920},
    "completion_tokens_details": {"reasoning_tokens": 256},
}


def replying(usage: Mapping[str, object], **more: object) -> Starlette:
    """An OpenAI-shaped provider that always says the same."""

    async def chat(request: Request) -> Response:
        head = {"id": "x", "created": 1, "model": "m", **more}
        if not json.loads(await request.body()).get("stream"):
            message = {"role": "assistant", "content": "A narrow inlet."}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

        async def events() -> AsyncIterator[str]:
            delta = {"index": 0, "delta": {"content": "A narrow inlet."}, "finish_reason": "stop"}
            yield f"data: {json.dumps({**head, 'choices': [delta]})}\n\n"
            yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


async def spent(ledger: EmbeddedRedis) -> int:
    """By acme, in nano-USD."""
    async with Redis.from_url(ledger.url) as redis:
        return sum(map(int, (await redis.hgetall(wire.ledger_keys("acme").spent)).values()))


async def logged(gateway: Running, operation: str = "chat") -> dict[str, object]:
    """What the log says of the last such request."""

    def requests() -> list[dict[str, object]]:
        return [each for each in gateway.log_lines() if each.get("operation") == operation]

    await until(lambda: bool(requests()))
    return requests()[-1]


# gpt-5-mini's, in nano-USD a thousand tokens: input, read from the cache, output.
USUAL, FLEX = (250, 25, 2_000), (125, 12.5, 1_000)


@pytest.mark.parametrize(("tier", "prices"), [("default", USUAL), ("flex", FLEX)])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_provider_says_it_bills_apart_is_counted_so(
    start: Start,
    setup: Setup,
    ledger_redis: EmbeddedRedis,
    tier: str,
    prices: tuple[float, float, float],
    stream: bool,
) -> None:
    with served(replying(USAGE, service_tier=tier)) as url:
        model = {"model": "openai/gpt-5-mini", "endpoint": f"{url}/v1"}
        gateway = await start(setup.but(cheap_model=model, acme=MONEY))
        await gateway.ask("What is a fjord?", stream=stream)
    input_, cached, output = prices
    nano = -int(-(86 * input_ + 1_920 * cached + 300 * output) // 1)
    assert await spent(ledger_redis) == nano
    assert (await gateway.metrics())["ai_cost_per_tenant"][ACME] == nano / 1e9
    line = await logged(gateway)
    assert (line["cached_tokens"], line["reasoning_tokens"]) == (1_920, 256)
    assert line["service_tier"] == ("" if tier == "default" else tier)
    assert float(str(line["cost_usd"])) == nano / 1e9
    assert float(str(line["held_usd"])) >= nano / 1e9


async def test_a_dearer_tier_that_is_asked_for_is_held_at_its_price(start: Start, setup: Setup) -> None:
    with served(replying(USAGE, service_tier="priority")) as url:
        model = {"model": "openai/gpt-5-mini", "endpoint": f"{url}/v1"}
        gateway = await start(setup.but(cheap_model=model, acme=MONEY))
        await gateway.ask("What is a fjord?", max_tokens=1_000)
        usual = float(str((await logged(gateway))["held_usd"]))
        await gateway.ask("What is a delta?", max_tokens=1_000, service_tier="priority")
        await until(lambda: sum(each.get("operation") == "chat" for each in gateway.log_lines()) == 2)
        assert float(str((await logged(gateway))["held_usd"])) > 1.7 * usual


async def test_prices_of_ones_own_are_for_each_kind_of_token(
    start: Start, setup: Setup, ledger_redis: EmbeddedRedis
) -> None:
    pricing = {"input": "1", "output": "10", "cachedInput": "0.1", "reasoning": "3"}
    with served(replying(USAGE)) as url:
        model = {"model": "openai/mine", "endpoint": f"{url}/v1", "pricing": pricing}
        gateway = await start(setup.but(cheap_model=model, acme=MONEY))
        await gateway.ask("What is a fjord?", model="cheap")
    assert await spent(ledger_redis) == 86 * 1_000 + 1_920 * 100 + 44 * 10_000 + 256 * 3_000


async def messages(_: Request) -> Response:
    """Anthropic's words for what was written to its cache and read from it."""
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 600,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    }
    content = [{"type": "text", "text": "A narrow inlet."}]
    head = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_sequence": None}
    return JSONResponse({**head, "content": content, "stop_reason": "end_turn", "usage": usage})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning")
async def test_anthropics_cache_of_prompts_is_billed_through_litellm(
    start: Start, setup: Setup, ledger_redis: EmbeddedRedis
) -> None:
    with served(Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])) as url:
        ref = {"name": "provider"}
        model = {"model": "anthropic/claude-sonnet-4-5", "endpoint": url, "credentialsRef": ref}
        gateway = await start(
            setup.but(cheap_model=model, acme=MONEY, others=(secret("provider", "sk-ant-test"),))
        )
        reply = await gateway.ask("What is a fjord?", model="cheap", max_tokens=100)
    assert reply.status == 200, reply.body
    assert await spent(ledger_redis) == (100 * 3_000 + 600 * 300 + 100 * 3_750 + 200 * 6_000 + 10 * 15_000)


FJORD = "What is a fjord?"


def elsewhere(endpoint: str, price: str = "20") -> dict[str, object]:
    """An index whose embedding costs so many USD per million tokens."""
    given = {"model": "m", "dimensions": 256, "endpoint": endpoint, "pricing": {"input": price}}
    return {"embedding": {"provider": "OpenAICompatible", **given}}


async def test_an_embedding_that_costs_money_is_its_tenants_and_a_hit_costs_only_that(
    start: Start, setup: Setup, rich: Provider, ledger_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup.but(index=elsewhere(rich.endpoint), acme=MONEY))
    live = await gateway.ask(PASSWORD)
    usage = live.json["usage"]
    assert isinstance(usage, dict)
    embedding = count_tokens("m", PASSWORD) * 20_000
    answer = usage["prompt_tokens"] * 150 + usage["completion_tokens"] * 600
    assert await spent(ledger_redis) == embedding + answer
    assert float(live.headers["x-tollway-cost-usd"]) == (embedding + answer) / 1e9
    await gateway.stored()
    exact = await gateway.ask(PASSWORD)
    assert (exact.source, exact.headers["x-tollway-cost-usd"]) == ("exact", "0")
    assert float(exact.headers["x-tollway-saved-usd"]) == answer / 1e9
    await gateway.ask(FJORD, max_tokens=1)
    metrics = await gateway.metrics()
    total = await spent(ledger_redis)
    assert metrics["ai_cost_per_tenant"][ACME] == total / 1e9
    overhead = metrics["ai_cost_overhead_usd_total"][(("purpose", "Embedding"), ("tenant", "acme"))]
    another = count_tokens("m", FJORD) * 20_000
    assert overhead == (embedding + another) / 1e9

    def chats() -> list[dict[str, object]]:
        return [each for each in gateway.log_lines() if each.get("operation") == "chat"]

    await until(lambda: len(chats()) == 3)
    assert float(str(chats()[-1]["embedding_usd"])) == another / 1e9


async def test_what_a_budget_cannot_pay_is_not_embedded_and_the_very_same_prompt_still_found(
    start: Start, setup: Setup, rich: Provider
) -> None:
    gateway = await start(setup.but(index=elsewhere(rich.endpoint), acme=MONEY))
    await gateway.ask(PASSWORD)
    await gateway.stored()
    await gateway.swap(
        setup.but(index=elsewhere(rich.endpoint), acme={"limits": [{"name": "money", "amount": "0.0001"}]})
    )
    before = rich.total
    assert (await gateway.ask(PASSWORD)).source == "exact"
    refused = await gateway.ask(PARAPHRASE)
    assert (refused.status, refused.headers["x-tollway-cache-reason"]) == (429, "EmbeddingUnpaid")
    assert rich.total == before


async def test_an_embedding_counts_against_money_alone(start: Start, setup: Setup, rich: Provider) -> None:
    limits = [{"name": "few", "unit": "Requests", "amount": "2"}, {"name": "money", "amount": "5.00"}]
    gateway = await start(setup.but(index=elsewhere(rich.endpoint), acme={"limits": limits}))
    assert [(await gateway.ask(f"Question {number}?")).status for number in range(3)] == [200, 200, 429]


async def test_an_endpoint_that_fails_costs_nothing_and_one_that_hangs_is_paid_by_estimate(
    start: Start, setup: Setup, ledger_redis: EmbeddedRedis
) -> None:
    with provider("broken") as broken:
        broken.fail("server-error")
        gateway = await start(setup.but(index=elsewhere(broken.endpoint), acme=MONEY))
        reply = await gateway.ask(PASSWORD)
        assert reply.headers["x-tollway-cache-reason"] == "EmbedderUnavailable"
        (line,) = [each for each in gateway.log_lines() if each.get("operation") == "chat"] or [
            await logged(gateway)
        ]
        assert line["embedding_usd"] == "0"
    async with Redis.from_url(ledger_redis.url) as redis:
        holds = await redis.hkeys(wire.ledger_keys("acme").holds)
    assert [each for each in holds if b".embedding" in each] == []


async def test_a_judged_hit_is_paid_by_its_tenant_and_shown_apart(
    start: Start, setup: Setup, ledger_redis: EmbeddedRedis
) -> None:
    accuracy = {"maxErrorRate": "5%", "sampleRate": "100%", "onBreach": "Tighten"}
    index = {"accuracy": {**accuracy, "judge": {"type": "Embedding"}}}
    gateway = await start(setup.but(index=index, acme=MONEY))
    await gateway.ask(PASSWORD)
    await gateway.stored()
    assert (await gateway.ask(PARAPHRASE)).source == "semantic"
    judged = await logged(gateway, "judging")
    metrics = await gateway.metrics()
    overhead = metrics["ai_cost_overhead_usd_total"][(("purpose", "Judging"), ("tenant", "acme"))]
    assert float(str(judged["cost_usd"])) == overhead > 0
    assert metrics["ai_cost_per_tenant"][ACME] == await spent(ledger_redis) / 1e9
    requests = metrics["ai_requests_total"]
    assert requests == {
        (("source", "live"), ("tenant", "acme")): 1,
        (("source", "semantic"), ("tenant", "acme")): 1,
    }, "nobody asked for what was judged"


async def test_what_routing_saves_is_what_the_complex_model_would_have_cost_more(
    start: Start, setup: Setup
) -> None:
    gateway = await start(setup)
    reply = await gateway.ask("What is a fjord?")
    usage = reply.json["usage"]
    assert isinstance(usage, dict)
    # gpt-4o instead of gpt-4o-mini.
    nano = usage["prompt_tokens"] * (2_500 - 150) + usage["completion_tokens"] * (10_000 - 600)
    await gateway.ask("Please compare and analyze both of them, and explain why")
    await gateway.ask("What is a delta?", model="cheap")
    saved = (await gateway.metrics())["ai_cost_saved_by_routing_usd_total"]
    assert saved == {ACME: nano / 1e9}
