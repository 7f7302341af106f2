"""Whether what the watches have told us is all there is. Nothing is published before it is, since a snapshot of half
the objects would take the other half's tenants down; and a watch that has gone silent shows here.

A watch that had to begin anew, after a 410, lists what there is and says nothing of what was deleted meanwhile. That is
found here as well: what was known before a list was asked for, and is not in it, is gone.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

from tollway_api.inventory import SPEC_OF_KIND
from tollway_operator.errors import Forbidden, KubeFault, NotFound
from tollway_operator.kube import Kube
from tollway_operator.lasting_fault import LASTS_S
from tollway_operator.namespaces import Namespaces
from tollway_operator.objects import Objects

log = logging.getLogger(__name__)

_SOON_S: Final = 0.1  # from what a watch has told to a look
_LATER_S: Final = 0.5  # where not everything has come in that time
_AFTER_FAULT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Failing:
    """Since when a kind cannot be listed, and why."""

    fault: KubeFault
    since: float  # on the monotonic clock
    pause_s: float  # until it is tried again

    @property
    def lacks_from(self) -> float:
        """When the fault is first shown, as one that somebody must see to."""
        return self.since + (0.0 if isinstance(self.fault, NotFound | Forbidden) else LASTS_S)


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
        self._rhythm_s = stale_after_s / 4  # in which is looked whether a watch tells everything
        self._on_news = on_news
        self._begun_anew = asyncio.Event()
        self.complete = False
        self._failing: dict[str, _Failing] = {}  # by kinds that could not be listed the last time
        self._behind = set(SPEC_OF_KIND)  # kinds of which not everything listed had come the last time
        # When each is to be listed again, on the monotonic clock; at once where nothing is said.
        self._due: dict[str, float] = {}
        self._lacked = ""  # what was said of that last
        self._agreed: dict[str, float] = dict.fromkeys(SPEC_OF_KIND, monotonic())
        # When nothing could be known of a kind last, whatever its watch told.
        self._excused: dict[str, float] = {}

    @property
    def fault(self) -> str:
        """Why kinds could not be listed the last time; "" when all could."""
        return "; ".join(str(each.fault) for each in self._failing.values())

    @property
    def unlistable(self) -> frozenset[str]:
        """Kinds that could not be listed the last time."""
        return frozenset(self._failing)

    @property
    def undefined(self) -> list[str]:
        """Kinds whose definitions are gone."""
        return [kind for kind, each in self._failing.items() if isinstance(each.fault, NotFound)]

    @property
    def lacking(self) -> str:
        """Why kinds cannot be listed until somebody sees to that, as far as can be told, or ""."""
        now = monotonic()
        return "; ".join(str(each.fault) for each in self._failing.values() if each.lacks_from <= now)

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
        # What is listed before the watches have begun would have to be listed again.
        due_in_s, soon_s = _LATER_S, _SOON_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(due_in_s):
                    await self._begun_anew.wait()
            await asyncio.sleep(soon_s)
            due_in_s = await self.look()
            soon_s = min(2 * soon_s, _LATER_S) if self._behind else _SOON_S

    async def look(self) -> float:
        """At the kinds that are due, each by itself: one that cannot be listed after pauses that grow, one that has
        fallen behind at once, and another after a while, or when a watch has begun anew. For how many seconds there is
        nothing more to be done.
        """
        if self._begun_anew.is_set():
            self._begun_anew.clear()
            # The API server may have asked for time.
            self._due = {
                kind: self._due[kind] for kind, each in self._failing.items() if each.fault.retry_after_s
            }
        for kind in [each for each in SPEC_OF_KIND if self._due.get(each, 0.0) <= monotonic()]:
            if await self._agrees(kind):
                self._behind.discard(kind)
                pause_s = self._rhythm_s
            else:
                self._behind.add(kind)
                pause_s = self._failing[kind].pause_s if kind in self._failing else 0.0
            self._due[kind] = monotonic() + pause_s
        if not self._behind and not self.complete:
            self.complete = True
            log.info("complete", extra={"objects": len(self._objects)})
            self._on_news()
        if self.lacking != self._lacked:
            self._lacked = self.lacking
            self._on_news()  # also when only time has passed, since deletions wait for that no longer
        now = monotonic()
        turns = [each.lacks_from for each in self._failing.values() if each.lacks_from > now]
        return max(0.0, min(*self._due.values(), *turns) - now)

    async def _agrees(self, kind: str) -> bool:
        """Whether everything listed has come over the watch, in that version or a later one."""
        asked = monotonic()
        try:
            namespaces = await self._namespaces.standing()
            before = self._objects.of_kind(kind, namespaces)
            listed = await self._kube.versions(kind, namespaces)
        except KubeFault as fault:
            last = self._failing.get(kind)
            self._failing[kind] = _failing(fault, last, asked, self._rhythm_s)
            if last is None or str(fault) != str(last.fault):
                log.warning("cannot be listed", extra={"kind": kind, "reason": str(fault)})
                self._on_news()
            # Where it is not defined, or the API server is away or cannot list it, nothing can be known of the kind,
            # and a restart would not help. Of the others each has its own say.
            if not isinstance(fault, Forbidden):
                self._excused[kind] = monotonic()
            return False
        self._failing.pop(kind, None)
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


def _failing(fault: KubeFault, last: _Failing | None, asked: float, longest_s: float) -> _Failing:
    pause_s = min(last.pause_s * 2, longest_s) if last else _AFTER_FAULT_S
    return _Failing(fault, last.since if last else asked, max(pause_s, fault.retry_after_s))
