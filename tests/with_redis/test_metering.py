"""What a provider writes is kept within its hold, on a real ledger."""

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import orjson
import pytest
from redis.asyncio import Redis

from tests.budgets import FREE_OF_CHARGE, budgets_on, need
from tests.tenants import limit, tenant
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.adapters.tiktoken_tokenizers import TiktokenTokenizers
from tollway_dataplane.core.completions import usage_of, written_in_chunk
from tollway_dataplane.core.facts import JsonObject, Usage
from tollway_dataplane.ports import Chunk, HangUp
from tollway_dataplane.spending import metering
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.holds import Hold
from tollway_dataplane.spending.metering import Metering

ACME = tenant(limit(1_000))
# Whose tokenizer is not public: there may be half as many tokens again.
TOKENIZER = TiktokenTokenizers().of(FREE_OF_CHARGE)


def chunk(text: str, finish: str | None = None, **more: JsonObject) -> Chunk:
    event: JsonObject = {
        "id": "x",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}],
        **more,
    }
    return Chunk(orjson.dumps(event), event)


def streamed(*chunks: Chunk) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
    @asynccontextmanager
    async def stream() -> AsyncIterator[AsyncIterator[Chunk]]:
        async def each() -> AsyncIterator[Chunk]:
            for one in chunks:
                yield one

        yield each()

    return stream()


async def without_more(redis: Redis) -> tuple[Budgets, Hold]:
    """A hold that cannot grow, since others hold the rest."""
    ledger = RedisLedger(redis, 5.0)
    budgets = budgets_on(ledger)
    hold = await budgets.hold("r", ACME, FREE_OF_CHARGE, need(10, 500, counted=8))
    denied = await ledger.hold(ACME, "others", [1_000])
    assert denied is not None
    await ledger.hold(ACME, "others", [denied.left])
    return budgets, hold


async def test_an_answer_that_goes_on_past_its_bound_ends(redis: Redis) -> None:
    """Although the budget has room, and a piece has as many tokens as it likes."""
    budgets = budgets_on(RedisLedger(redis, 5.0))
    hold = await budgets.hold("r", tenant(limit(1_000_000)), FREE_OF_CHARGE, need(10, 40))
    hold.prompt = 7
    assert not hold.grows
    fitting = metering.MOST_OVER * 40 // TOKENIZER.count(" a lighthouse" * 5)
    stream = streamed(*(chunk(" a lighthouse" * 5) for _ in range(1_000)))
    async with Metering(budgets, hold, TOKENIZER, 1, HangUp()).within(stream) as chunks:
        events = [each.event async for each in chunks]
    assert [written_in_chunk(each) for each in events[:-2]] == [" a lighthouse" * 5] * fitting
    assert events[-2]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]
    assert (hold.cut, usage_of(events[-1])) == (
        metering.PAST_ITS_BOUND,
        Usage(7, hold.seen.completion_tokens),
    )


@pytest.mark.parametrize("pieces", [["a" * 300], [*"a lighthouse " * 6], [" " * 2_000, "\n" * 500]])
async def test_an_answer_that_keeps_to_its_bound_goes_on_however_it_comes(
    redis: Redis, pieces: list[str]
) -> None:
    budgets = budgets_on(RedisLedger(redis, 5.0))
    hold = await budgets.hold("r", tenant(limit(1_000_000)), FREE_OF_CHARGE, need(10, 40))
    stream = streamed(*map(chunk, pieces))
    async with Metering(budgets, hold, TOKENIZER, 1, HangUp()).within(stream) as chunks:
        assert [written_in_chunk(each.event) async for each in chunks] == pieces
    assert not hold.cut


def told() -> HangUp:
    """Of a provider that hears it."""
    hang_up = HangUp()
    hang_up.heard_by(lambda: True)
    return hang_up


async def test_a_hold_covers_as_many_tokens_as_there_may_really_be(redis: Redis) -> None:
    budgets = budgets_on(RedisLedger(redis, 5.0))
    hold = await budgets.hold("r", ACME, FREE_OF_CHARGE, need(10, 500))
    covered, stream = 0, streamed(*(chunk(" lamp") for _ in range(90)))
    async with Metering(budgets, hold, TOKENIZER, 1, HangUp()).within(stream) as chunks:
        async for _ in chunks:
            covered += hold.held.completion_tokens >= math.ceil(hold.written * 1.5)
    assert (hold.written, covered) == (90, 90)
    assert hold.held.completion_tokens >= 135


@pytest.mark.parametrize("says", [True, False])
async def test_of_an_answer_that_was_ended_the_providers_own_count_is_taken(redis: Redis, says: bool) -> None:
    """Which comes while it is heard out."""
    budgets, hold = await without_more(redis)
    count: JsonObject = {"prompt_tokens": 7, "completion_tokens": 64}
    last = chunk("", "stop", **({"usage": count} if says else {}))
    stream = streamed(*(chunk(" lamp") for _ in range(60)), last)
    async with Metering(budgets, hold, TOKENIZER, 1, told()).within(stream) as chunks:
        passed_on = [each async for each in chunks]
    assert "limit 'one' is used up" in hold.cut
    assert hold.seen == (Usage(7, 64) if says else Usage(8, 60, estimated=True))
    (usage,) = (each.event["usage"] for each in passed_on if each.event.get("usage"))
    assert isinstance(usage, dict)
    assert usage["completion_tokens"] == hold.seen.completion_tokens


async def test_what_came_while_this_process_was_busy_is_heard_although_the_time_for_it_is_over(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "STOPS_WITHIN_S", 0.05)
    budgets, hold = await without_more(redis)
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=ours)

        def be_busy() -> None:
            """It comes in the turn of the loop in which the timer is due, which is heard of first, as on uvloop."""
            time.sleep(0.1)
            asyncio.get_running_loop().call_soon(theirs.send, b" lamp\n")

        @asynccontextmanager
        async def stream() -> AsyncIterator[AsyncIterator[Chunk]]:
            async def each() -> AsyncIterator[Chunk]:
                for _ in range(60):
                    yield chunk(" lamp")
                asyncio.get_running_loop().call_soon(be_busy)
                while line := await reader.readline():
                    yield chunk(line.decode().rstrip())

            yield each()

        async with Metering(budgets, hold, TOKENIZER, 1, told()).within(stream()) as chunks:
            passed_on = [each async for each in chunks]
        writer.close()
    assert len(passed_on) < 60, "it was ended before"
    assert hold.written == 61
