"""The data plane's pods: which there are, where, and which are ready. By a watch, so that one that appears later is
known at once.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from time import monotonic
from typing import Final

from tollway_operator.errors import Forbidden, KubeFault
from tollway_operator.kube import Kube
from tollway_operator.reports import DataPlanePod

log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0


class Pods:
    """`fault` says why they could not be listed the last time, if they could not. They are listed anew a few times in
    `stale_after_s`: a watch whose connection has died without a word is so found out.
    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        selector: Mapping[str, str],
        stale_after_s: float,
        on_change: Callable[[], None],
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._selector = selector
        self._stale_after_s = stale_after_s
        self._on_change = on_change
        self._known: dict[str, DataPlanePod] = {}
        self._listed_at: float | None = None
        self._began_at = self._tried_at = monotonic()
        self._forbidden = False
        self.fault = ""

    @property
    def running(self) -> list[DataPlanePod]:
        """Those with an address that have not ended, by name; also those about to, which still serve what they have."""
        return sorted(
            (pod for pod in self._known.values() if pod.address and not pod.gone), key=lambda pod: pod.name
        )

    @property
    def age_s(self) -> float:
        """Since when they have not been listed."""
        return monotonic() - self._listed_at if self._listed_at is not None else float("inf")

    @property
    def stale(self) -> bool:
        """Whether nothing was heard of the API server for too long, not even a fault other than that it may not be
        asked.
        """
        return monotonic() - self._tried_at > self._stale_after_s

    @property
    def known(self) -> bool:
        return self.age_s < self._stale_after_s

    @property
    def unknown(self) -> str:
        """Why it is not known which pods there are, where that is not soon mended by asking again; "" otherwise."""
        return self.fault if not self.known and (self._forbidden or self._late) else ""

    @property
    def _late(self) -> bool:
        return monotonic() - self._began_at > self._stale_after_s

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            try:
                await self._follow()
            except KubeFault as fault:
                log.warning("pods cannot be watched", extra={"reason": str(fault)})
                self._forbidden = isinstance(fault, Forbidden)
                if not self._forbidden:
                    self._tried_at = monotonic()
                before, self.fault = self.unknown, str(fault)
                if self.unknown and not before:
                    self._on_change()
                await asyncio.sleep(max(_RETRY_S, fault.retry_after_s))

    async def _follow(self) -> None:
        found, version = await self._kube.pods(self._namespace, self._selector)
        before, self._listed_at, self.fault = self.known, monotonic(), ""
        self._tried_at = self._listed_at
        self._replace({pod.uid: pod for pod in found})
        if not before:
            self._on_change()  # that they are known is news as well, also where there are none
        try:
            async with (
                asyncio.timeout(self._stale_after_s / 4),
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
