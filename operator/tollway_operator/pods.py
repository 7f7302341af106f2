"""The data plane's pods: which there are, where, and which are ready. By a watch, so that one that appears later is
known at once.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from time import monotonic
from typing import Final

from tollway_operator.errors import KubeFault
from tollway_operator.kube import Kube
from tollway_operator.reports import DataPlanePod

log = logging.getLogger(__name__)

# Then the pods are listed anew: a watch whose connection has died without a word is so found out.
_WATCH_AT_MOST_S: Final = 60.0
_RETRY_S: Final = 1.0


class Pods:
    def __init__(
        self, kube: Kube, namespace: str, selector: Mapping[str, str], on_change: Callable[[], None]
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._selector = selector
        self._on_change = on_change
        self._known: dict[str, DataPlanePod] = {}
        self.listed_at: float | None = None

    @property
    def running(self) -> list[DataPlanePod]:
        """Those with an address that have not ended, by name."""
        return sorted(
            (pod for pod in self._known.values() if pod.address and not pod.gone), key=lambda pod: pod.name
        )

    @property
    def age_s(self) -> float:
        return monotonic() - self.listed_at if self.listed_at is not None else float("inf")

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            try:
                await self._follow()
            except KubeFault as fault:
                log.warning("pods cannot be watched", extra={"reason": str(fault)})
                await asyncio.sleep(max(_RETRY_S, fault.retry_after_s))

    async def _follow(self) -> None:
        found, version = await self._kube.pods(self._namespace, self._selector)
        self._replace({pod.uid: pod for pod in found})
        self.listed_at = monotonic()
        try:
            async with (
                asyncio.timeout(_WATCH_AT_MOST_S),
                aclosing(self._kube.watch_pods(self._namespace, self._selector, version)) as changes,
            ):
                async for pod in changes:
                    self._replace({**self._known, pod.uid: pod})
        except TimeoutError:
            return

    def _replace(self, known: dict[str, DataPlanePod]) -> None:
        if known != self._known:
            self._known = known
            self._on_change()
