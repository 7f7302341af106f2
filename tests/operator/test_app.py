"""The operator's loops end together."""

import asyncio
import contextlib

import pytest

from tollway_operator.app import _until_first_ends


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
        await _until_first_ends(hard_of_hearing(), brief())
    assert ended
