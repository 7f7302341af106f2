"""Identical requests at the same time are one call, and nobody waits for ever or for another tenant."""

import asyncio
from collections import Counter

import pytest

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Running, Setup
from tests.servers import provider
from tests.with_redis.test_streams import collect
from tollway_cli.simulator.answers import answer_for
from tollway_cli.simulator.latency import Latency

PROMPT = "What is a lighthouse?"
MANY = 12


async def asked_at_once(gateway: Running, key: str = ACME_KEY, count: int = MANY) -> Counter[str]:
    """How many came from where."""
    replies = await asyncio.gather(*(gateway.ask(PROMPT, key) for _ in range(count)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    return Counter(f"{reply.source} {reply.headers['x-tollway-cache-reason']}" for reply in replies)


async def test_concurrent_identical_misses_become_one_call(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 0.3)) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint))
        found = await asked_at_once(gateway)
        assert slow.total == 1
        assert found == {"live NoNeighbour": 1, "exact Coalesced": MANY - 1}


async def test_a_stream_is_waited_for_as_well(start: Start, setup: Setup) -> None:
    with provider("slow", tokens_per_second=40.0) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint))
        answers = await asyncio.gather(*(collect(gateway.acme, PROMPT, usage=False) for _ in range(4)))
        assert slow.total == 1
        assert {text for text, _, _ in answers} == {answer_for("slow", "gpt-4o-mini", PROMPT)}


async def test_tenants_wait_for_their_own_alone(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 0.3)) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint))
        await asyncio.gather(asked_at_once(gateway, ACME_KEY), asked_at_once(gateway, BETA_KEY))
        assert slow.total == 2


async def test_who_has_waited_long_enough_asks_for_itself(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 1.0)) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint), coalesce_wait_s=0.1)
        assert set(await asked_at_once(gateway, count=3)) == {"live NoNeighbour"}
        assert slow.total == 3


async def test_when_who_asked_got_no_answer_the_others_ask(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 0.3)) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint, rich=slow.endpoint))
        slow.fail("server-error", times=2)  # the first one's attempt and its fallback
        replies = await asyncio.gather(*(gateway.ask(PROMPT) for _ in range(4)))
        assert sorted(reply.status for reply in replies) == [200, 200, 200, 503]


async def test_when_who_asked_has_gone_the_others_ask(start: Start, setup: Setup) -> None:
    with provider("slow", latency=Latency("fixed", 0.5)) as slow:
        gateway = await start(setup.but(cheap=slow.endpoint))
        first = asyncio.create_task(gateway.ask(PROMPT))
        await asyncio.sleep(0.2)
        others = [asyncio.create_task(gateway.ask(PROMPT)) for _ in range(2)]
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert {reply.status for reply in await asyncio.gather(*others)} == {200}
