"""What is late is cancelled and told so, and whoever is cancelled by others is not late."""

import asyncio
import gc
import weakref
from contextlib import AbstractContextManager, suppress

import pytest

from tollway_dataplane.deadline import Within, guarded


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


class _Guard(AbstractContextManager[None]):
    """Notes that it was entered, and what it was left with."""

    def __init__(self) -> None:
        self.entered = 0
        self.left_with: list[type[BaseException] | None] = []

    def __enter__(self) -> None:
        self.entered += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.left_with.append(kind)


async def _after(turns: int, error: Exception | None = None) -> str:
    for _ in range(turns):
        await asyncio.sleep(0)
    if error is not None:
        raise error
    return "done"


@pytest.mark.parametrize(("turns", "entered"), [(0, 0), (1, 1), (3, 1)])
async def test_a_guard_is_entered_once_and_only_where_something_is_waited_for(
    turns: int, entered: int
) -> None:
    """What is there at once comes to the same."""
    guard = _Guard()
    assert await guarded(_after(turns), guard) == "done"
    assert (guard.entered, guard.left_with) == (entered, [None] * entered)


@pytest.mark.parametrize("turns", [0, 2])
async def test_what_goes_wrong_within_a_guard_is_told_as_it_is(turns: int) -> None:
    """Before anything was waited for, and after that."""
    with pytest.raises(ValueError, match="by itself"):
        await guarded(_after(turns, ValueError("by itself")), _Guard())


async def test_what_is_late_within_a_guard_is_cancelled_and_may_end_in_its_own_way() -> None:
    """It waits again to do so, as what settles does."""
    ended = list[str]()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("settled")

    with pytest.raises(TimeoutError):
        await guarded(work(), Within(0.01))
    assert ended == ["settled"]


async def test_what_is_guarded_is_closed_with_who_waits_for_it() -> None:
    """As a task is that is thrown away."""
    guard = _Guard()

    async def wait() -> str:
        return await guarded(_after(2), guard)

    waiting = wait()
    waiting.send(None)
    waiting.close()
    assert guard.left_with == [GeneratorExit]


class _OwnError(Exception):
    """One that nobody else raises."""


def _failing(errors: "list[weakref.ref[_OwnError]]") -> "asyncio.Future[None]":
    loop, error = asyncio.get_running_loop(), _OwnError()
    waited_for = loop.create_future()
    loop.call_soon(waited_for.set_exception, error)
    errors.append(weakref.ref(error))
    return waited_for


async def test_what_fails_within_a_guard_keeps_nothing_until_garbage_is_looked_for() -> None:
    """What was waited for has the error, which has the frames that waited for it."""
    errors: list[weakref.ref[_OwnError]] = []

    async def work() -> None:
        await _failing(errors)

    gc.disable()
    try:
        with suppress(_OwnError):
            await guarded(work(), _Guard())
        await asyncio.sleep(0)
        assert [each() for each in errors] == [None]
    finally:
        gc.enable()
