"""A model that judges answers, and what became of the hits that were to be judged."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from time import time_ns
from typing import cast

from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.conftest import Start
from tests.dataplanes import Running, Setup
from tollway_api import wire
from tollway_api.error_control import Counts, Scale, tally_of

PASSWORD = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"
INDEX = "default/answers"


class ScriptedJudge:
    """A model that says what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.says = "yes"
        self.verdict: str | None = None  # on two answers, where that is something else
        self.is_away = False  # where it is to judge
        self.hangs = False
        self.refuses = False
        self.asked: list[dict[str, object]] = []

    @property
    def verdicts(self) -> list[dict[str, object]]:
        """Of those, where it was to judge."""
        return [each for each in self.asked if "You compare two answers" in str(each)]

    async def complete(self, request: Request) -> Response:
        self.asked.append(json.loads(await request.body()))
        is_to_judge = "You compare two answers" in str(self.asked[-1])
        if is_to_judge and self.is_away:
            return JSONResponse({"error": {"message": "away"}}, 503)
        if is_to_judge and self.refuses:
            return JSONResponse({"error": {"message": "not about this"}}, 400)
        if is_to_judge and self.hangs:
            await asyncio.sleep(60)
        says = self.verdict if is_to_judge and self.verdict is not None else self.says
        message = {"role": "assistant", "content": says}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
        return JSONResponse({"object": "chat.completion", "choices": [choice], "usage": usage})


def patient(start: Start) -> Start:
    """With deadlines that a busy machine keeps: what is late is a miss, and these tests are about hits."""

    async def begin(setup: Setup, **more: object) -> Running:
        patience = {"cache_read_deadline_s": 5.0, "cache_write_deadline_s": 5.0, "embed_deadline_s": 5.0}
        return await start(setup, **{**patience, **more})

    return begin


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(300):
        if await met():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not within 6 seconds")


async def outcomes(gateway: Running) -> dict[str, float]:
    counted = (await gateway.metrics()).get("tollway_cache_labels_total", {})
    return {dict(labels)["outcome"]: value for labels, value in counted.items()}


async def judged_as(gateway: Running, outcome: str, times: int = 1) -> None:
    async def found() -> bool:
        return (await outcomes(gateway)).get(outcome, 0) >= times

    await until(found)


async def labelled(redis: Redis) -> Counts:
    found = Counts()
    async for key in redis.scan_iter(f"{wire.label_prefix(INDEX)}*:*"):
        if await redis.type(key) == b"hash" and b":served:" not in key:
            for counts in tally_of(
                Scale.PROBABILITY, cast("dict[bytes, bytes]", await redis.hgetall(key))
            ).values():
                found = found.plus(counts)
    return found


async def counted(redis: Redis) -> tuple[int, int]:
    """Labels that say wrong, and right."""
    found = await labelled(redis)
    return found.wrong, found.right


async def primed(gateway: Running) -> None:
    """With an answer in memory, and word of purges that is fresh enough for it to be served."""

    async def is_trusted() -> bool:
        return gateway.dataplane.forgetting.is_trusted

    await until(is_trusted)
    await gateway.ask(PASSWORD)
    await gateway.stored()
    await until(is_trusted)


def newest_key(gateway: Running) -> str:
    """Under which a label of this moment is counted."""
    sample = wire.hits_of(gateway.snapshot.indexes[INDEX])
    assert sample is not None
    return wire.label_keys(sample, time_ns() // 1_000_000)[0]
