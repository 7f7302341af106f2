"""What all data planes do, as each says it of itself to the others every few seconds. Only the console asks; while the
cache's Redis is away it knows of this one alone, and says so.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import Figures, FleetNews

_EVERY_S: Final = 5.0
# One that has been silent for so long is gone: it has missed three turns.
SILENT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Known:
    """`alone` says why others are not known of, where they are not."""

    figures: Sequence[Figures]  # by name
    alone: str = ""


class Fleet:
    """`own_id` tells this process from every other, also from one of the same name."""

    def __init__(self, news: FleetNews, own_id: str, own: Callable[[], Figures]) -> None:
        self._news = news
        self._own_id = own_id
        self.own = own

    async def known(self) -> Known:
        own = self.own()
        try:
            said = await self._news.exchange(self._own_id, own)
        except CacheFault as fault:
            return Known([own], f"the cache's Redis does not say what others do ({fault.reason})")
        return Known(sorted(said, key=lambda each: (each.name, each.since_s)))

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            with suppress(CacheFault):
                await self._news.exchange(self._own_id, self.own())
            await asyncio.sleep(_EVERY_S)
