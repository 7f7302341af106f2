"""Work in the background ends with its context, whatever happens to the cancellation on its way."""

import asyncio
from typing import Any

from tollway_dataplane.background import running


async def test_it_runs_while_the_context_is_open_and_not_after() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async with running(tick()):
        await asyncio.sleep(0.01)
    seen = ticks
    await asyncio.sleep(0.01)
    assert seen == ticks > 0


async def test_work_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = asyncio.Event()

    async def loses_the_first() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            lost.set()
        await asyncio.sleep(60)

    async with asyncio.timeout(10):
        async with running(loses_the_first()):
            await asyncio.sleep(0)
    assert lost.is_set()


async def test_what_it_raises_is_reported_at_once_and_ends_nothing() -> None:
    reports: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: reports.append(context))

    async def fails() -> None:
        raise ValueError("the file is gone")

    try:
        async with running(fails()):
            await asyncio.sleep(0.01)
            assert [report["message"] for report in reports] == [
                "work in the background ended: ValueError: the file is gone"
            ]
    finally:
        loop.set_exception_handler(before)
