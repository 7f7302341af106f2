"""Tasks that belong together end together, and others go on."""

import asyncio
import contextlib

import pytest

from tollway_operator.tasks import until_first_ends


async def test_when_one_ends_the_others_do_although_one_misses_that_it_was_told() -> None:
    ended = []

    async def hard_of_hearing() -> None:
        # As a library does that takes it for a time-out of its own.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("it has ended")

    async def brief() -> None:
        raise LookupError("why they end")

    with pytest.raises(LookupError):
        await until_first_ends([asyncio.create_task(hard_of_hearing()), asyncio.create_task(brief())])
    assert ended


async def test_what_they_have_begun_and_left_behind_ends_too_and_nothing_else() -> None:
    strays: list[asyncio.Task[object]] = []
    other = asyncio.create_task(asyncio.sleep(60))

    async def begins_another_in_the_end() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            strays.append(asyncio.create_task(asyncio.sleep(60)))

    async def begins_something() -> None:
        strays.append(asyncio.create_task(begins_another_in_the_end()))
        await asyncio.sleep(0)

    await until_first_ends(
        [asyncio.create_task(begins_something())], lambda: {each for each in strays if not each.done()}
    )
    assert [each.cancelled() for each in strays] == [True, True]
    assert not other.done()
    other.cancel()
