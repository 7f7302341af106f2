"""Models that are passed over because they fail, over real providers and a real Redis."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.conftest import Start
from tests.dataplanes import Running, Setup
from tests.servers import Provider, provider, served
from tollway_api import wire
from tollway_api.routing_policy import ModelState
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_health import RedisHealth
from tollway_dataplane.core.breaker import Verdict
from tollway_dataplane.errors import CacheFault

NUMBERS = itertools.count()
SOON = {"circuitBreaker": {"minRequests": 3, "openFor": "1s", "halfOpenProbes": 1}}
VECTORS = {"model": "openai/text-embedding-3-small"}
LATER = {"circuitBreaker": {"minRequests": 3, "openFor": "60s"}}


def prompt() -> str:
    """Another one each time, so that none is answered from memory."""
    return f"Which day comes {next(NUMBERS)} days after Monday?"


async def until_open(gateway: Running, endpoint: str) -> None:
    await until_state(gateway, endpoint, "Open")


async def until_state(gateway: Running, endpoint: str, *states: str) -> None:
    """One of them."""
    model = (("endpoint", endpoint), ("model", "cheap"), ("policy", "default/chat"))
    for _ in range(500):
        found = (await gateway.metrics()).get("tollway_model_state", {})
        if any(found.get((*model, ("state", state))) for state in states):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"it is never {states}")


@pytest.mark.parametrize("fault", ["server-error", "stall", "reset"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_outage_costs_nobody_anything_once_the_breaker_is_open(
    start: Start, setup: Setup, cheap: Provider, rich: Provider, fault: str, *, stream: bool
) -> None:
    gateway = await start(setup.but(cheap_model={"timeout": "200ms"}, policy={"fallback": LATER}))
    cheap.fail(fault)
    replies = [await gateway.ask(prompt(), stream=stream) for _ in range(10)]
    assert {reply.status for reply in replies} == {200}
    assert (cheap.total, rich.total) == (3, 10)
    assert {reply.headers["x-tollway-failed-attempts"] for reply in replies[3:]} == {"cheap:Open"}
    assert "x-tollway-fallbacks" not in replies[-1].headers, "a model that is not asked is no attempt"
    fallbacks = (await gateway.metrics())["ai_fallback_count_total"]
    assert fallbacks[(("from", "cheap"), ("to", "rich"), ("trigger", "Open"))] == 7
    attempts = (await gateway.metrics())["ai_upstream_requests_total"]
    assert attempts[(("model", "rich"), ("outcome", "ok"))] == 10
    assert (("model", "cheap"), ("outcome", "Open")) not in attempts


async def test_an_outage_is_found_at_once_after_a_good_hour(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup)
    for _ in range(10):
        replies = await asyncio.gather(*(gateway.ask(prompt()) for _ in range(20)))
        assert {reply.headers["x-tollway-model"] for reply in replies} == {"cheap"}
    cheap.fail("server-error")
    reply = await gateway.ask(prompt())
    while reply.headers["x-tollway-failed-attempts"] == "cheap:ServerError":
        await asyncio.sleep(0.1)
        reply = await gateway.ask(prompt())
    assert reply.headers["x-tollway-failed-attempts"] == "cheap:Open"
    assert cheap.total - 200 <= 12, "by their share of the window it would take two hundred"


async def test_streams_that_break_off_open_the_breaker_as_well(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(policy={"fallback": LATER}))
    cheap.fail("cut")
    bodies = [(await gateway.ask(prompt(), stream=True)).body for _ in range(3)]
    assert all(b"broke the stream off" in body for body in bodies)
    reply = await gateway.ask(prompt(), stream=True)
    assert reply.headers["x-tollway-failed-attempts"] == "cheap:Open"


async def test_streams_that_break_off_are_an_outage_after_a_good_hour_as_well(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(policy={"fallback": LATER}))
    for _ in range(40):
        assert (await gateway.ask(prompt(), stream=True)).source == "live"
    cheap.fail("cut")
    async with asyncio.timeout(20):
        reply = await gateway.ask(prompt(), stream=True)
        while "x-tollway-failed-attempts" not in reply.headers:
            await asyncio.sleep(0.3)
            reply = await gateway.ask(prompt(), stream=True)
    assert reply.headers["x-tollway-failed-attempts"] == "cheap:Open"
    assert cheap.total <= 50, "by their share of the window it would take forty"


@pytest.mark.parametrize("believed", ["5m", "0s"])
async def test_where_a_third_are_limited_at_peak_everybody_has_an_answer(
    start: Start, setup: Setup, cheap: Provider, rich: Provider, believed: str
) -> None:
    """Of whoever refuses requests by chance no `Retry-After` need be believed, and then all that it answers is used."""
    gateway = await start(setup.but(policy={"fallback": {"maxCooldown": believed}}))
    cheap.fail("rate-limit", share=0.3)
    replies = []
    for _ in range(10):
        replies += await asyncio.gather(*(gateway.ask(prompt()) for _ in range(10)))
    assert {reply.status for reply in replies} == {200}
    models = Counter(reply.headers["x-tollway-model"] for reply in replies)
    assert rich.total == models["rich"]
    assert cheap.total <= 100, "nobody asks twice"
    if believed == "0s":
        assert models["cheap"] > 50


async def test_a_provider_that_is_back_is_asked_again(start: Start, setup: Setup, cheap: Provider) -> None:
    gateway = await start(setup.but(policy={"fallback": SOON}))
    cheap.fail("server-error", times=3)
    for _ in range(3):
        await gateway.ask(prompt())
    assert (await gateway.ask(prompt())).headers["x-tollway-model"] == "rich"
    for _ in range(500):
        if (await gateway.ask(prompt())).headers["x-tollway-model"] == "cheap":
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("it is never asked again")
    assert cheap.total == 4


async def test_a_provider_that_asks_to_be_left_alone_is(start: Start, setup: Setup, cheap: Provider) -> None:
    gateway = await start(setup)
    cheap.fail("rate-limit", times=1)
    replies = [await gateway.ask(prompt()) for _ in range(3)]
    assert [reply.headers["x-tollway-failed-attempts"] for reply in replies] == [
        "cheap:RateLimit",
        "cheap:CoolingDown",
        "cheap:CoolingDown",
    ]
    assert cheap.total == 1
    assert (await gateway.metrics())["tollway_model_cooldown_seconds"][
        (("endpoint", cheap.endpoint), ("model", "cheap"), ("policy", "default/chat"))
    ] > 0


async def test_where_nobody_else_is_there_a_short_cooldown_is_waited_for(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    policy = {"models": setup.models()[:1], "fallback": {"maxFallbacks": 0}}
    gateway = await start(setup.but(policy=policy))
    cheap.fail("rate-limit", times=1)
    assert (await gateway.ask(prompt())).status == 503
    replies = await asyncio.gather(*(gateway.ask(prompt()) for _ in range(5)))
    assert {reply.status for reply in replies} == {200}
    assert cheap.total == 6


async def test_where_nobody_is_well_one_request_goes_through_and_the_others_fail_at_once(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    gateway = await start(setup.but(policy={"fallback": {**LATER, "maxFallbacks": 1}}))
    for each in (cheap, rich):
        each.fail("server-error")
    for _ in range(3):
        assert (await gateway.ask(prompt())).status == 503
    before = cheap.total + rich.total
    assert before == 6
    replies = await asyncio.gather(*(gateway.ask(prompt()) for _ in range(20)))
    assert {reply.status for reply in replies} == {503}
    let_through = cheap.total + rich.total - before
    assert 1 <= let_through <= 4, "one of each model in a second"
    refused = [reply for reply in replies if "x-tollway-fallbacks" not in reply.headers]
    assert refused
    at_once = [reply for reply in replies if "cheap: Open, rich: Open" in reply.error["message"]]
    assert len(at_once) >= 16
    assert all(50 < int(reply.headers["retry-after"]) <= 75 for reply in at_once)


async def test_one_data_plane_hears_of_another_what_is_not_well(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    setup = setup.but(policy={"fallback": LATER})
    first, second = await start(setup), await start(setup)
    cheap.fail("server-error")
    for _ in range(3):
        await first.ask(prompt())
    await second.ask(prompt())  # of who was never asked metrics say nothing
    await until_open(second, cheap.endpoint)
    before = cheap.total
    reply = await second.ask(prompt())
    assert reply.headers["x-tollway-failed-attempts"] == "cheap:Open"
    assert cheap.total == before


async def test_while_redis_hangs_each_data_plane_goes_by_what_it_sees_and_tells_it_afterwards(
    start: Start, setup: Setup, fault_redis: EmbeddedRedis, cheap: Provider, rich: Provider
) -> None:
    """It keeps all connections and answers nothing, which is worse than one that is away."""
    setup = setup.but(policy={"fallback": LATER, "cache": None})
    one, other = [await start(setup, cache_url=fault_redis.url) for _ in range(2)]
    await other.ask(prompt())
    fault_redis.pause()
    try:
        cheap.fail("server-error")
        before = cheap.total
        failed = [(await one.ask(prompt())).headers["x-tollway-failed-attempts"] for _ in range(5)]
        assert failed == [*["cheap:ServerError"] * 3, *["cheap:Open"] * 2]
        assert (cheap.total - before, rich.total) == (3, 5)
        assert (await other.ask(prompt())).headers["x-tollway-failed-attempts"] == "cheap:ServerError"
    finally:
        fault_redis.resume()
    await until_open(other, cheap.endpoint)
    before = cheap.total
    assert (await other.ask(prompt())).headers["x-tollway-failed-attempts"] == "cheap:Open"
    assert cheap.total == before


async def test_three_data_planes_hear_of_one_that_a_model_is_back(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    """Otherwise each would have to find that out by probes of its own."""
    breaker = {"minRequests": 3, "openFor": "5s", "halfOpenProbes": 1}
    setup = setup.but(policy={"fallback": {"circuitBreaker": breaker}, "cache": None})
    one, *others = [await start(setup) for _ in range(3)]
    for each in others:
        await each.ask(prompt())
    cheap.fail("server-error", times=3)
    for _ in range(3):
        await one.ask(prompt())
    for each in others:
        await until_open(each, cheap.endpoint)
    for _ in range(500):
        if (await one.ask(prompt())).headers["x-tollway-model"] == "cheap":
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("it is never asked again")
    for each in others:
        await until_state(each, cheap.endpoint, "Recovering", "Healthy")


async def test_a_model_is_asked_at_another_endpoint_before_another_model(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    with provider("replica") as replica:
        model = {"endpoints": [replica.endpoint]}
        gateway = await start(setup.but(cheap_model=model, policy={"fallback": LATER}))
        cheap.fail("server-error")
        # Chosen by chance, one of the two is hardly ever asked less than three times.
        replies = [await gateway.ask(prompt()) for _ in range(24)]
        assert {reply.status for reply in replies} == {200}
        assert {reply.headers["x-tollway-model"] for reply in replies} == {"cheap"}
        assert (cheap.total, replica.total, rich.total) == (3, 24, 0)


async def test_embeddings_wait_for_no_provider_that_is_away(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(cheap_model=VECTORS, policy={"fallback": LATER}))
    body = json.dumps({"model": "cheap", "input": "one"}).encode()
    assert (await gateway.post("/v1/embeddings", body)).status == 200
    cheap.fail("server-error")
    replies = await asyncio.gather(*(gateway.post("/v1/embeddings", body) for _ in range(10)))
    assert {reply.status for reply in replies} == {503}
    before = cheap.total
    replies = await asyncio.gather(*(gateway.post("/v1/embeddings", body) for _ in range(10)))
    assert cheap.total - before <= 4, "one in a second is let through, since there is nobody else"
    refused = [each for each in replies if "cheap: Open" in each.error["message"]]
    assert len(refused) >= 6
    assert all(50 < int(reply.headers["retry-after"]) <= 75 for reply in refused)


async def test_embeddings_are_asked_for_at_every_endpoint_that_is_well(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    with provider("replica") as replica:
        model = {**VECTORS, "endpoints": [replica.endpoint]}
        gateway = await start(setup.but(cheap_model=model, policy={"fallback": LATER}))
        cheap.fail("server-error")
        body = json.dumps({"model": "cheap", "input": "one"}).encode()
        replies = [await gateway.post("/v1/embeddings", body) for _ in range(30)]
        assert cheap.total == [reply.status for reply in replies].count(503) == 3
        assert replica.total == 27


@pytest.fixture
async def redis_health(cache_redis: EmbeddedRedis) -> AsyncIterator[RedisHealth]:
    redis = connect(cache_redis.url, 2.0)
    await redis.delete(wire.HEALTH_KEY)
    yield RedisHealth(redis, 2.0)
    await redis.aclose()


async def test_redis_passes_on_what_is_told_with_the_time_that_is_left(redis_health: RedisHealth) -> None:
    told = {
        ("a", False): Verdict(ModelState.OPEN, 20.0, 2),
        ("a", True): Verdict(ModelState.COOLING_DOWN, 5.0),
        ("b", False): Verdict(ModelState.RECOVERING),
    }
    assert await redis_health.exchange({}) == {}
    await redis_health.exchange(told)
    heard = await redis_health.exchange({})
    assert heard.keys() == told.keys()
    for key, verdict in told.items():
        found = heard[key].verdict
        assert (found.state, found.opened) == (verdict.state, verdict.opened)
        assert verdict.left_s - 2 < found.left_s <= verdict.left_s


async def test_what_another_version_wrote_there_is_not_understood_and_harms_nobody(
    redis_health: RedisHealth, cache_redis: EmbeddedRedis
) -> None:
    async with Redis.from_url(cache_redis.url) as redis:
        await redis.hset(wire.HEALTH_KEY, mapping={"a": "Molten 1 2 99999999999999", "b": "nonsense"})
        assert await redis_health.exchange({}) == {}
        assert await redis.hkeys(wire.HEALTH_KEY) == [b"a"], "what cannot be understood at all is deleted"
        await redis.delete(wire.HEALTH_KEY)
        await redis.set(wire.HEALTH_KEY, "a text")
        with pytest.raises(CacheFault):
            await redis_health.exchange({})
        await redis.delete(wire.HEALTH_KEY)


@pytest.mark.parametrize(
    "says",
    [
        lambda _: {"retry-after": "60"},
        lambda now: {"retry-after": formatdate(now + 60, usegmt=True)},
        lambda _: {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"},
        lambda now: {
            "anthropic-ratelimit-tokens-remaining": "0",
            "anthropic-ratelimit-tokens-reset": datetime.fromtimestamp(now + 60, UTC).isoformat(),
        },
    ],
    ids=["seconds", "a date", "OpenAI's reset", "Anthropic's reset"],
)
async def test_a_provider_is_left_alone_for_as_long_as_it_says_in_whichever_way(
    start: Start, setup: Setup, rich: Provider, says: Callable[[float], Mapping[str, str]]
) -> None:
    async def limited(_: Request) -> Response:
        return Response("{}", 429, says(time.time()), "application/json")

    with served(Starlette(routes=[Route("/v1/chat/completions", limited, methods=["POST"])])) as url:
        gateway = await start(setup.but(cheap=f"{url}/v1"))
        replies = [await gateway.ask(prompt()) for _ in range(2)]
        assert [each.headers["x-tollway-failed-attempts"] for each in replies] == [
            "cheap:RateLimit",
            "cheap:CoolingDown",
        ]
        (left,) = (await gateway.metrics())["tollway_model_cooldown_seconds"].values()
        assert 10 < left <= 61
    assert rich.total == 2
