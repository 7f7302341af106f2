"""The snapshot that runs now: one reference, swapped whole. A request takes it once and keeps it to its end; a
snapshot that does not load changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tollway_api import snapshot
from tollway_api.snapshot import Snapshot
from tollway_dataplane.core.matching import Directory
from tollway_dataplane.errors import Refusal, RefusalCode, SnapshotFault

Prepare = Callable[[Snapshot], Awaitable[None]]


async def _nothing(_: Snapshot) -> None:
    return


class Live:
    """`prepare` makes ready what a snapshot needs, such as a library to load, before any request runs on it; `settle`
    ends what was begun for the one before and must not outlast it.
    """

    def __init__(
        self,
        prepare: Prepare,
        on_accepted: Callable[[str], None],
        on_rejected: Callable[[], None],
        settle: Prepare = _nothing,
    ) -> None:
        self._prepare = prepare
        self._settle = settle
        self._on_accepted = on_accepted
        self._on_rejected = on_rejected
        self._directory: Directory | None = None
        self.digest: str | None = None
        self.order = 0
        self.has_begun = asyncio.Event()  # with the first snapshot

    async def offer(self, encoded: bytes, order: int = 0) -> str:
        """Runs an encoded snapshot from now on, and returns its revision. `order` tells it from older ones.

        Raises SnapshotFault, and keeps the last good one, when it cannot be run.
        """
        try:
            # In a thread: with thousands of tenants it takes longer than others may be kept waiting.
            decoded = await asyncio.to_thread(snapshot.decode, encoded)
        except snapshot.SnapshotError as exc:
            self._on_rejected()
            raise SnapshotFault(str(exc)) from exc
        await self._prepare(decoded)
        revision = snapshot.revision(encoded)
        self._directory = Directory(decoded, revision)
        # Only then is it said that it runs: who hears that may delete what only the one before had.
        await self._settle(decoded)
        self.digest, self.order = snapshot.digest(encoded), order
        self._on_accepted(revision)
        self.has_begun.set()
        return revision

    @property
    def revision(self) -> str | None:
        return self._directory.revision if self._directory else None

    def current(self) -> Directory:
        """Raises Refusal 503 before the first snapshot."""
        if self._directory is None:
            message = "no configuration has been loaded yet; try again in a moment"
            raise Refusal(503, RefusalCode.NOT_READY, message, headers={"retry-after": "1"})
        return self._directory
