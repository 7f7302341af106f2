"""A folder of data that one process at a time has the use of. The lock ends with the process, however that ends."""

import fcntl
from pathlib import Path
from typing import TextIO


class FolderInUse(Exception):  # noqa: N818 - it says what is the matter
    """Another process has the folder; the message says what to do."""


def lock_folder(folder: Path) -> TextIO:
    """Keeps a folder until what is returned is closed. Raises FolderInUse."""
    lock = (folder / "lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        message = f"{folder} is in use by another tollway; stop that one, or give another --data-dir"
        raise FolderInUse(message) from None
    return lock
