"""What happens when a provider fails: bounded attempts, and an honest end."""

import asyncio
import json
import time
from typing import Any

import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.conftest import Start
from tests.dataplanes import Running, Setup, until
from tests.servers import Provider, provider, served
from tollway_api import wire
from tollway_api.meta import TenantName
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_cli.simulator.answers import answer_for

PROMPT = "Which day comes after Monday?"


@pytest.mark.parametrize(
    ("fault", "trigger"),
    [
        ("rate-limit", "RateLimit"),
        ("server-error", "ServerError"),
        ("unavailable", "ServerError"),
        ("reset", "Connection"),
        ("cut", "Connection"),
        ("context-length", "ContextOverflow"),
        ("hollow", "ServerError"),
        ("bad-key", "ServerError"),
        ("forbidden", "ServerError"),
        ("no-credit", "ServerError"),
        ("no-model", "ServerError"),
        ("request-timeout", "Timeout"),
        ("conflict", "ServerError"),
        ("blank", "EmptyAnswer"),
    ],
)
async def test_the_next_model_answers_when_the_first_fails(
    gateway: Running, cheap: Provider, rich: Provider, fault: str, trigger: str
) -> None:
    cheap.fail(fault)
    reply = await gateway.ask(PROMPT)
    assert reply.status == 200
    assert reply.content == answer_for("rich", "gpt-4o", PROMPT)
    assert (reply.headers["x-tollway-model"], reply.headers["x-tollway-fallbacks"]) == ("rich", "1")
    assert (cheap.total, rich.total) == (1, 1)
    fallbacks = (await gateway.metrics())["ai_fallback_count_total"]
    assert fallbacks == {(("from", "cheap"), ("to", "rich"), ("trigger", trigger)): 1}


async def test_who_stood_in_for_a_model_that_was_asked_for_is_not_remembered_as_it(
    gateway: Running, rich: Provider
) -> None:
    rich.fail("server-error", times=1)
    stood_in = await gateway.ask(PROMPT, model="rich")
    assert stood_in.headers["x-tollway-model"] == "cheap"
    again = await gateway.ask(PROMPT, model="rich")
    assert (again.source, again.headers["x-tollway-model"]) == ("live", "rich")
    await gateway.stored()
    assert (await gateway.ask(PROMPT, model="rich")).source == "exact"


@pytest.mark.parametrize("fault", ["rate-limit", "server-error", "reset", "hollow", "blank", "unbegun"])
async def test_a_stream_falls_back_before_its_first_byte(
    gateway: Running, cheap: Provider, fault: str
) -> None:
    cheap.fail(fault)
    body = json.dumps({"messages": [{"role": "user", "content": PROMPT}], "stream": True}).encode()
    reply = await gateway.post("/v1/chat/completions", body)
    assert reply.headers["x-tollway-model"] == "rich"
    assert reply.body.endswith(b"[DONE]\n\n")
    assert reply.body.count(b'"role"') == 1, "nothing of the first model's has left"


async def test_a_provider_that_stalls_is_left_after_its_timeout(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(cheap_model={"timeout": "300ms"}))
    cheap.fail("stall")
    for stream in (False, True):
        reply = await gateway.ask(PROMPT, more={"seed": int(stream)}, stream=stream)
        assert reply.headers["x-tollway-model"] == "rich"
        assert reply.headers["x-tollway-failed-attempts"] == "cheap:Timeout"


async def test_a_provider_that_is_not_there_is_a_connection_fault(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(cheap="http://127.0.0.1:9/v1"))
    assert (await gateway.ask(PROMPT)).headers["x-tollway-model"] == "rich"


async def test_there_are_never_more_attempts_than_the_policy_allows(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    models = [
        {"name": f"m{n}", "model": "openai/gpt-4o-mini", "endpoint": url}
        for n, url in enumerate([cheap.endpoint, rich.endpoint] * 3)
    ]
    for most in (0, 1, 2):
        cheap.reset()
        rich.reset()
        cheap.fail("server-error")
        rich.fail("server-error")
        gateway = await start(setup.but(policy={"models": models, "fallback": {"maxFallbacks": most}}))
        reply = await gateway.ask(PROMPT)
        assert reply.status == 503
        assert cheap.total + rich.total == 1 + most


async def test_a_fallback_that_does_not_fit_the_budget_is_passed_over(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    free = {"input": "0", "output": "0"}
    models = [
        {"name": "cheap", "model": "openai/gpt-4o-mini", "endpoint": cheap.endpoint},
        {"name": "dear", "model": "openai/gpt-4o", "endpoint": rich.endpoint, "maxOutputTokens": 16_000},
        {"name": "free", "model": "openai/gpt-4o-mini", "endpoint": rich.endpoint, "pricing": free},
    ]
    limits = [{"name": "money", "amount": "0.0001"}]
    order = {"route": {"simpleModel": "cheap"}, "fallback": {"order": ["cheap", "dear", "free"]}}
    gateway = await start(setup.but(policy={"models": models, **order}, acme={"limits": limits}))
    cheap.fail("server-error")
    reply = await gateway.ask(PROMPT)
    assert (reply.status, reply.headers["x-tollway-model"]) == (200, "free")
    assert (cheap.total, rich.total) == (1, 1)
    # And where nothing else is left, it is the provider that has failed and not the budget.
    order = {"route": {"simpleModel": "cheap"}, "fallback": {"order": ["cheap", "dear"]}}
    degrade = {"action": "Degrade", "model": "cheap"}
    gateway = await start(
        setup.but(policy={"models": models, **order}, acme={"limits": limits, "onExceeded": degrade})
    )
    reply = await gateway.ask("Which day comes before Friday?")
    assert (reply.status, reply.error["code"]) == (503, "providers_unavailable")
    assert (cheap.total, rich.total) == (2, 1)


async def test_when_every_attempt_failed_the_caller_is_told_politely(
    gateway: Running, cheap: Provider, rich: Provider
) -> None:
    cheap.fail("rate-limit")
    rich.fail("server-error")
    reply = await gateway.ask(PROMPT)
    assert reply.status == 503
    assert reply.error["code"] == "providers_unavailable"
    assert "(cheap: RateLimit, rich: ServerError, cheap: RateLimit)" in reply.error["message"]
    failed = "cheap:RateLimit, rich:ServerError, cheap:RateLimit"
    assert reply.headers["x-tollway-failed-attempts"] == failed
    assert int(reply.headers["retry-after"]) >= 1


async def test_attempts_share_one_deadline(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    cheap.fail("stall")
    rich.fail("stall")
    gateway = await start(setup.but(policy={"fallback": {"deadline": "600ms"}}))
    started = time.monotonic()
    assert (await gateway.ask(PROMPT)).status == 503
    assert time.monotonic() - started < 5, "each attempt alone may take 60 seconds"


async def test_a_key_that_one_provider_refuses_is_seen_by_the_operator_and_costs_no_caller_an_answer(
    start: Start, setup: Setup, rich: Provider
) -> None:
    few = {"fallback": {"circuitBreaker": {"minRequests": 3, "openFor": "60s"}}}
    with provider("strict", require_key="right") as strict:
        gateway = await start(setup.but(cheap=strict.endpoint, policy=few))
        replies = [await gateway.ask(f"{PROMPT} {number}") for number in range(4)]
        assert [reply.status for reply in replies] == [200] * 4
        failed = [reply.headers["x-tollway-failed-attempts"] for reply in replies]
        assert failed == [*["cheap:ServerError"] * 3, "cheap:Open"]
        assert rich.total == 4
        metrics = await gateway.metrics()
        assert metrics["ai_upstream_errors_total"] == {(("kind", "401"), ("model", "cheap")): 3}
        labels = (
            *(("endpoint", strict.endpoint), ("model", "cheap")),
            *(("policy", "default/chat"), ("state", "Open")),
        )
        assert metrics["tollway_model_state"][labels] == 1


@pytest.mark.parametrize("fault", ["bad-key", "forbidden", "no-credit", "no-model"])
async def test_what_a_provider_says_of_our_account_is_not_for_the_caller(
    gateway: Running, cheap: Provider, rich: Provider, fault: str
) -> None:
    cheap.fail(fault)
    rich.fail(fault)
    reply = await gateway.ask(PROMPT)
    assert (reply.status, reply.error["code"]) == (502, "provider_refused")
    assert "tell whoever runs it" in reply.error["message"]
    assert b"SECRET" not in reply.body
    assert b"sk-" not in reply.body


async def test_what_a_provider_says_of_the_request_reaches_the_caller_without_our_key(
    gateway: Running, cheap: Provider, rich: Provider
) -> None:
    cheap.fail("bad-request")
    reply = await gateway.ask(PROMPT)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    expected = "the provider refused: The seed is not supported for [removed] with key [removed]."
    assert reply.error["message"].removesuffix(".") == expected.removesuffix(".")
    assert rich.total == 0


async def test_a_trigger_that_the_policy_leaves_out_is_not_fallen_back_on(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    cheap.fail("server-error")
    gateway = await start(setup.but(policy={"fallback": {"triggers": ["RateLimit"]}}))
    assert (await gateway.ask(PROMPT)).status == 503
    assert rich.total == 0


async def test_a_chat_too_long_for_every_model_is_cut_down_by_tokens(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    window = {"contextWindow": 400, "maxOutputTokens": 100}
    gateway = await start(setup.but(cheap_model=window, rich_model=window))
    cheap.fail(context_window=400)
    rich.fail(context_window=400)
    turns = [
        {"role": role, "content": f"{role} turn {n} " + "and more words " * 10}
        for n in range(20)
        for role in ("user", "assistant")
    ]
    system = {"role": "system", "content": "Be brief."}
    last = {"role": "user", "content": "What did I ask last?"}
    body = {"model": "auto", "messages": [system, *turns, last]}
    reply = await gateway.post("/v1/chat/completions", json.dumps(body).encode())
    assert reply.status == 200
    sent = rich.last_body()["messages"]
    assert isinstance(sent, list)
    dropped = 42 - len(sent)
    assert reply.headers["x-tollway-context-dropped"] == str(dropped)
    await until(lambda: bool(gateway.log_lines()))
    assert gateway.log_lines()[-1]["messages_dropped"] == dropped
    assert sent[0] == system
    assert sent[-1] == last
    assert sent[1:-1] == turns[-len(sent[1:-1]) :], "the newest turns stay"
    again = await gateway.post("/v1/chat/completions", json.dumps(body).encode())
    assert again.headers["x-tollway-source"] == "live", (
        "an answer to less than the question is not remembered"
    )


async def test_failed_requests_leave_no_hold_behind_and_cost_nothing(
    start: Start, setup: Setup, cheap: Provider, rich: Provider, ledger_redis: EmbeddedRedis
) -> None:
    limits = [{"name": "money", "amount": "1000.00"}]
    # Of which nothing is set aside, as would be once this has taken a second.
    gateway = await start(setup.but(acme={"limits": limits, "onLedgerUnavailable": "Deny"}))
    cheap.fail("server-error")
    rich.fail("rate-limit")
    replies = await asyncio.gather(*(gateway.ask(f"{PROMPT} {n}") for n in range(50)))
    assert {reply.status for reply in replies} == {503}
    keys = wire.ledger_keys(TenantName("acme"))
    async with Redis.from_url(ledger_redis.url) as redis:
        held: Any = await redis.zrange(keys.expiry, 0, -1)
        assert [each for each in held if not each.startswith(b"acme/lease.")] == []
        assert await redis.hgetall(keys.spent) == {}


async def test_a_healthy_stream_outlives_the_deadline_of_the_attempts(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    """The deadline is for the first byte; after it only a silent provider is given up."""
    with provider("slow", tokens_per_second=5.0) as slow:
        policy = {"fallback": {"deadline": "3s"}}
        model = {"timeout": "2400ms"}
        gateway = await start(
            setup.but(rich=slow.endpoint, policy=policy, cheap_model=model, rich_model=model)
        )
        cheap.fail("stall")
        stream = await gateway.acme.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": PROMPT}], stream=True
        )
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
        assert text == answer_for("slow", "gpt-4o", PROMPT)


def alone(setup: Setup, endpoint: str, **fallback: object) -> Setup:
    """A policy with nobody else to ask."""
    model = {"name": "only", "model": "openai/gpt-4o-mini", "endpoint": endpoint}
    return setup.but(policy={"models": [model], "fallback": fallback})


async def test_a_model_without_another_is_tried_again_when_it_says_when_to_come_back(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(alone(setup, cheap.endpoint))
    cheap.fail("rate-limit", times=1)
    reply = await gateway.ask(PROMPT)
    assert (reply.status, reply.headers["x-tollway-fallbacks"]) == (200, "1")
    assert cheap.total == 2
    fallbacks = (await gateway.metrics())["ai_fallback_count_total"]
    assert fallbacks == {(("from", "only"), ("to", "only"), ("trigger", "RateLimit")): 1}


@pytest.mark.parametrize("fault", ["server-error", "unavailable", "cut"])
async def test_where_nothing_says_that_it_helps_a_model_is_not_tried_again(
    start: Start, setup: Setup, cheap: Provider, fault: str
) -> None:
    gateway = await start(alone(setup, cheap.endpoint))
    cheap.fail(fault)
    assert (await gateway.ask(PROMPT)).status == 503
    assert cheap.total == 1


async def test_a_model_that_asks_for_more_time_than_there_is_is_not_waited_for(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(alone(setup, cheap.endpoint, deadline="2s"))
    cheap.fail("rate-limit")
    reply = await gateway.ask(PROMPT)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert cheap.total == 1


async def test_a_provider_that_cannot_be_reached_is_tried_as_often_as_the_policy_says(
    start: Start, setup: Setup
) -> None:
    gateway = await start(alone(setup, "http://127.0.0.1:9/v1", maxFallbacks=2))
    reply = await gateway.ask(PROMPT)
    assert (reply.status, reply.headers["x-tollway-fallbacks"]) == (503, "2")


async def test_no_attempt_eats_the_others_time(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    """The first model would take all of the deadline; half of it is left to the second."""
    with provider("slow", tokens_per_second=10.0) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint, policy={"fallback": {"deadline": "1s"}}))
        reply = await gateway.ask(PROMPT)
    assert (reply.status, reply.headers["x-tollway-model"]) == (200, "rich")


async def test_a_stream_that_begins_late_is_left_sooner_than_an_answer(
    start: Start, setup: Setup, rich: Provider
) -> None:
    with provider("slow", tokens_per_second=2.0) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint, cheap_model={"firstTokenTimeout": "200ms"}))
        reply = await gateway.ask(PROMPT, stream=True)
    assert reply.headers["x-tollway-model"] == "rich"
    assert reply.headers["x-tollway-failed-attempts"] == "cheap:Timeout"


JSON_MODE = {"response_format": {"type": "json_object"}}


async def test_where_json_was_demanded_an_answer_that_is_none_is_not_passed_on(
    start: Start, setup: Setup
) -> None:
    with served(saying('{"day": "Tuesday"}')) as url:
        gateway = await start(setup.but(rich=f"{url}/v1"))
        reply = await gateway.ask(PROMPT, more=JSON_MODE)
    assert (reply.headers["x-tollway-model"], reply.content) == ("rich", '{"day": "Tuesday"}')
    assert reply.headers["x-tollway-failed-attempts"] == "cheap:InvalidJSON"


async def test_the_last_answer_is_passed_on_whatever_it_is(
    gateway: Running, cheap: Provider, rich: Provider
) -> None:
    reply = await gateway.ask(PROMPT, more=JSON_MODE)
    assert (reply.status, reply.content) == (200, answer_for("rich", "gpt-4o", PROMPT))
    assert (cheap.total, rich.total) == (1, 1)


async def test_what_an_answer_cost_that_was_not_passed_on_is_settled(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    gateway = await start(setup.but(acme={"limits": [{"name": "money", "amount": "1000.00"}]}))
    reply = await gateway.ask(PROMPT, more=JSON_MODE)
    bill = 0
    for each, model in zip((cheap, rich), gateway.snapshot.policies[0].models.values(), strict=True):
        tokens = each.seen()["tokens"]
        assert isinstance(tokens, dict)
        used = tokens[model.upstream_id]
        bill += used["prompt"] * model.price.input + used["completion"] * model.price.output
    assert float(reply.headers["x-tollway-cost-usd"]) == pytest.approx(bill / 1e12, abs=1e-9)


@pytest.mark.parametrize("fault", ["filtered", "withheld"])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_provider_withholds_is_another_ones_business_only_where_the_policy_says_so(
    start: Start, setup: Setup, cheap: Provider, fault: str, *, stream: bool
) -> None:
    cheap.fail(fault)
    gateway = await start(setup)
    reply = await gateway.ask(PROMPT, stream=stream)
    if fault == "filtered":
        assert (reply.status, reply.error["code"]) == (400, "content_filter")
        assert "content management policy" in reply.error["message"]
    else:
        assert b"content_filter" in reply.body
        assert reply.headers["x-tollway-model"] == "cheap"
    gateway = await start(setup.but(policy={"fallback": {"triggers": ["ContentFilter"]}}))
    assert (await gateway.ask(PROMPT, stream=stream)).headers["x-tollway-model"] == "rich"


async def test_metrics_say_what_went_wrong_and_how_fast_it_went_on(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    with provider("slow", tokens_per_second=200.0) as slow:
        gateway = await start(setup.but(rich=slow.endpoint))
        cheap.fail("rate-limit", times=1)
        await gateway.ask(PROMPT, stream=True)
        await gateway.ask("Which day comes before Friday?", model="rich")
    metrics = await gateway.metrics()
    rich = (("model", "rich"),)
    assert metrics["ai_upstream_errors_total"] == {(("kind", "429"), ("model", "cheap")): 1}
    assert metrics["ai_upstream_attempts_per_request_count"][()] == 2
    assert metrics["ai_upstream_attempts_per_request_sum"][()] == 3
    assert metrics["ai_time_to_first_token_seconds_count"] == {rich: 1}, "of streams alone"
    assert 0.005 < metrics["ai_time_to_first_token_seconds_sum"][rich] < 5
    assert metrics["ai_tokens_per_second_count"] == {rich: 2}
    assert 0 < metrics["ai_tokens_per_second_sum"][rich] <= 2 * 220


def saying(content: str) -> Starlette:
    """A provider that always answers the same."""

    async def chat(_: Request) -> JSONResponse:
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse({"id": "x", "object": "chat.completion", "choices": [choice]})

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
