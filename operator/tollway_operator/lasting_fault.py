"""A fault that may pass by itself before anybody need hear of it, and is said once it lasts. Pure, given a clock."""

from collections.abc import Callable
from time import monotonic
from typing import Final

LASTS_S: Final = 10.0


class LastingFault:
    """`said` is what is in the way, or "" while that may still pass by itself. Once said it is until nothing is."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._why = ""
        self._say_from = 0.0

    def note(self, why: str, *, passes: bool = True) -> None:
        """What is in the way now; "" where nothing is. `passes` is whether it may be gone without anybody's doing."""
        now = self._clock()
        if not self._why:
            self._say_from = now + LASTS_S
        if not passes:
            self._say_from = min(self._say_from, now)
        self._why = why

    @property
    def said(self) -> str:
        return self._why if self._clock() >= self._say_from else ""
