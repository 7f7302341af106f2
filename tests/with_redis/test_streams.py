"""Streams: passed on, replayed from memory, broken off and abandoned."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import openai
import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, Running, Setup, until
from tests.servers import Provider, provider, served
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_cli.simulator.answers import answer_for

PROMPT = "What is a lighthouse?"


async def collect(
    client: openai.AsyncOpenAI, prompt: str, *, usage: bool
) -> tuple[str, list[str | None], int | None]:
    """Text, finish reasons and completion tokens of a stream."""
    options = {"include_usage": True} if usage else None
    stream = await client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": prompt}],
        stream=True,
        extra_body={"stream_options": options} if options else None,
    )
    text, reasons, tokens = "", [], None
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            if choice.finish_reason:
                reasons.append(str(choice.finish_reason))
        if chunk.usage is not None:
            tokens = chunk.usage.completion_tokens
    return text, list(reasons), tokens


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("usage", [True, False])
async def test_a_live_stream_and_its_replay_are_both_valid_streams(gateway: Running, usage: bool) -> None:
    await until(lambda: gateway.dataplane.forgetting.is_trusted)
    live = await collect(gateway.acme, PROMPT, usage=usage)
    replayed = await collect(gateway.acme, PROMPT, usage=usage)
    assert live == replayed
    text, reasons, tokens = live
    assert text == answer_for("cheap", "gpt-4o-mini", PROMPT)
    assert reasons == ["stop"]
    assert (tokens is not None) == usage
    assert await gateway.lookups("Exact") == 1


async def test_stream_and_whole_share_an_entry_in_both_directions(gateway: Running) -> None:
    text, _, _ = await collect(gateway.acme, PROMPT, usage=False)
    whole = await gateway.ask(PROMPT)
    assert (whole.source, whole.content) == ("exact", text)
    usage = whole.json["usage"]
    assert isinstance(usage, dict)
    assert usage["completion_tokens"] > 0
    first = await gateway.ask("What is a harbour?")
    text, _, _ = await collect(gateway.acme, "What is a harbour?", usage=False)
    assert text == first.content


async def test_a_paraphrase_on_a_stream_is_a_semantic_hit_that_streams(gateway: Running) -> None:
    await gateway.ask("How do I reset my password?")
    await gateway.stored()
    text, reasons, tokens = await collect(gateway.acme, "How can I reset my password?", usage=True)
    assert text == answer_for("cheap", "gpt-4o-mini", "How do I reset my password?")
    assert reasons == ["stop"]
    assert tokens
    assert await gateway.lookups("Semantic") == 1


async def test_a_streams_headers_say_where_it_comes_from_before_the_first_byte(gateway: Running) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": PROMPT}], "stream": True}).encode()
    live = await gateway.post("/v1/chat/completions", body)
    hit = await gateway.post("/v1/chat/completions", body)
    assert live.headers["content-type"] == hit.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (live.headers["x-tollway-source"], hit.headers["x-tollway-source"]) == ("live", "exact")
    assert hit.headers["x-tollway-cost-usd"] == "0"
    assert live.body.endswith(b"data: [DONE]\n\n")
    assert b'"usage":{' not in live.body


async def test_a_streams_cost_is_counted_before_its_caller_knows_it_is_over(gateway: Running) -> None:
    await collect(gateway.acme, PROMPT, usage=False)
    spent = (await gateway.metrics())["ai_cost_per_tenant"]
    assert spent[(("tenant", "acme"),)] > 0


async def test_a_stream_that_breaks_off_ends_with_an_error_and_is_not_remembered(
    gateway: Running, cheap: Provider
) -> None:
    cheap.fail("cut", times=1)
    with pytest.raises(openai.APIError, match="broke the stream off"):
        await collect(gateway.acme, PROMPT, usage=False)
    assert cheap.total == 1
    text, _, _ = await collect(gateway.acme, PROMPT, usage=False)
    assert text == answer_for("cheap", "gpt-4o-mini", PROMPT)
    assert cheap.total == 2


async def test_no_other_provider_is_asked_after_the_first_byte(
    gateway: Running, cheap: Provider, rich: Provider
) -> None:
    cheap.fail("cut", times=1)
    with pytest.raises(openai.APIError):
        await collect(gateway.acme, PROMPT, usage=False)
    assert rich.total == 0


@pytest.fixture
def slow() -> Iterator[Provider]:
    with provider("slow", tokens_per_second=20.0) as started:
        yield started


# What is leased would count as used.
UNLEASED = {
    "limits": [{"name": "tokens", "unit": "Tokens", "amount": "100000"}],
    "onLedgerUnavailable": "Deny",
}


async def test_a_caller_who_leaves_a_stream_cancels_it_upstream_and_pays_for_what_came(
    start: Start, setup: Setup, slow: Provider
) -> None:
    gateway = await start(setup.but(cheap=slow.endpoint, acme=UNLEASED))
    stream = await gateway.acme.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": PROMPT}], stream=True
    )
    pieces = 0
    async for _ in stream:
        pieces += 1
        if pieces == 4:
            break
    await stream.close()
    await until(lambda: slow.seen()["in_flight"] == 0)
    assert slow.seen()["by_outcome"] == {"disconnected": 1}
    await until(lambda: any(line["ended"] == "disconnected" for line in gateway.requests()))
    line = next(line for line in gateway.requests() if line["operation"] == "chat")
    assert line["usage_estimated"] is True
    tokens = line["completion_tokens"]
    assert isinstance(tokens, int)
    assert 0 < tokens < 20
    used = (await gateway.metrics())["ai_budget_utilization_ratio"][(("limit", "tokens"), ("tenant", "acme"))]
    assert 0 < used < 0.01, "what was held came back, what was used stays"


async def test_a_caller_who_leaves_before_the_answer_cancels_it_and_pays_for_what_may_have_been_written(
    start: Start, setup: Setup, slow: Provider
) -> None:
    gateway = await start(setup.but(cheap=slow.endpoint, acme=UNLEASED))
    asking = asyncio.create_task(gateway.ask(PROMPT))
    await until(lambda: slow.seen()["in_flight"] == 1)
    asking.cancel()
    await until(lambda: slow.seen()["in_flight"] == 0)
    await until(lambda: len(gateway.requests()) == 1)
    line = gateway.requests()[0]
    assert (line["status"], line["attempts"]) == (499, ["cheap:Cancelled"])
    used = (await gateway.metrics())["ai_budget_utilization_ratio"][(("limit", "tokens"), ("tenant", "acme"))]
    tokens = line["prompt_tokens"], line["completion_tokens"]
    paid = sum(each for each in tokens if isinstance(each, int))
    assert paid > 0
    assert used == pytest.approx(paid / 100_000), "what was held came back, what may have been used stays"


async def test_open_streams_finish_while_the_data_plane_drains(
    start: Start, setup: Setup, slow: Provider
) -> None:
    gateway = await start(setup.but(cheap=slow.endpoint))
    asking = asyncio.create_task(collect(gateway.acme, "What is a fjord?", usage=False))
    await until(lambda: slow.seen()["in_flight"] == 1)
    gateway.stop.set()
    text, reasons, _ = await asking
    assert text == answer_for("slow", "gpt-4o-mini", "What is a fjord?")
    assert reasons == ["stop"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_who_is_not_answered_before_the_drain_is_over_is_told_so_and_pays_for_what_came(
    start: Start, setup: Setup, ledger_redis: EmbeddedRedis, *, stream: bool
) -> None:
    with provider("slow", tokens_per_second=3.0) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint, acme=UNLEASED), drain_s=2.0)
        asking = asyncio.create_task(gateway.ask(PROMPT, stream=stream))
        await until(lambda: slow.seen()["in_flight"] == 1)
        gateway.stop.set()
        reply = await asking
        await until(lambda: slow.seen()["in_flight"] == 0)
    said = reply.body.split(b"data: ")[-1] if stream else reply.body
    assert json.loads(said)["error"]["code"] == "shutting_down"
    assert b"[DONE]" not in reply.body
    await until(lambda: len(gateway.requests()) == 1)
    line = gateway.requests()[0]
    assert (reply.status, line["status"]) == ((200, 200) if stream else (503, 503))
    assert line["ended"] == ("drained" if stream else "whole"), "its caller has not left"
    assert line["attempts"] == ["cheap:drained" if stream else "cheap:Cancelled"]
    assert line["cost_usd"] != "0"
    async with Redis.from_url(ledger_redis.url, decode_responses=True) as redis:
        holds = await redis.hkeys(wire.ledger_keys("acme").holds)
    assert [hold for hold in holds if str(hold).startswith("acme/req")] == []


async def test_a_snapshot_swap_breaks_no_stream_that_is_under_way(
    start: Start, setup: Setup, slow: Provider, rich: Provider
) -> None:
    gateway = await start(setup.but(cheap=slow.endpoint))
    asking = asyncio.create_task(collect(gateway.acme, "What is a delta?", usage=False))
    await until(lambda: slow.seen()["in_flight"] == 1)
    before = gateway.dataplane.live.revision
    assert await gateway.swap(setup.but(cheap=rich.endpoint)) != before
    text, _, _ = await asking
    assert text == answer_for("slow", "gpt-4o-mini", "What is a delta?")
    reply = await gateway.ask("What is an estuary?", ACME_KEY)
    assert reply.content == answer_for("rich", "gpt-4o-mini", "What is an estuary?")


async def murmuring(_: Request) -> StreamingResponse:
    """A provider that goes on giving signs of life, and no answer."""

    async def events() -> AsyncIterator[bytes]:
        yield b'data: {"choices": [{"index": 0, "delta": {"content": "A"}}]}\n\n'
        while True:
            yield b": still here\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(events(), media_type="text/event-stream")


async def test_signs_of_life_are_no_answer_and_keep_no_stream_open(start: Start, rich: Provider) -> None:
    app = Starlette(routes=[Route("/v1/chat/completions", murmuring, methods=["POST"])])
    with served(app) as url:
        gateway = await start(Setup(f"{url}/v1", rich.endpoint).but(cheap_model={"timeout": "500ms"}))
        body = json.dumps({"messages": [{"role": "user", "content": PROMPT}], "stream": True}).encode()
        async with asyncio.timeout(20):
            reply = await gateway.post("/v1/chat/completions", body)
        assert b'"content": "A"' in reply.body
        assert b"the provider broke the stream off" in reply.body


def sending(*lines: str) -> Starlette:
    """A provider that always streams the same."""

    async def chat(_: Request) -> StreamingResponse:
        return StreamingResponse(iter([f"{line}\n\n" for line in lines]), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


def event(content: str, finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return "data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": [choice]})


async def test_an_answer_that_is_finished_needs_no_last_word(start: Start, setup: Setup) -> None:
    with served(sending(event("A lamp."), event("", "stop"))) as url:
        gateway = await start(setup.but(cheap=f"{url}/v1"))
        text, reasons, _ = await collect(gateway.acme, PROMPT, usage=False)
    assert (text, reasons) == ("A lamp.", ["stop"])


async def test_an_answer_of_which_one_choice_is_not_finished_is_broken(start: Start, setup: Setup) -> None:
    with served(sending(event("A lamp."), event("", "stop"))) as url:
        gateway = await start(setup.but(cheap=f"{url}/v1"))
        body = {"messages": [{"role": "user", "content": PROMPT}], "stream": True, "n": 2}
        reply = await gateway.post("/v1/chat/completions", json.dumps(body).encode())
    assert b"[DONE]" not in reply.body
    assert b"broke the stream off" in reply.body


@pytest.mark.parametrize("before", [[], [event("A lamp.")]], ids=["first", "later"])
async def test_an_event_that_never_ends_is_the_providers_fault_and_is_not_logged(
    start: Start, setup: Setup, before: list[str]
) -> None:
    with served(sending(*before, event("secret " * 200_000))) as url:
        gateway = await start(setup.but(cheap=f"{url}/v1", policy={"fallback": {"maxFallbacks": 0}}))
        with pytest.raises(openai.APIError) as caught:
            await collect(gateway.acme, PROMPT, usage=False)
    assert ("broke the stream off" if before else "unavailable") in str(caught.value)
    assert b"secret" not in gateway.log.getvalue()


async def test_an_empty_answer_is_not_remembered(start: Start, setup: Setup) -> None:
    with served(sending(event("", "stop"), "data: [DONE]")) as url:
        gateway = await start(setup.but(cheap=f"{url}/v1", policy={"fallback": {"maxFallbacks": 0}}))
        await collect(gateway.acme, PROMPT, usage=False)
        await collect(gateway.acme, PROMPT, usage=False)
    assert await gateway.lookups("Exact") == 0
