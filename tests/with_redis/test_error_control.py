"""The error bound on real parts: hits are sampled, answered live and judged; labels move the operating point of every
data plane; a wrong entry is gone everywhere.
"""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Running, Setup
from tests.judges import (
    INDEX,
    PARAPHRASE,
    PASSWORD,
    ScriptedJudge,
    counted,
    judged_as,
    newest_key,
    patient,
    primed,
    until,
)
from tests.servers import Provider
from tollway_api import wire
from tollway_api.error_control import POINTS, Label, Scale, label_field
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_forgetter import RedisForgetter
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.errors import CacheFault


@pytest.fixture
def start(start: Start) -> Start:
    return patient(start)


@pytest.fixture
async def redis(cache_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with Redis.from_url(cache_redis.url, protocol=2) as client:
        yield client


async def operates_at(gateway: Running, point: float) -> None:
    async def found() -> bool:
        points = (await gateway.metrics()).get("tollway_cache_operating_point", {})
        return points.get((("index", INDEX),)) == point

    await until(found)


async def prove(redis: Redis, gateway: Running) -> None:
    """As if much traffic had been judged, and found right."""
    await redis.hset(
        newest_key(gateway), label_field(Scale.PROBABILITY, POINTS.index(0.95), Label.RIGHT), "5000"
    )


async def test_before_anything_is_proven_near_matches_are_answered_live_and_judged(
    start: Start, judged: Callable[..., Setup], judge: ScriptedJudge, redis: Redis
) -> None:
    gateway = await start(judged(sampleRate="0%"))
    await primed(gateway)
    reply = await gateway.ask(PARAPHRASE)
    assert (reply.source, reply.headers["x-tollway-cache-reason"]) == ("live", "ErrorBound")
    await judged_as(gateway, "Right")
    assert await counted(redis) == (0, 1)
    (asked,) = judge.asked
    messages = asked["messages"]
    assert isinstance(messages, list)
    given = json.loads(messages[-1]["content"])
    assert given["conversation"] == [{"role": "user", "content": PARAPHRASE}]
    assert given["answer A"] != given["answer B"] == reply.content


async def test_what_is_proven_is_served_by_every_data_plane(
    start: Start, judged: Callable[..., Setup], redis: Redis
) -> None:
    one, other = await start(judged()), await start(judged())
    await primed(one)
    await prove(redis, one)
    for gateway in (one, other):
        await operates_at(gateway, 0.95)
        assert (await gateway.ask(PARAPHRASE)).source == "semantic"
    accuracy = (await other.metrics())["ai_cache_hit_accuracy"]
    shown = {dict(labels)["bound"]: value for labels, value in accuracy.items()}
    assert 0.99 < shown["lower"] < shown["estimate"] == shown["upper"] == 1
    verdict = (await other.metrics())["tollway_cache_accuracy_verdict"]
    assert verdict == {(("index", INDEX), ("verdict", "Met")): 1}


async def test_the_sampled_share_of_hits_is_judged_behind_the_reply(
    start: Start, judged: Callable[..., Setup], cheap: Provider, redis: Redis
) -> None:
    gateway = await start(judged(onBreach="Tighten"))
    completions = gateway.acme.chat.completions  # the client imports it now, and holds up the loop for long
    await primed(gateway)
    stream = await completions.create(
        model="auto", messages=[{"role": "user", "content": PARAPHRASE}], stream=True
    )
    assert stream.response.headers["x-tollway-cache-reason"] == "Semantic"
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == (await gateway.ask(PASSWORD)).content, "served from memory"
    await judged_as(gateway, "Right")
    assert await counted(redis) == (0, 1)
    assert cheap.total == 2, "the first question, and the paraphrase behind the reply"
    cost = (await gateway.metrics())["ai_cost_per_tenant"]
    assert cost[(("tenant", "acme"),)] > 0

    async def logged() -> bool:
        return [line.get("operation") for line in gateway.log_lines()].count("judging") == 2

    await until(logged)


async def test_a_wrong_entry_is_gone_everywhere_and_its_own_answer_takes_its_place(
    start: Start, judged: Callable[..., Setup], judge: ScriptedJudge, redis: Redis
) -> None:
    judge.says = "No."
    one, other = await start(judged(onBreach="Tighten")), await start(judged(onBreach="Tighten"))
    await primed(one)
    assert (await other.ask(PASSWORD)).source == "exact", "and is now in that process as well"
    assert (await one.ask(PARAPHRASE)).source == "semantic"
    await judged_as(one, "Wrong")
    assert await counted(redis) == (1, 0)
    assert (await one.ask(PARAPHRASE)).source == "exact", "the live answer beside which it was judged"

    async def forgotten() -> bool:
        return (await other.ask(PASSWORD)).source != "exact"

    await until(forgotten)


async def say(
    gateway: Running, request_id: str | None, word: str | None, key: str = ACME_KEY
) -> tuple[int, dict[str, object]]:
    given = {"x-tollway-request-id": request_id, "x-tollway-feedback": word}
    headers = {name: value for name, value in given.items() if value is not None}
    reply = await gateway.post("/v1/feedback", b"", key, headers)
    return reply.status, reply.json


async def hit(gateway: Running, redis: Redis) -> str:
    """The id of a reply by meaning, once it is noted."""
    await primed(gateway)
    reply = await gateway.ask(PARAPHRASE)
    assert reply.source == "semantic"
    request_id = reply.headers["x-tollway-request-id"]

    async def noted() -> bool:
        return bool(await redis.exists(wire.served_key(INDEX, request_id)))

    await until(noted)
    return request_id


async def test_users_labels_count_once_where_they_are_the_judge(
    start: Start, judged: Callable[..., Setup], redis: Redis, cheap: Provider
) -> None:
    gateway = await start(judged(onBreach="Tighten", judge={"type": "Labels"}))
    request_id = await hit(gateway, redis)
    assert await say(gateway, request_id, "right") == (200, {"request_id": request_id, "outcome": "Counted"})
    assert (await say(gateway, request_id, "wrong"))[1]["outcome"] == "AlreadyJudged"
    assert await counted(redis) == (0, 1)
    assert cheap.total == 1, "nothing is asked again"
    assert (await gateway.ask(PASSWORD)).source == "live", "but what is said to be wrong goes"


async def test_a_caller_may_say_that_a_reply_was_wrong_and_the_entry_is_gone(
    start: Start, judged: Callable[..., Setup], redis: Redis
) -> None:
    gateway = await start(judged(onBreach="Tighten", sampleRate="0%"))
    request_id = await hit(gateway, redis)
    assert (await say(gateway, request_id, "WRONG"))[1]["outcome"] == "Noted"
    assert (await gateway.ask(PASSWORD)).source == "live"
    assert await counted(redis) == (0, 0), "what only the dissatisfied say is no fair sample"


async def test_a_complaint_takes_nothing_out_of_the_judges_sample(
    start: Start, judged: Callable[..., Setup], judge: ScriptedJudge, redis: Redis
) -> None:
    judge.says = "no"
    gateway = await start(judged(onBreach="Tighten"))
    await primed(gateway)
    request_id = (await gateway.ask(PARAPHRASE)).headers["x-tollway-request-id"]

    async def said() -> bool:
        return (await say(gateway, request_id, "wrong"))[0] == 200

    await until(said)
    await judged_as(gateway, "Wrong")
    assert await counted(redis) == (1, 0)


async def test_what_the_judge_found_right_and_its_caller_wrong_is_evicted(
    start: Start, judged: Callable[..., Setup], judge: ScriptedJudge
) -> None:
    judge.says = "yes"
    gateway = await start(judged(onBreach="Tighten"))
    await primed(gateway)
    reply = await gateway.ask(PARAPHRASE)
    await judged_as(gateway, "Right")
    assert (await say(gateway, reply.headers["x-tollway-request-id"], "wrong"))[0] == 200
    assert (await gateway.ask(PASSWORD)).source == "live"


async def test_what_could_not_be_evicted_is_when_it_is_said_again(
    start: Start, judged: Callable[..., Setup], redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start(judged(onBreach="Tighten", judge={"type": "Labels"}))
    request_id = await hit(gateway, redis)

    async def broken(*_: object) -> None:
        raise CacheFault(CacheReason.CACHE_TIMEOUT, "evict")

    with monkeypatch.context() as patched:
        patched.setattr(RedisForgetter, "evict", broken)
        assert (await say(gateway, request_id, "wrong"))[0] == 503
    assert (await say(gateway, request_id, "wrong"))[1]["outcome"] == "Counted"
    assert await counted(redis) == (1, 0)
    assert not [key async for key in redis.scan_iter(wire.entry_pattern(INDEX))]


async def test_nobody_judges_anothers_reply(start: Start, judged: Callable[..., Setup], redis: Redis) -> None:
    gateway = await start(judged(onBreach="Tighten", sampleRate="0%"))
    request_id = await hit(gateway, redis)
    theirs, unknown = await say(gateway, request_id, "wrong", BETA_KEY), await say(gateway, "req-1", "wrong")
    assert theirs == unknown
    assert theirs[0] == 404
    assert (await say(gateway, request_id, "wrong", "no-such-key"))[0] == 401
    assert (await gateway.ask(PASSWORD)).source == "exact"


@pytest.mark.parametrize(
    ("request_id", "word", "param"),
    [
        (None, "wrong", "x-tollway-request-id"),
        ("r" * 129, "wrong", "x-tollway-request-id"),
        ("r", None, "x-tollway-feedback"),
        ("r", "bad", "x-tollway-feedback"),
    ],
)
async def test_feedback_that_is_incomplete_is_told_what_it_lacks(
    gateway: Running, request_id: str | None, word: str | None, param: str
) -> None:
    status, body = await say(gateway, request_id, word)
    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["param"]) == (400, param)


async def test_on_the_admin_port_any_tenants_reply_may_be_judged_by_who_has_the_token(
    start: Start, judged: Callable[..., Setup], redis: Redis, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("t")
    gateway = await start(judged(onBreach="Tighten", judge={"type": "Labels"}), admin_token_dir=tmp_path)
    request_id = await hit(gateway, redis)

    async def post(token: str, body: object) -> tuple[int, str]:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        url = f"{gateway.admin_url}/feedback"
        async with gateway.http.post(url, data=json.dumps(body), headers=headers) as response:
            return response.status, await response.text()

    said = {"request_id": request_id, "feedback": "wrong"}
    assert (await post("other", said))[0] == 401
    assert (await post("t", {"request_id": request_id}))[0] == 400
    assert (await post("t", {**said, "request_id": "req-1"}))[0] == 404
    assert await post("t", said) == (200, '{"outcome":"Counted"}')
    assert await counted(redis) == (1, 0)
    assert (await gateway.ask(PASSWORD)).source == "live"


async def test_labels_that_redis_does_not_take_fail_no_request(
    start: Start, judged: Callable[..., Setup], redis: Redis
) -> None:
    gateway = await start(judged(onBreach="Tighten"))
    await primed(gateway)
    await operates_at(gateway, 0.95)
    await redis.set(newest_key(gateway), "somebody else's")
    assert (await gateway.ask(PARAPHRASE)).source == "semantic"
    await judged_as(gateway, "Lost")
    await operates_at(gateway, 0.95)
