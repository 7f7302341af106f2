"""What requests leave behind: nothing in cycles, which only a walk over all objects finds, and that is hardly ever
taken. Whatever hangs on them stays until then: a request, its answer, and the snapshot on which it ran.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType

import pytest

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Running, Setup, until
from tests.servers import Provider, provider
from tollway_cli.simulator.latency import Latency

PROMPT = "Which day comes after Monday?"
# Longer than it takes until somebody looks whether the caller is still there.
SLOWLY = Latency("fixed", 0.1)


@pytest.fixture
def slow() -> Iterator[Provider]:
    with provider("slow", latency=SLOWLY, tokens_per_second=50.0) as each:
        yield each


@pytest.fixture
def _never_collected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def _answered(gateway: Running, _slow: Provider, _rich: Provider) -> None:
    assert (await gateway.ask(PROMPT)).source == "live"


async def _answered_from_memory(gateway: Running, _slow: Provider, _rich: Provider) -> None:
    await gateway.ask(PROMPT)
    await gateway.stored()
    assert (await gateway.ask(PROMPT)).source == "exact"
    assert (await gateway.ask("Which day is it that comes after Monday?")).status == 200


async def _streamed(gateway: Running, _slow: Provider, _rich: Provider) -> None:
    assert (await gateway.ask(PROMPT, stream=True)).status == 200


async def _left(gateway: Running, slow: Provider, _rich: Provider) -> None:
    url, body = f"{gateway.url}/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}]}
    for more in ({}, {"stream": True}):
        headers = {"authorization": f"Bearer {ACME_KEY}"}
        asking = asyncio.create_task(gateway.http.post(url, json={**body, **more}, headers=headers))
        await until(lambda: slow.seen()["in_flight"] == 1)
        if more:
            (await asking).close()
        asking.cancel()
        await until(lambda: not slow.seen()["in_flight"])


async def _refused(gateway: Running, _slow: Provider, _rich: Provider) -> None:
    statuses = [(await gateway.ask(prompt, key=BETA_KEY)).status for prompt in ("one", "two")]
    assert statuses == [200, 429]


async def _answered_by_another(gateway: Running, slow: Provider, _rich: Provider) -> None:
    slow.fail("rate-limit")
    assert (await gateway.ask(PROMPT)).headers["x-tollway-fallbacks"] == "1"
    assert (await gateway.ask("Which month comes after May?", stream=True)).status == 200


async def _answered_by_nobody(gateway: Running, slow: Provider, rich: Provider) -> None:
    slow.fail("rate-limit")
    rich.fail("server-error")
    assert (await gateway.ask(PROMPT)).status == 503


async def _not_understood(gateway: Running, _slow: Provider, _rich: Provider) -> None:
    assert (await gateway.post("/v1/chat/completions", b"{}")).status == 400
    assert (await gateway.ask(PROMPT, key="nobody's")).status == 401


@pytest.mark.usefixtures("_never_collected")
@pytest.mark.parametrize(
    "asked",
    [
        _answered,
        _answered_from_memory,
        _streamed,
        _left,
        _refused,
        _answered_by_another,
        _answered_by_nobody,
        _not_understood,
    ],
)
async def test_requests_leave_nothing_in_cycles(
    start: Start,
    setup: Setup,
    slow: Provider,
    rich: Provider,
    asked: Callable[[Running, Provider, Provider], Awaitable[None]],
) -> None:
    limits = [{"name": "one", "unit": "Requests", "amount": "1"}]
    gateway = await start(setup.but(cheap=slow.endpoint, beta={"limits": limits}))
    gc.collect()
    await asked(gateway, slow, rich)
    assert _ours_in_cycles() == set()


def _ours_in_cycles() -> set[str]:
    """Frames and types of the data plane; clients and providers of tests have cycles of their own."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        frames = [each.f_code for each in gc.garbage if isinstance(each, FrameType)]
        types = [type(each) for each in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    return {code.co_qualname for code in frames if "tollway_dataplane" in code.co_filename} | {
        each.__qualname__ for each in types if each.__module__.startswith("tollway_dataplane")
    }
