"""Hands the encoded snapshot to the data planes: as a file that is either the old one or the new one, whole."""

import contextlib
import os
import tempfile
from pathlib import Path

from tollway_operator.errors import PublishFault


def publish_file(encoded: bytes, target: Path) -> bool:
    """Writes the snapshot unless the file holds just that; returns whether it wrote.

    The file holds provider keys, so only its owner may read it. Raises PublishFault.
    """
    try:
        if target.exists() and target.read_bytes() == encoded:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(encoded)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as exc:
        raise PublishFault(f"cannot write the snapshot to {target}: {exc.strerror}") from exc
    return True
