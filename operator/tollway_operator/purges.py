"""What was purged at the admin port of some data plane, read from the cache Redis now and then for the statuses."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from tollway_api.epochs import Epochs
from tollway_operator.errors import StoreFault
from tollway_operator.redis_store import RedisStore

log = logging.getLogger(__name__)

EVERY_S: Final = 2.0


class PurgeReader:
    """`epochs` is None before they were read. A Redis that is away unsays nothing. `on_change` is told the epoch of the
    latest purge, and `settle` everything that Redis says, each time.
    """

    def __init__(
        self,
        cache: RedisStore,
        every_s: float,
        on_change: Callable[[int], None],
        settle: Callable[[Epochs], Awaitable[None]],
    ) -> None:
        self._cache = cache
        self._every_s = every_s
        self._on_change = on_change
        self._settle = settle
        self.epochs: Epochs | None = None

    async def run(self) -> None:
        """Runs for the life of the process."""
        fault = ""
        while True:
            try:
                found, fault = await self._cache.epochs(), ""
            except StoreFault as exc:
                if str(exc) != fault:
                    log.warning("what was purged is not known", extra={"reason": str(exc)})
                fault = str(exc)
            else:
                if found != self.epochs:
                    self.epochs = found
                    self._on_change(found.version)
                await self._settle(found)
            await asyncio.sleep(self._every_s)
