"""Whether what the watches have told us is all there is. Nothing is published before it is, since a snapshot of half
the objects would take the other half's tenants down; and a watch that has gone silent shows here.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from tollway_api.inventory import SPEC_OF_KIND
from tollway_operator.errors import KubeFault
from tollway_operator.kube import Kube
from tollway_operator.objects import Objects

log = logging.getLogger(__name__)

_UNTIL_COMPLETE_S: Final = 0.5
_EVERY_S: Final = 60.0
_STALE_AFTER_S: Final = 240.0


class Watches:
    """`complete` once everything that was there at one moment has arrived."""

    def __init__(
        self, kube: Kube, objects: Objects, namespaces: Sequence[str], on_complete: Callable[[], None]
    ) -> None:
        self._kube = kube
        self._objects = objects
        self._namespaces = namespaces
        self._on_complete = on_complete
        self.complete = False
        self._agreed: dict[str, float] = dict.fromkeys(SPEC_OF_KIND, monotonic())

    @property
    def ages_s(self) -> dict[str, float]:
        """Since when a kind is not known to be up to date."""
        return {kind: monotonic() - at for kind, at in self._agreed.items()}

    @property
    def stale(self) -> str:
        """The kind whose watch tells us nothing, or ""."""
        return next((kind for kind, age in self.ages_s.items() if age > _STALE_AFTER_S), "")

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            behind = [kind for kind in SPEC_OF_KIND if not await self._agrees(kind)]
            if not behind and not self.complete:
                self.complete = True
                log.info("complete", extra={"objects": len(self._objects)})
                self._on_complete()
            await asyncio.sleep(_EVERY_S if self.complete and not behind else _UNTIL_COMPLETE_S)

    async def _agrees(self, kind: str) -> bool:
        """Whether everything listed has come over the watch, in that version or a later one."""
        asked = monotonic()
        try:
            listed = await self._kube.versions(kind, self._namespaces)
        except KubeFault as fault:
            log.warning("cannot be listed", extra={"kind": kind, "reason": str(fault)})
            # Without the API server no watch is fresh, and restarting would not help: it is not our fault.
            self._agreed[kind] = max(self._agreed[kind], asked - _STALE_AFTER_S / 2)
            await asyncio.sleep(max(1.0, fault.retry_after_s))
            return False
        known = self._objects.of_kind(kind)
        if any(known.get(uid, -1) < version for uid, version in listed.items()):
            return False
        self._agreed[kind] = asked
        return True
