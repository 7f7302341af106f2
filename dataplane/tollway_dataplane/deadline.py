"""`Within`: what `asyncio.timeout` does, at half of its cost, where each request has one and hardly any is late. And
`guarded`, by which what has not to wait for anything needs no timer at all.
"""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import AbstractContextManager
from types import coroutine
from typing import TypeVar, cast

Result = TypeVar("Result")


@coroutine
def guarded(
    work: Coroutine[object, None, Result], guard: AbstractContextManager[None]
) -> Generator[object, None, Result]:
    """What `work` comes to, within `guard`, which is entered where it has to wait for the first time: most of what is
    asked does not have to, and to set a timer takes longer than to read a body that has come.
    """
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        return cast("Result", done.value)
    with guard:
        try:
            while True:  # what `yield from` does
                try:
                    yield waits_for
                except GeneratorExit:
                    work.close()
                    raise
                except BaseException as exc:  # noqa: BLE001 - its own business
                    del waits_for  # which an exception of its own would keep, and it that exception
                    waits_for = work.throw(exc)
                else:
                    del waits_for
                    waits_for = work.send(None)
        except StopIteration as done:
            return cast("Result", done.value)


class Within:
    """Cancels the body of the `with` when its time is over, and raises TimeoutError then."""

    __slots__ = ("_before", "_is_late", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_late = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = cast(
            "asyncio.Task[object]", asyncio.current_task(loop)
        )  # there is one where a loop runs
        self._before = self._task.cancelling()
        self._timer = loop.call_later(self._seconds, self._expire)

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        self._timer.cancel()
        # Whoever was cancelled by others as well is cancelled, and not late.
        if (
            self._is_late
            and self._task.uncancel() <= self._before
            and isinstance(exc, asyncio.CancelledError)
        ):
            raise TimeoutError from exc

    def _expire(self) -> None:
        self._is_late = True
        self._task.cancel()
