"""What a provider writes is kept within its hold, on a real ledger."""

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import orjson
import pytest
from redis.asyncio import Redis

from tests.budgets import FREE_OF_CHARGE, budgets_on, need
from tests.tenants import limit, tenant
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.adapters.tiktoken_tokenizers import TiktokenTokenizers
from tollway_dataplane.core.facts import JsonObject, Usage
from tollway_dataplane.metering import Metering
from tollway_dataplane.ports import Chunk, HangUp

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


async def test_a_hold_covers_as_many_tokens_as_there_may_really_be(redis: Redis) -> None:
    budgets = budgets_on(RedisLedger(redis, 5.0))
    hold = await budgets.hold("r", ACME, FREE_OF_CHARGE, need(10, 500))
    metering, covered = Metering(budgets, hold, TOKENIZER, 1, HangUp()), 0
    async with metering.within(streamed(*(chunk(" lamp") for _ in range(90)))) as chunks:
        async for _ in chunks:
            covered += hold.held.completion_tokens >= math.ceil(hold.written * 1.5)
    assert (hold.written, covered) == (90, 90)
    assert hold.held.completion_tokens >= 135


@pytest.mark.parametrize("says", [True, False])
async def test_of_an_answer_that_was_ended_the_providers_own_count_is_taken(redis: Redis, says: bool) -> None:
    """Which comes while it is heard out."""
    ledger = RedisLedger(redis, 5.0)
    budgets = budgets_on(ledger)
    hold = await budgets.hold("r", ACME, FREE_OF_CHARGE, need(10, 500, counted=8))
    denied = await ledger.hold(ACME, "others", [1_000])
    assert denied is not None
    await ledger.hold(ACME, "others", [denied.left])
    hang_up = HangUp()
    hang_up.heard_by(lambda: True)
    metering = Metering(budgets, hold, TOKENIZER, 1, hang_up)
    count: JsonObject = {"prompt_tokens": 7, "completion_tokens": 64}
    last = chunk("", "stop", **({"usage": count} if says else {}))
    async with metering.within(streamed(*(chunk(" lamp") for _ in range(60)), last)) as chunks:
        passed_on = [each async for each in chunks]
    assert "limit 'one' is used up" in hold.cut
    assert hold.seen == (Usage(7, 64) if says else Usage(8, 60, estimated=True))
    (told,) = (each.event["usage"] for each in passed_on if each.event.get("usage"))
    assert isinstance(told, dict)
    assert told["completion_tokens"] == hold.seen.completion_tokens
