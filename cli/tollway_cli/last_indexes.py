"""What `tollway serve` ran last of its indexes, kept in its data folder, so that a change of an embedding goes on after
a restart where it was. Provider keys may be in it, so nobody else may read the file.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tollway_api.snapshot import Index, Snapshot, SnapshotError, decode, encode

_NAME: Final = "indexes.json"


class LastIndexes:
    def __init__(self, folder: Path) -> None:
        self._file = folder / _NAME
        self._known: Mapping[str, Index] | None = None

    def read(self) -> Mapping[str, Index]:
        """By id. None are known where nothing has run yet, or what was kept makes no sense any more."""
        if self._known is None:
            self._known = {}
            with suppress(OSError, SnapshotError):
                self._known = decode(self._file.read_bytes()).indexes
        return self._known

    def keep(self, snapshot: Snapshot) -> None:
        """To be called before it runs. Where it cannot be written a restart makes the change at once."""
        if snapshot.indexes == self._known:
            return
        self._known = snapshot.indexes
        part = Snapshot(snapshot.installation_namespace, indexes=dict(snapshot.indexes))
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(".new")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode(part))
            temporary.replace(self._file)
