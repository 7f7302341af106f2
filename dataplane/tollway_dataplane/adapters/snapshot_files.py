"""The snapshot from a file: read at start, and again whenever it changes."""

import asyncio
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from tollway_dataplane.errors import SnapshotFault
from tollway_dataplane.live import Live


async def follow_snapshot(path: Path, live: Live, every_s: float, log: FilteringBoundLogger) -> None:
    """Runs for the life of the process. What cannot be run is logged once, and the last good one stays."""
    seen: bytes | None = None
    while True:
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as exc:
            data = None
            if seen is not None or live.revision is None:
                log.warning("snapshot is not readable", file=str(path), error=exc.strerror)
        if data is not None and data != seen:
            seen = data
            try:
                revision = await live.offer(data)
                log.info("snapshot runs", revision=revision)
            except SnapshotFault as fault:
                log.warning("snapshot rejected", reason=str(fault), keeps=live.revision)
        await asyncio.sleep(every_s)
