"""Budgets that are nearly used up: what is left is spent, an answer ends where they do, and nobody pays more."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TypeVar

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from tests.conftest import Start
from tests.dataplanes import Running, Setup, until
from tests.servers import Provider, provider, served
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_cli.simulator.answers import answer_for, tokens
from tollway_dataplane.adapters.redis_ledger import RedisLedger

_T = TypeVar("_T")

PROMPT = "What is a lighthouse?"
# USD a token, of gpt-4o-mini.
INPUT, OUTPUT = 0.15e-6, 0.6e-6
ANSWER = answer_for("slow", "gpt-4o-mini", PROMPT)
FREE = {"input": "0", "output": "0"}


def money(usd: float, **more: object) -> dict[str, object]:
    """Of which nothing is set aside."""
    limits = [{"name": "money", "amount": f"{usd:.9f}"}]
    return {"limits": limits, "onLedgerUnavailable": "Deny", **more}


def enough_for(output_tokens: int) -> float:
    """A limit that PROMPT fits, of which 15 tokens are held, and so much of an answer."""
    return 15 * INPUT + output_tokens * OUTPUT


@pytest.fixture
def slow() -> Iterator[Provider]:
    with provider("slow", tokens_per_second=40.0) as started:
        yield started


async def spent(ledger: EmbeddedRedis) -> float:
    """By acme, in USD."""
    async with Redis.from_url(ledger.url) as redis:
        return sum(map(int, (await redis.hgetall("tollway:1:{ledger}:spent:acme")).values())) / 1e9


def billed_by(provider: Provider) -> float:
    """By its own count, in USD."""
    tokens = provider.seen()["tokens"]
    assert isinstance(tokens, dict)
    bill = tokens["gpt-4o-mini"]
    return float(bill["prompt"] * INPUT + bill["completion"] * OUTPUT)


async def held(ledger: EmbeddedRedis) -> int:
    async with Redis.from_url(ledger.url) as redis:
        return int(await redis.exists("tollway:1:{ledger}:holds"))


async def logged(gateway: Running, count: int) -> list[dict[str, object]]:
    """What the log says of so many requests."""

    def requests() -> list[dict[str, object]]:
        return [line for line in gateway.log_lines() if line["event"] == "request"]

    await until(lambda: len(requests()) == count)
    return requests()


async def ask_while_others_hold_the_rest(
    gateway: Running, slow: Provider, ledger: EmbeddedRedis, asking: Awaitable[_T]
) -> _T:
    """What is answered by somebody slow, whose first tokens are paid for, and no more can be."""
    answer = asyncio.ensure_future(asking)
    await until(lambda: slow.seen()["in_flight"] == 1)
    acme = next(each for each in gateway.snapshot.tenants.values() if each.name == "acme")
    async with Redis.from_url(ledger.url) as redis:
        others = RedisLedger(redis, 10.0)
        denied = await others.hold(acme, "others", [acme.limits[0].amount])
        assert denied is not None
        assert await others.hold(acme, "others", [denied.left]) is None
        reply = await answer
        await others.release(acme, "others")
    return reply


async def test_an_answer_that_is_paid_for_as_it_comes_is_the_same_as_any_other(
    start: Start, setup: Setup, cheap: Provider, ledger_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup.but(acme=money(0.001)))
    reply, beside = await gateway.ask(PROMPT, n=2), await gateway.ask(PROMPT, "beta-test-key", n=2)
    assert reply.headers["x-tollway-budget-tight"] == "money"
    assert "x-tollway-budget-tight" not in beside.headers
    assert "x-tollway-cut" not in reply.headers
    answers = [openai.types.chat.ChatCompletion.model_validate_json(each.body) for each in (reply, beside)]
    assert answers[0] == answers[1]
    assert len(answers[0].choices) == 2
    usage = reply.json["usage"]
    assert isinstance(usage, dict)
    used = usage["prompt_tokens"] * INPUT + usage["completion_tokens"] * OUTPUT
    assert await spent(ledger_redis) == pytest.approx(used)
    assert await held(ledger_redis) == 0


async def test_a_whole_answer_ends_where_its_budget_does_and_says_why(
    start: Start, setup: Setup, slow: Provider, ledger_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup.but(cheap=slow.endpoint, acme=money(enough_for(80))))
    asking = gateway.acme.chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": PROMPT}]
    )
    answer = await ask_while_others_hold_the_rest(gateway, slow, ledger_redis, asking)
    choice = answer.parse().choices[0]
    assert choice.finish_reason == "length"
    text = choice.message.content or ""
    assert ANSWER.startswith(text)
    assert 20 <= len(tokens("gpt-4o-mini", text)) <= 32
    assert answer.headers["x-tollway-cut"] == "limit 'money' is used up"
    await until(lambda: slow.seen()["by_outcome"] == {"disconnected": 1})
    (line,) = await logged(gateway, 1)
    assert (line["ended"], line["limit"], line["usage_estimated"]) == ("cut", "money", True)
    used = await spent(ledger_redis)
    assert 20 * OUTPUT < used < 15 * INPUT + 34 * OUTPUT
    assert used == pytest.approx(billed_by(slow), abs=1e-9), "what was under way was heard out"
    assert await held(ledger_redis) == 0


@pytest.mark.parametrize("usage", [True, False])
async def test_a_stream_ends_where_its_budget_does_without_an_error(
    start: Start, setup: Setup, slow: Provider, ledger_redis: EmbeddedRedis, usage: bool
) -> None:
    gateway = await start(setup.but(cheap=slow.endpoint, acme=money(enough_for(80))))
    stream = await gateway.acme.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
        stream_options={"include_usage": usage},
    )
    assert stream.response.headers["x-tollway-budget-tight"] == "money"

    async def collected() -> list[ChatCompletionChunk]:
        return [chunk async for chunk in stream]

    chunks = await ask_while_others_hold_the_rest(gateway, slow, ledger_redis, collected())
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text
    assert ANSWER.startswith(text)
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert reasons == ["length"]
    counted = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
    assert (len(counted) == 1) == usage
    await until(lambda: slow.seen()["by_outcome"] == {"disconnected": 1})


async def test_a_stream_that_was_ended_says_why_in_a_comment_and_is_not_remembered(
    start: Start, setup: Setup, slow: Provider, ledger_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup.but(cheap=slow.endpoint, acme=money(enough_for(80))))
    body = json.dumps({"messages": [{"role": "user", "content": PROMPT}], "stream": True}).encode()
    asking = gateway.post("/v1/chat/completions", body)
    reply = await ask_while_others_hold_the_rest(gateway, slow, ledger_redis, asking)
    assert reply.body.endswith(b"\n\n: the answer ends here: limit 'money' is used up\n\ndata: [DONE]\n\n")
    await gateway.swap(setup.but(cheap=slow.endpoint))
    again = await gateway.ask(PROMPT)
    assert (again.source, again.content) == ("live", ANSWER)


async def test_a_bound_is_no_larger_than_what_could_ever_be_paid_and_its_caller_is_told(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(acme=money(enough_for(300))))
    reply = await gateway.ask(PROMPT, max_tokens=5_000)
    bound = cheap.last_body()["max_tokens"]
    assert isinstance(bound, int)
    assert 300 <= bound < 310
    assert reply.headers["x-tollway-max-tokens"] == str(bound)
    assert "x-tollway-max-tokens" not in (await gateway.ask("What is a fjord?", max_tokens=100)).headers
    assert cheap.last_body()["max_tokens"] == 100


async def test_what_is_thought_in_secret_is_bounded_by_the_provider(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    """Nobody sees such tokens come, so all that may come are held, and no more may come."""
    pricing = {"input": "0.15", "output": "0.60"}
    model = {"model": "openai/gpt-5-mini", "pricing": pricing}
    gateway = await start(setup.but(cheap_model=model, acme=money(enough_for(2_000))))
    reply = await gateway.ask(PROMPT)
    body = cheap.last_body()
    assert "stream" not in body
    assert isinstance(body["max_completion_tokens"], int)
    assert 1_990 <= body["max_completion_tokens"] < 2_010
    assert reply.headers["x-tollway-max-tokens"] == str(body["max_completion_tokens"])
    await gateway.swap(setup.but(cheap_model=model, acme=money(enough_for(900))))
    assert (await gateway.ask("What is a fjord?")).status == 429, "it might think for all of that"


def calling(*deltas: object) -> Starlette:
    """A provider that calls tools, in pieces."""

    async def chat(_: Request) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            for delta in deltas:
                choice = {"index": 0, "delta": delta, "finish_reason": None}
                yield f"data: {json.dumps({'id': 'x', 'created': 1, 'model': 'm', 'choices': [choice]})}\n\n"
            last = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
            yield f"data: {json.dumps({'id': 'x', 'choices': [last]})}\n\ndata: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


async def test_calls_of_tools_are_put_together(start: Start, setup: Setup) -> None:
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "look_up", "arguments": ""}}
    second = {"index": 1, "id": "b", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    pieces = [{"index": 0, "function": {"arguments": each}} for each in ('{"word": ', '"lamp"}')]
    deltas = [{"role": "assistant", "tool_calls": [first]}, *({"tool_calls": [each]} for each in pieces)]
    with served(calling(*deltas, {"tool_calls": [second]})) as url:
        gateway = await start(setup.but(cheap=f"{url}/v1", acme=money(0.001)))
        tool = {"type": "function", "function": {"name": "look_up"}}
        answer = await gateway.acme.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": PROMPT}],
            tools=[tool],  # type: ignore[list-item]  # a plain dict will do
        )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = [each.to_dict() for each in choice.message.tool_calls or []]
    assert calls == [
        {"id": "a", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "lamp"}'}},
        {"id": "b", "type": "function", "function": {"name": "add", "arguments": "{}"}},
    ]


@pytest.mark.parametrize(("action", "ended"), [("Deny", "cut"), ("Allow", "whole")])
async def test_the_tenants_own_rule_says_what_a_ledger_that_is_lost_midway_means(
    start: Start, setup: Setup, slow: Provider, fault_redis: EmbeddedRedis, action: str, ended: str
) -> None:
    acme = money(enough_for(300), onLedgerUnavailable=action)
    gateway = await start(setup.but(cheap=slow.endpoint, acme=acme), ledger_url=fault_redis.url)
    asking = asyncio.create_task(gateway.ask(PROMPT))
    await until(lambda: slow.seen()["in_flight"] == 1)
    fault_redis.kill()
    reply = await asking
    assert reply.status == 200
    assert (reply.content == ANSWER) == (ended == "whole")
    assert ANSWER.startswith(reply.content)
    (line,) = await logged(gateway, 1)
    assert line["ended"] == ended
    assert reply.headers.get("x-tollway-cut") == (
        "spending cannot be counted right now" if ended == "cut" else None
    )


async def greedy(_: Request) -> JSONResponse:
    """A provider that bills more than it was allowed to write."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "A lamp."}, "finish_reason": "stop"}
    return JSONResponse({"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 1_000_000}})


async def test_what_is_billed_beyond_a_hold_is_counted_and_shown(start: Start, setup: Setup) -> None:
    with served(Starlette(routes=[Route("/v1/chat/completions", greedy, methods=["POST"])])) as url:
        gateway = await start(setup.but(cheap=f"{url}/v1", acme=money(5.0)))
        await gateway.ask(PROMPT)
    overshoot = (await gateway.metrics())["ai_budget_overshoot_usd"][(("tenant", "acme"),)]
    assert overshoot == pytest.approx(1_000_000 * OUTPUT, rel=0.05)


async def test_a_provider_that_breaks_off_costs_what_it_wrote_and_another_answers(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    gateway = await start(setup.but(acme=money(0.003)))
    cheap.fail("cut")
    reply = await gateway.ask(PROMPT)
    assert (reply.headers["x-tollway-model"], reply.content) == (
        "rich",
        answer_for("rich", "gpt-4o", PROMPT),
    )
    estimated = (await gateway.metrics())["ai_cost_estimated_usd_total"][(("tenant", "acme"),)]
    assert estimated > 10 * OUTPUT


async def test_what_is_only_held_is_waited_for_and_what_is_spent_is_not(
    start: Start, setup: Setup, cheap: Provider, ledger_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup.but(acme=money(enough_for(200))))
    acme = next(each for each in gateway.snapshot.tenants.values() if each.name == "acme")
    async with Redis.from_url(ledger_redis.url) as redis:
        others = RedisLedger(redis, 10.0)
        assert await others.hold(acme, "others", [acme.limits[0].amount]) is None
        asking = [asyncio.create_task(gateway.ask(f"{PROMPT} {number}")) for number in range(2)]
        await until(lambda: gateway.dataplane.metrics.in_flight == 2)
        assert cheap.total == 0
        await others.release(acme, "others")
        assert [(await each).status for each in asking] == [200, 200]
        await others.settle(acme, "more", [acme.limits[0].amount])
    async with asyncio.timeout(10):
        assert (await gateway.ask("What is a fjord?")).status == 429


async def test_who_has_something_cheaper_to_stand_in_does_not_wait(
    start: Start, setup: Setup, ledger_redis: EmbeddedRedis
) -> None:
    free = {"name": "free", "model": "openai/free", "endpoint": setup.rich, "pricing": FREE}
    main = {"name": "main", "model": "openai/gpt-4o-mini", "endpoint": setup.cheap}
    policy = {"models": [main, free], "route": {"simpleModel": "main"}}
    degrade = {"action": "Degrade", "model": "free"}
    gateway = await start(setup.but(policy=policy, acme=money(enough_for(200), onExceeded=degrade)))
    acme = next(each for each in gateway.snapshot.tenants.values() if each.name == "acme")
    async with Redis.from_url(ledger_redis.url) as redis:
        assert await RedisLedger(redis, 10.0).hold(acme, "others", [acme.limits[0].amount]) is None
        assert (await gateway.ask(PROMPT)).source == "degraded"


async def asked_at_once(gateway: Running, count: int) -> list[int]:
    async def ask(number: int) -> int:
        return (await gateway.ask(f"Question {number:02}?", max_tokens=600)).status

    return list(await asyncio.gather(*map(ask, range(count))))


async def test_fifty_at_once_who_want_three_times_as_much_as_there_is_spend_nearly_all_and_no_more(
    start: Start, setup: Setup, slow: Provider, ledger_redis: EmbeddedRedis
) -> None:
    real = [
        tokens("gpt-4o-mini", answer_for("slow", "gpt-4o-mini", f"Question {number:02}?"))
        for number in range(50)
    ]
    demand = sum(7 * INPUT + len(each) * OUTPUT for each in real)
    assert 9 * demand / 50 < 600 * OUTPUT, "the worst case is about ten times the real cost"
    limit = demand / 3
    gateway = await start(setup.but(cheap=slow.endpoint, acme=money(limit)), ledger_deadline_s=10.0)
    statuses = await asked_at_once(gateway, 50)
    assert set(statuses) == {200, 429}
    used = await spent(ledger_redis)
    overshot = sum((await gateway.metrics()).get("ai_budget_overshoot_usd", {}).values())
    assert 0.95 * limit <= used <= limit + overshot
    await until(lambda: slow.seen()["in_flight"] == 0)
    theirs = billed_by(slow)
    cut = sum(line["ended"] == "cut" for line in await logged(gateway, 50))
    assert 0.95 * limit <= theirs <= limit + cut * 10 * OUTPUT, "a few are under way when an answer is ended"
    assert used == pytest.approx(theirs, abs=1e-9), "what was under way was heard out"
    assert await held(ledger_redis) == 0
