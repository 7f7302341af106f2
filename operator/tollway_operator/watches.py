"""Whether what the watches have told us is all there is. Nothing is published before it is, since a snapshot of half
the objects would take the other half's tenants down; and a watch that has gone silent shows here.

A watch that had to begin anew, after a 410, lists what there is and says nothing of what was deleted meanwhile. That is
found here as well: what was known before a list was asked for, and is not in it, is gone.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

from tollway_api.inventory import SPEC_OF_KIND
from tollway_operator.errors import Forbidden, KubeFault, NotFound
from tollway_operator.kube import Kube
from tollway_operator.lasting import LASTS_S
from tollway_operator.namespaces import Namespaces
from tollway_operator.objects import Objects

log = logging.getLogger(__name__)

_SOON_S: Final = 0.5
_AFTER_FAULT_S: Final = 1.0


class Watches:
    """`complete` once everything that was there at one moment has arrived."""

    def __init__(
        self,
        kube: Kube,
        objects: Objects,
        namespaces: Namespaces,
        stale_after_s: float,
        on_news: Callable[[], None],
    ) -> None:
        self._kube = kube
        self._objects = objects
        self._namespaces = namespaces
        self._stale_after_s = stale_after_s
        self._on_news = on_news
        self._begun_anew = asyncio.Event()
        self.complete = False
        self._faults: dict[str, KubeFault] = {}  # why kinds could not be listed the last time
        self._failing_since: dict[str, float] = {}  # by kinds that could not
        self._agreed: dict[str, float] = dict.fromkeys(SPEC_OF_KIND, monotonic())
        # When nothing could be known of a kind last, whatever its watch told.
        self._excused: dict[str, float] = {}

    @property
    def fault(self) -> str:
        """Why kinds could not be listed the last time; "" when all could."""
        return "; ".join(map(str, self._faults.values()))

    @property
    def unlistable(self) -> frozenset[str]:
        """Kinds that could not be listed the last time."""
        return frozenset(self._faults)

    @property
    def undefined(self) -> list[str]:
        """Kinds whose definitions are gone."""
        return [kind for kind, fault in self._faults.items() if isinstance(fault, NotFound)]

    @property
    def lacking(self) -> str:
        """Why kinds cannot be listed until somebody sees to that, as far as can be told, or ""."""
        before = monotonic() - LASTS_S
        return "; ".join(
            str(fault)
            for kind, fault in self._faults.items()
            if isinstance(fault, NotFound | Forbidden) or self._failing_since[kind] <= before
        )

    @property
    def ages_s(self) -> dict[str, float]:
        """Since when a kind is not known to be up to date."""
        return {kind: monotonic() - at for kind, at in self._agreed.items()}

    @property
    def stale(self) -> str:
        """The kind whose watch tells us nothing, or "". One that can be listed again has half of the time for it."""
        at_least = {kind: at - self._stale_after_s / 2 for kind, at in self._excused.items()}
        known = {kind: max(at, at_least.get(kind, at)) for kind, at in self._agreed.items()}
        return next((kind for kind, at in known.items() if monotonic() - at > self._stale_after_s), "")

    def began_anew(self) -> None:
        """A watch has listed what there is, which it does at first and after a 410, or other kinds are watched."""
        self._begun_anew.set()

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            self._begun_anew.clear()
            behind = [kind for kind in SPEC_OF_KIND if not await self._agrees(kind)]
            if not behind and not self.complete:
                self.complete = True
                log.info("complete", extra={"objects": len(self._objects)})
                self._on_news()
            if self.complete and not behind:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._stale_after_s / 4):
                        await self._begun_anew.wait()
            pauses_s = (max(_AFTER_FAULT_S, fault.retry_after_s) for fault in self._faults.values())
            await asyncio.sleep(max(pauses_s, default=_SOON_S))

    async def _agrees(self, kind: str) -> bool:
        """Whether everything listed has come over the watch, in that version or a later one."""
        asked = monotonic()
        try:
            namespaces = await self._namespaces.standing()
            before = self._objects.of_kind(kind, namespaces)
            listed = await self._kube.versions(kind, namespaces)
        except KubeFault as fault:
            before_it, self._faults[kind] = self._faults.get(kind), fault
            self._failing_since.setdefault(kind, asked)
            if str(fault) != str(before_it):
                log.warning("cannot be listed", extra={"kind": kind, "reason": str(fault)})
                self._on_news()
            # Where it is not defined, or the API server is away or cannot list it, nothing can be known of the kind,
            # and a restart would not help. Of the others each has its own say.
            if not isinstance(fault, Forbidden):
                self._excused[kind] = monotonic()
            return False
        self._faults.pop(kind, None)
        self._failing_since.pop(kind, None)
        known = self._objects.of_kind(kind, namespaces)
        if gone := [uid for uid in before.keys() - listed.keys() if uid in known]:
            log.info("deleted unheard", extra={"kind": kind, "objects": len(gone)})
            self._objects.forget(gone)
            self._on_news()
        if any(known.get(uid, -1) < version for uid, version in listed.items()):
            # A list of thousands takes a while, and what it waits for gets on only while nothing is listed.
            await asyncio.sleep(monotonic() - asked)
            return False
        self._agreed[kind] = asked
        return True
