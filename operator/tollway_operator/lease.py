"""Who leads: one replica at a time, by a Lease, as client-go's leader election uses it. Only the leader writes. How
often the Lease has changed hands is the fence under which snapshots are published and Redis is written to, so that a
leader which slept through its successor's election is refused.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic, time
from typing import Final

from tollway_api import wire
from tollway_operator.errors import Conflict, KubeFault, LeadershipLost, NotFound
from tollway_operator.kube import Kube, StoredLease

log = logging.getLogger(__name__)

LEASE_NAME: Final = "tollway-operator"
_RELEASE_S: Final = 5.0
_MOST_RELEASES: Final = 4


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds. A leader that could not renew for `deadline` stops writing; others wait for `duration`."""

    duration: int = 15
    deadline: float = 10.0
    retry: float = 2.0


class Leadership:
    """`run` seeks it and keeps it, `fence` proves it and `release` ends it. `standing_fence` is the largest under which
    anything stands.
    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        identity: str,
        standing_fence: Callable[[], Awaitable[int]],
        on_acquired: Callable[[], None],
        times: LeaseTimes = LeaseTimes(),
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._identity = identity
        self._standing_fence = standing_fence
        self._on_acquired = on_acquired
        self._times = times
        self._lease: StoredLease | None = None  # ours
        self._wanted: StoredLease | None = None  # asked for, and whether it is ours has not been answered
        self.fault = ""  # why the Lease could be neither taken nor renewed just now
        self._renewed = 0.0  # when the renewal that holds was asked for
        self._unanswered: dict[str, float] = {}  # by what they write: when later ones were asked for
        self._seen = ""  # another's version, and since when it stands
        self._seen_since = 0.0

    @property
    def leads(self) -> bool:
        """Whether the Lease still holds by our own clock, which goes on while a process is stopped: one that wakes too
        late does not lead at its first step.
        """
        return self._lease is not None and monotonic() - self._renewed < self._times.deadline

    def fence(self) -> int:
        """Asked before every write. Raises LeadershipLost."""
        if self._lease is None or not self.leads:
            raise LeadershipLost("this replica does not lead any more")
        return self._lease.transitions

    async def run(self) -> None:
        """Runs for the life of the process. Raises LeadershipLost once it had led and does not any more."""
        while True:
            began = monotonic()
            try:
                async with asyncio.timeout(self._times.deadline / 2):
                    await (self._renew(self._lease) if self._lease else self._seek())
                self.fault = ""
            except Conflict as conflict:
                if self._lease is not None:
                    raise LeadershipLost("another replica has taken the Lease") from conflict
            except (KubeFault, TimeoutError) as fault:
                self.fault = str(fault) or "the API server did not answer in time"
                log.warning("the Lease could not be asked for", extra={"reason": self.fault})
            if self._lease is not None and not self.leads:
                raise LeadershipLost(f"the Lease could not be renewed for {self._times.deadline:g} s")
            # What had no answer has taken its pause already.
            await asyncio.sleep(max(0.0, began + self._times.retry - monotonic()))

    async def _seek(self) -> None:
        try:
            found = await self._kube.lease(self._namespace, LEASE_NAME)
        except NotFound:
            # Where what stands cannot be read, the minutes since the epoch are more than any fence before.
            found = StoredLease("", "", int(time() // 60), self._times.duration, "")
        if found.resource_version != self._seen:
            self._seen, self._seen_since = found.resource_version, monotonic()
        # Another's clock is not ours, so what counts is how long we have seen it unchanged.
        expired = monotonic() - self._seen_since > (found.duration_s or self._times.duration)
        unanswered = self._wanted is not None and _same(found, self._wanted)
        if found.holder and not expired and not unanswered:
            return
        fence = await self._next_fence(found)
        asked = monotonic()
        wanted = StoredLease(self._identity, _now(), fence, self._times.duration, found.resource_version)
        self._wanted = wanted
        self._lease = await self._kube.write_lease(self._namespace, LEASE_NAME, wanted, _now())
        self._renewed, self._wanted = asked, None
        log.info("leads", extra={"fence": self._lease.transitions})
        self._on_acquired()

    async def _next_fence(self, found: StoredLease) -> int:
        """More than any fence before, which is not the Lease's to say alone: it may have been deleted, or restored from
        a backup, or what stands may have been written by hand. Behind that, every leader there will ever be would be
        told that a later one has written.
        """
        counted = found.transitions if found.transitions <= wire.MOST_FENCE else int(time() // 60)
        return max(counted, await self._standing_fence()) + 1

    async def _renew(self, lease: StoredLease) -> None:
        """Raises KubeFault; Conflict where another has taken it."""
        asked = monotonic()
        wanted = replace(lease, renewed=_now())
        self._unanswered[wanted.renewed] = asked
        try:
            self._lease = await self._kube.write_lease(self._namespace, LEASE_NAME, wanted, None)
        except Conflict:
            try:
                found = await self._kube.lease(self._namespace, LEASE_NAME)
            except NotFound:  # deleted, perhaps with what owned it; whoever makes it first has it
                await self._seek()
                return
            if not _same(found, lease):
                raise
            # One before has been done although no answer came. Others wait from when they saw it, which was not before
            # it was asked for; and much of its time is over, so another follows at once.
            self._lease = found
            self._renewed = max(self._renewed, self._unanswered.get(found.renewed, 0.0))
            await self._renew(found)
        else:
            self._renewed = asked
            self._unanswered.clear()

    async def release(self) -> None:
        """So that a successor need not wait. For who has stopped `run` and writes nothing more."""
        ours = self._lease if self.leads else self._wanted
        self._lease = self._wanted = None
        if ours is not None:
            with suppress(KubeFault, TimeoutError):
                async with asyncio.timeout(_RELEASE_S):
                    await self._free(ours)

    async def _free(self, ours: StoredLease) -> None:
        """`run` may have been stopped while a write of it was under way. If that has been done the version is another,
        and still ours; if it is yet to come, it finds another version than it names.
        """
        for _ in range(_MOST_RELEASES):
            freed = replace(ours, holder="", renewed=_now())
            try:
                await self._kube.write_lease(self._namespace, LEASE_NAME, freed, None)
            except Conflict:
                found = await self._kube.lease(self._namespace, LEASE_NAME)
                if not _same(found, ours):
                    return
                ours = found
            else:
                return


def _same(one: StoredLease, other: StoredLease) -> bool:
    """Whether they are of one leadership."""
    return (one.holder, one.transitions) == (other.holder, other.transitions)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
