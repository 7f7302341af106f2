"""What is remembered stands in when nobody else answers, where the policy has it so, and says that it does."""

import asyncio

import openai
import pytest

from tests.conftest import Start
from tests.dataplanes import Reply, Running, Setup
from tests.servers import Provider
from tests.with_redis.test_streams import collect

PASSWORD = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"
CACHE = {"indexRef": {"name": "answers"}, "staleIfError": "1h"}
STALE = {"cache": CACHE, "fallback": {"circuitBreaker": {"minRequests": 1_000_000}}}
# Hardly any two prompts are as likely to want the same answer.
DEMANDING = {"match": {"threshold": "0.9998", "strictThreshold": "0.9999"}}


async def requests_from(gateway: Running, source: str) -> float:
    counted = (await gateway.metrics())["ai_requests_total"]
    return sum(value for labels, value in counted.items() if ("source", source) in labels)


async def expired(gateway: Running) -> Reply:
    """An answer that is too old to be a hit."""
    reply = await gateway.ask(PASSWORD)
    await gateway.stored()
    await asyncio.sleep(1.1)
    return reply


async def test_an_expired_answer_is_served_when_every_attempt_has_failed(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    gateway = await start(setup.but(index={"ttl": "1s"}, policy=STALE))
    live = await expired(gateway)
    cheap.fail("server-error")
    rich.fail("server-error")
    reply = await gateway.ask(PASSWORD)
    assert (reply.status, reply.source, reply.headers["x-tollway-stale"]) == (200, "stale", "Expired")
    assert reply.content == live.content
    assert reply.headers["x-tollway-failed-attempts"] == "cheap:ServerError, rich:ServerError"
    assert "x-tollway-saved-usd" not in reply.headers, "it is no hit"
    text, reasons, _ = await collect(gateway.acme, PASSWORD, usage=False)
    assert (text, reasons) == (live.content, ["stop"])
    assert await requests_from(gateway, "stale") == 2
    assert await gateway.lookups("Exact") == 0
    cheap.reset()
    assert (await gateway.ask(PASSWORD)).source == "live", "as soon as somebody answers again"


async def test_nothing_stale_is_served_unless_the_policy_says_so(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    gateway = await start(setup.but(index={"ttl": "1s"}))
    await expired(gateway)
    cheap.fail("server-error")
    rich.fail("server-error")
    assert (await gateway.ask(PASSWORD)).status == 503


async def test_an_expired_answer_is_no_answer_to_a_wrong_request(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(index={"ttl": "1s"}, policy=STALE))
    await expired(gateway)
    cheap.fail("bad-request")
    assert (await gateway.ask(PASSWORD)).status == 400


async def test_an_answer_that_is_likely_to_be_right_stands_in_and_one_of_other_facts_does_not(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    gateway = await start(setup.but(index=DEMANDING, policy=STALE))
    live = await gateway.ask(PASSWORD)
    await gateway.ask("How do I move money from savings to checking?")
    await gateway.stored(2)
    cheap.fail("server-error")
    rich.fail("server-error")
    reply = await gateway.ask(PARAPHRASE)
    assert (reply.status, reply.source, reply.headers["x-tollway-stale"]) == (200, "stale", "Unsure")
    assert reply.content == live.content
    assert float(reply.headers["x-tollway-similarity"]) > 0.9
    assert await gateway.lookups("Semantic") == 0
    with pytest.raises(openai.InternalServerError):
        await collect(gateway.acme, "How do I move money from checking to savings?", usage=False)
    assert (await gateway.ask("How do I reset my router?")).status == 503
