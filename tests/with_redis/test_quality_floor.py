"""The floor under the simple model's answers on real parts: what the router chooses a model for is put to the other one
behind the reply and judged; labels move the dial of every data plane.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.conftest import Start
from tests.dataplanes import Running, Setup
from tests.judges import patient, until
from tests.servers import served
from tollway_api import wire
from tollway_api.error_control import Counts, Scale, tally_of
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.quality import judging

EASY = "What is the capital of France?"
GOOD = "Paris."
BAD = "I do not know."  # which is not remembered, and judged all the same
POLICY = (("policy", "default/chat"),)


class Models:
    """A simple model that can get worse, a complex one, and a third that judges by what they say."""

    def __init__(self) -> None:
        self.simple = GOOD
        self.judged: list[tuple[str, str]] = []  # what it was told, and the answer that was called A
        self.asked: list[str] = []
        self.is_away = False  # who judges

    def said(self, name: str, body: dict[str, object]) -> str:
        self.asked.append(name)
        if name != "judge":
            return self.simple if name == "simple" else "It is Paris."
        system, user = cast("list[dict[str, str]]", body["messages"])
        given = json.loads(user["content"])
        self.judged.append((system["content"], given["answer A"]))
        which = "answer A" if "Is answer A good enough" in system["content"] else "answer B"
        assert given[which] in {GOOD, BAD}, "the simple model's answer is the one in question"
        return "no" if given[which] == BAD else "Yes."

    async def complete(self, request: Request) -> Response:
        if self.is_away and request.path_params["name"] == "judge":
            self.asked.append("judge")
            return JSONResponse({"error": {"message": "away"}}, 503)
        says = self.said(request.path_params["name"], json.loads(await request.body()))
        message = {"role": "assistant", "content": says}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return JSONResponse({"object": "chat.completion", "choices": [choice], "usage": usage})


@pytest.fixture
def start(start: Start) -> Start:
    return patient(start)


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def floored(setup: Setup, models: Models) -> Iterator[Setup]:
    """Everything is sampled, and some twenty labels prove so low a floor."""
    path = "/{name}/v1/chat/completions"
    app = Starlette(routes=[Route(path, models.complete, methods=["POST"])])
    ids = {"simple": "openai/gpt-4o-mini", "complex": "openai/gpt-4o", "judge": "openai/gpt-4.1"}
    with served(app) as url:
        listed = [{"name": name, "model": ids[name], "endpoint": f"{url}/{name}/v1"} for name in ids]
        route = {
            "simpleModel": "simple",
            "complexModel": "complex",
            "complexity": {"classifier": "Embedding"},
            "minQuality": {
                "least": "60%",
                "sampleRate": "100%",
                "judge": {"type": "Model", "model": "judge"},
            },
        }
        yield setup.but(policy={"models": listed, "route": route, "cache": None})


@pytest.fixture
async def redis(cache_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with Redis.from_url(cache_redis.url, protocol=2) as client:
        yield client


async def labelled(gateway: Running, redis: Redis) -> Counts:
    sample, found = wire.choices_of(gateway.snapshot.policies[0]), Counts()
    assert sample is not None
    async for key in redis.scan_iter(f"{sample.prefix}*"):
        for counts in tally_of(Scale.EASE, cast("dict[bytes, bytes]", await redis.hgetall(key))).values():
            found = found.plus(counts)
    return found


async def judged(gateway: Running, redis: Redis, times: int) -> None:
    async def found() -> bool:
        return (await labelled(gateway, redis)).total >= times

    await until(found)


async def until_answered_by(gateway: Running, redis: Redis, model: str) -> int:
    """Asks, one after the other, until that model does; how often the other did before."""
    before = (await labelled(gateway, redis)).total
    for times in range(
        800
    ):  # labels are looked at every second, in which a fast machine asks a hundred times
        reply = await gateway.ask(EASY)
        if reply.headers["x-tollway-model"] == model:
            return times
        await judged(gateway, redis, before + times + 1)
    raise AssertionError(f"{model} has not answered once")


async def test_the_dial_follows_what_labels_say_of_the_simple_models_answers(
    start: Start, floored: Setup, models: Models, redis: Redis
) -> None:
    one, other = await start(floored), await start(floored)
    first = await one.ask(EASY)
    assert first.headers["x-tollway-model"] == "complex", "nothing is shown yet"
    assert first.headers["x-tollway-route-reason"].startswith("Complex; probability=")
    await judged(one, redis, 1)
    assert await until_answered_by(one, redis, "simple") > 5, "a few labels prove nothing"
    await until_answered_by(other, redis, "simple")
    assert {told.split("Is answer ")[1][0] for told, _ in models.judged} == {"A", "B"}, "the order is drawn"
    shown = (await one.metrics())["ai_route_quality"]
    bounds = {dict(labels)["bound"]: value for labels, value in shown.items()}
    assert 0.6 < bounds["lower"] < bounds["estimate"] == bounds["upper"] == 1
    assert (await one.metrics())["tollway_route_simple_share"][POLICY] > 0
    models.simple = BAD
    await until_answered_by(one, redis, "complex")
    await until_answered_by(other, redis, "complex")
    assert (await labelled(one, redis)).wrong > 0


async def test_while_the_encoder_is_too_slow_nothing_is_left_to_the_simple_model(
    start: Start, floored: Setup, models: Models
) -> None:
    gateway = await start(floored, embed_deadline_s=0.0)
    reply = await gateway.ask(EASY)
    assert reply.headers["x-tollway-route-reason"] == "Complex; not embedded"
    assert models.asked == ["complex"]


async def test_what_is_asked_behind_a_reply_is_the_tenants_and_in_the_log(
    start: Start, floored: Setup, models: Models, redis: Redis
) -> None:
    gateway = await start(floored)
    stream = await gateway.acme.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": EASY}]
    )
    assert stream.choices[0].message.content == "It is Paris."
    await judged(gateway, redis, 1)
    assert sorted(models.asked) == ["complex", "judge", "simple"]

    async def logged() -> bool:
        return [line.get("operation") for line in gateway.log_lines()].count("judging") == 2

    await until(logged)


async def test_what_is_no_text_or_was_named_is_not_judged(
    start: Start, floored: Setup, models: Models, redis: Redis
) -> None:
    gateway = await start(floored)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    await gateway.ask(EASY, tools=[tool])

    async def counted() -> bool:
        return await labelled(gateway, redis) == Counts(skipped=1)

    await until(counted)
    await gateway.ask(EASY, model="complex")
    assert await labelled(gateway, redis) == Counts(skipped=1)
    assert "judge" not in models.asked


async def test_who_has_nothing_left_for_another_answer_gets_the_one_that_was_asked_for_and_no_label(
    start: Start, floored: Setup, models: Models, redis: Redis
) -> None:
    once = {"limits": [{"name": "once", "unit": "Requests", "amount": "1"}], "onLedgerUnavailable": "Deny"}
    gateway = await start(floored.but(acme=once))
    reply = await gateway.ask(EASY)
    assert (reply.status, reply.headers["x-tollway-model"]) == (200, "complex")

    async def counted() -> bool:
        return await labelled(gateway, redis) == Counts(skipped=1)

    await until(counted)
    assert models.asked == ["complex"]
    labels = (("outcome", "NoAnswer"), POLICY[0])
    assert (await gateway.metrics())["tollway_route_labels_total"][labels] == 1


async def test_while_who_judges_is_away_nothing_more_is_left_to_the_simple_model(
    start: Start, floored: Setup, models: Models, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pair that found it away counts as one of which nobody can say; of the next nothing is asked for a while."""
    monkeypatch.setattr(judging, "PAUSES_S", (0.05, 0.05))
    models.is_away = True
    gateway = await start(floored)
    await gateway.ask(EASY)

    async def missing() -> bool:
        return await labelled(gateway, redis) == Counts(missing=1)

    await until(missing)
    for _ in range(3):
        assert (await gateway.ask(EASY)).headers["x-tollway-model"] == "complex"

    async def resting() -> bool:
        return await labelled(gateway, redis) == Counts(missing=1, skipped=3)

    await until(resting)
    assert models.asked.count("simple") == 1, "nobody pays for an answer that cannot be judged"


async def test_a_floor_that_the_simple_model_cannot_reach_leaves_it_nothing(
    start: Start, floored: Setup, models: Models, redis: Redis
) -> None:
    models.simple = BAD
    gateway = await start(floored)
    for times in range(1, 9):
        assert (await gateway.ask(EASY)).headers["x-tollway-model"] == "complex"
        await judged(gateway, redis, times)
    assert await labelled(gateway, redis) == Counts(wrong=8)

    async def said() -> bool:
        metrics = await gateway.metrics()
        bounds = {
            dict(labels)["bound"]: value for labels, value in metrics.get("ai_route_quality", {}).items()
        }
        return metrics.get("tollway_route_simple_share", {}).get(POLICY) == 0 and bounds.get("estimate") == 0

    await until(said)
