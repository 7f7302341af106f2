"""The snapshot from a folder: the Secrets that hold it, mounted. What a pod starts from while nobody else is up."""

import asyncio
from pathlib import Path

from tollway_api import parts
from tollway_api.parts import Head
from tollway_api.snapshot import SnapshotError
from tollway_dataplane.errors import SnapshotFault


class SnapshotFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def head(self) -> Head | None:
        return await asyncio.to_thread(self._head)

    async def encoded(self, head: Head) -> bytes:
        return await asyncio.to_thread(self._encoded, head)

    def _head(self) -> Head | None:
        try:
            return parts.decode_head((self._folder / parts.HEAD).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise SnapshotFault(f"cannot read {exc.filename}: {exc.strerror}") from exc
        except SnapshotError as exc:
            raise SnapshotFault(f"{self._folder}: {exc}") from exc

    def _encoded(self, head: Head) -> bytes:
        try:
            names = (parts.FIRST_PART, *head.overflow)
            return parts.join(head, [(self._folder / name).read_bytes() for name in names])
        except OSError as exc:
            raise SnapshotFault(f"cannot read {exc.filename}: {exc.strerror}") from exc
        except SnapshotError as exc:
            raise SnapshotFault(f"{self._folder}: {exc}") from exc
