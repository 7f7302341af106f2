"""What statuses say of Redis: read now and then, over the current snapshot, and kept with why it is not known. `usage`
and `labels` say what is read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from tollway_api.snapshot import Snapshot
from tollway_operator.errors import StoreFault

log = logging.getLogger(__name__)

_SOON_S: Final = 0.1

FoundT = TypeVar("FoundT")


class Poller(Generic[FoundT]):
    """`found` is what was read last, `nothing` before that; `fault` says why it is not known, or no longer. `read`
    raises StoreFault; `complaint` is what the log says then.
    """

    def __init__(
        self,
        read: Callable[[Snapshot], Awaitable[FoundT]],
        nothing: FoundT,
        complaint: str,
        every_s: float,
        on_change: Callable[[], None],
    ) -> None:
        self._read = read
        self._complaint = complaint
        self._every_s = every_s
        self._on_change = on_change
        self.found = nothing
        self.fault = ""
        self.has_read = False

    async def run(self, current: Callable[[], Snapshot | None]) -> None:
        """Runs for the life of the process. `current` is None before anything is compiled."""
        while True:
            snapshot = current()
            if snapshot is None:
                await asyncio.sleep(_SOON_S)
                continue
            before = (self.found, self.fault, self.has_read)
            try:
                self.found, self.fault = await self._read(snapshot), ""
                self.has_read = True
            except StoreFault as fault:
                self.fault = str(fault)
                if self.fault != before[1]:
                    log.warning(self._complaint, extra={"reason": self.fault})
            if (self.found, self.fault, self.has_read) != before:
                self._on_change()
            await asyncio.sleep(self._every_s)
