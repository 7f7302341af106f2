"""The Secrets that objects name, read one by one, because a watch would need to see all of them. A missing one is
looked for often; one that is there is read again in turn, at a bounded rate, so that a rotated key is found. One that
cannot be read is not taken for missing: what it said last stands, also if that was to an operator before this one.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Final

from tollway_api.inventory import SecretKey
from tollway_operator.errors import Forbidden, KubeFault, NotFound, Unanswered
from tollway_operator.kube import Kube
from tollway_operator.lasting_fault import LASTS_S

log = logging.getLogger(__name__)

_AT_ONCE: Final = 16
_MISSING_EVERY_S: Final = 2.0
_PER_SECOND: Final = 20
_PATIENT_S: Final = 60.0  # with an API server that has no time


class Secrets:
    """`values` holds what was found. What is not in it is not there, or it is in `unreadable`, which says why."""

    def __init__(self, kube: Kube, refresh_s: float, on_change: Callable[[], None]) -> None:
        self._kube = kube
        self._refresh_s = refresh_s
        self._on_change = on_change
        self._read_at: dict[SecretKey, float] = {}
        self._failing_since: dict[SecretKey, float] = {}  # those of which nothing is known
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.values: dict[SecretKey, Mapping[str, str]] = {}
        self.unreadable: dict[SecretKey, str] = {}

    async def want(self, wanted: Iterable[SecretKey]) -> None:
        """Reads those never read, and forgets those no longer wanted. Raises KubeFault when one cannot be told yet."""
        keep = set(wanted)
        # Each by itself: one that was not wanted any more while it was read is in some of them alone.
        for known in (self._read_at, self._failing_since, self.values, self.unreadable):
            for gone in known.keys() - keep:
                del known[gone]
        await asyncio.gather(*(self._read_first(key) for key in keep - self._read_at.keys()))

    @property
    def unknown(self) -> frozenset[SecretKey]:
        """Those that cannot be read, and never could by this process."""
        return frozenset(self.unreadable.keys() - self.values.keys())

    def recall(self, values: Mapping[SecretKey, Mapping[str, str]]) -> None:
        """What was known before this process of those that it cannot read."""
        for key in self.unknown & values.keys():
            self.values[key] = values[key]

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            await asyncio.sleep(1.0)
            changed = False
            for key in self._turns_of(monotonic()):
                before = self._known(key)
                # Also of one that fails, so that it is not in the others' way.
                self._read_at[key] = monotonic()
                try:
                    await self._read(key)
                except KubeFault as fault:
                    await asyncio.sleep(max(1.0, fault.retry_after_s))
                    break
                finally:
                    changed |= self._known(key) != before
            if changed:
                self._on_change()

    def _turns_of(self, now: float) -> list[SecretKey]:
        """Those that are due, the longest unread first. Half of the turns are for those that are there, so that
        nobody's missing Secrets keep another's rotated key from being found.
        """
        due = [key for key, at in self._read_at.items() if now - at > self._patience(key)]
        due.sort(key=lambda key: self._read_at[key])
        there = [key for key in due if key in self.values]
        missing = [key for key in due if key not in self.values]
        most_there = max(_PER_SECOND // 2, _PER_SECOND - len(missing))
        turns = there[:most_there]
        return turns + missing[: _PER_SECOND - len(turns)]

    def _patience(self, key: SecretKey) -> float:
        return self._refresh_s if key in self.values else min(_MISSING_EVERY_S, self._refresh_s)

    def _known(self, key: SecretKey) -> tuple[Mapping[str, str] | None, str]:
        return self.values.get(key), self.unreadable.get(key, "")

    async def _read_first(self, key: SecretKey) -> None:
        """An API server that has no time, or fails, is waited for a while, since what is not known would be left out of
        what pods run; but nobody's Secret holds up everybody for longer, nor one after another. Raises KubeFault.
        """
        try:
            await self._read(key)
        except KubeFault as fault:
            patient_s = _PATIENT_S if isinstance(fault, Unanswered) else LASTS_S
            if monotonic() - min(self._failing_since.values()) < patient_s:
                raise
        self._read_at[key] = monotonic()

    async def _read(self, key: SecretKey) -> None:
        """Raises KubeFault; of what it may not read it only takes note."""
        namespace, name = key
        try:
            async with self._turns:
                data = (await self._kube.secret(namespace, name)).data
        except NotFound:
            self.values.pop(key, None)
            self.unreadable.pop(key, None)
        except Forbidden as fault:
            self._note(key, f"may not be read: {fault}")
        except KubeFault as fault:
            if key not in self.values:
                self._note(key, f"could not be read: {fault}")
                self._failing_since.setdefault(key, monotonic())
            raise
        else:
            self.values[key] = {field: value.decode(errors="replace") for field, value in data.items()}
            self.unreadable.pop(key, None)
        self._failing_since.pop(key, None)

    def _note(self, key: SecretKey, why: str) -> None:
        if self.unreadable.get(key) != why:
            log.warning("a Secret cannot be read", extra={"secret": "/".join(key), "reason": why})
        self.unreadable[key] = why
