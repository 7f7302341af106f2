"""The Secrets that objects name, read one by one, because a watch would need to see all of them. A missing one is
looked for often; one that is there is read again in turn, at a bounded rate, so that a rotated key is found.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Final

from tollway_api.inventory import SecretKey
from tollway_operator.errors import Forbidden, KubeFault, NotFound
from tollway_operator.kube import Kube

log = logging.getLogger(__name__)

_AT_ONCE: Final = 16
_MISSING_EVERY_S: Final = 2.0
_PER_SECOND: Final = 20


class Secrets:
    """`values` holds what was found; what is not in it is not there."""

    def __init__(self, kube: Kube, refresh_s: float, on_change: Callable[[], None]) -> None:
        self._kube = kube
        self._refresh_s = refresh_s
        self._on_change = on_change
        self._read_at: dict[SecretKey, float] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.values: dict[SecretKey, Mapping[str, str]] = {}

    async def want(self, wanted: Iterable[SecretKey]) -> None:
        """Reads those never read, and forgets those no longer wanted. Raises KubeFault when one cannot be told."""
        keep = set(wanted)
        for gone in self._read_at.keys() - keep:
            del self._read_at[gone]
            self.values.pop(gone, None)
        await asyncio.gather(*(self._read(key) for key in keep - self._read_at.keys()))

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            await asyncio.sleep(1.0)
            now = monotonic()
            changed = False
            for key in self._turns_of(now):
                try:
                    changed |= await self._read(key)
                except KubeFault as fault:
                    log.warning("a Secret cannot be read", extra={"reason": str(fault)})
                    await asyncio.sleep(max(1.0, fault.retry_after_s))
                    break
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

    async def _read(self, key: SecretKey) -> bool:
        """Whether it says something else than before."""
        namespace, name = key
        async with self._turns:
            try:
                data = (await self._kube.secret(namespace, name)).data
                found = {field: value.decode(errors="replace") for field, value in data.items()}
            except NotFound:
                found = None
            except Forbidden as fault:
                log.warning("a Secret may not be read", extra={"reason": str(fault)})
                found = None
        self._read_at[key] = monotonic()
        before = self.values.get(key)
        if found is None:
            self.values.pop(key, None)
        else:
            self.values[key] = found
        return found != before
