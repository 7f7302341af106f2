"""What has happened to an object, told as an Event of it, for `kubectl describe`. Nobody waits for that: whoever has
something to tell leaves it here, and workers that have the patience tell it.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final

from tollway_operator.errors import KubeFault
from tollway_operator.kube import Kube, Moment
from tollway_operator.lease import Leadership
from tollway_operator.tasks import until_first_ends

log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
# More than the ten seconds that an admission webhook has by default, without which the API server may go on.
_PATIENT_S: Final = 12.0
_MOST: Final = 20_000  # a condition that turns with ten thousand objects, and another


class Events:
    """`reporter` is who tells."""

    def __init__(self, kube: Kube, leadership: Leadership, reporter: str) -> None:
        self._kube = kube
        self._leadership = leadership
        self._reporter = reporter
        self._untold = asyncio.Queue[Moment](_MOST)

    def announce(self, moment: Moment) -> None:
        """It is told soon. What is the oldest goes when there is too much of it."""
        if self._untold.full():
            self._untold.get_nowait()
            log.warning(
                "an event is left out, since there are too many", extra={"object": str(moment.identity)}
            )
        self._untold.put_nowait(moment)

    async def run(self) -> None:
        """Runs for the life of the process. Raises LeadershipLost."""
        await until_first_ends([asyncio.ensure_future(self._tell_all()) for _ in range(_AT_ONCE)])

    async def _tell_all(self) -> None:
        while True:
            moment = await self._untold.get()
            try:
                async with asyncio.timeout(_PATIENT_S):
                    await self._tell(moment)
            except (TimeoutError, KubeFault) as fault:  # such as where its namespace is being deleted as well
                why = str(fault) or f"the API server took longer than {_PATIENT_S:g} s"
                log.warning(
                    "an event could not be emitted", extra={"object": str(moment.identity), "reason": why}
                )

    async def _tell(self, moment: Moment) -> None:
        self._leadership.fence()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        await self._kube.emit(moment, now, self._reporter)
