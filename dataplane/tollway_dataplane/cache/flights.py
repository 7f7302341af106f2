"""Identical requests at the same time: one asks, the others wait for its answer, but not for ever."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial


@dataclass(slots=True, eq=False)
class Flight:
    """Somebody's asking. Whoever has begun one must land it, however the asking ends; landing again does nothing."""

    is_waited_for: bool = False
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    _afterwards: list[Callable[[], object]] = field(default_factory=list)

    def then(self, what: Callable[[], object]) -> None:
        """Notes what to do when the flight lands."""
        self._afterwards.append(what)

    def land(self) -> None:
        if not self.landed.is_set():
            self.landed.set()
            for each in self._afterwards:
                each()


class Flights:
    """Those of this process, by what is asked for."""

    def __init__(self) -> None:
        self._under_way: dict[str, Flight] = {}

    async def another(self, key: str, within_s: float) -> bool:
        """Whether somebody was asking for the same and has landed within that time."""
        flight = self._under_way.get(key)
        if flight is None:
            return False
        try:
            async with asyncio.timeout(within_s):
                await flight.landed.wait()
        except TimeoutError:
            return False
        return True

    def begin(self, key: str) -> Flight:
        """Others wait for it unless they wait for somebody else already."""
        if key in self._under_way:
            return Flight()
        flight = self._under_way[key] = Flight(is_waited_for=True)
        flight.then(partial(self._under_way.pop, key))
        return flight
