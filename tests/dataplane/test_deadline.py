"""What is late is cancelled and told so, and whoever is cancelled by others is not late."""

import asyncio

import pytest

from tollway_dataplane.deadline import Within


async def test_what_is_there_in_time_is_left_alone() -> None:
    with Within(60.0):
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_what_is_late_is_cancelled_and_the_task_goes_on() -> None:
    with pytest.raises(TimeoutError), Within(0.01):
        await asyncio.sleep(60)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_goes_wrong_by_itself_is_told_as_it_is() -> None:
    with pytest.raises(ValueError, match="by itself"), Within(60.0):
        raise ValueError("by itself")


@pytest.mark.parametrize("seconds", [60.0, 0.0], ids=["in time", "late"])
async def test_who_is_cancelled_by_others_is_cancelled(seconds: float) -> None:
    """Also in the very turn of the event loop in which it is late."""

    async def wait() -> None:
        with Within(seconds):
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.0, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_innermost_of_two_that_is_late_says_so() -> None:
    with Within(60.0):
        with pytest.raises(TimeoutError), Within(0.01):
            await asyncio.sleep(60)
        await asyncio.sleep(0)
