"""JSON logs, one object a line on standard output. Opened once at start and passed to whoever logs. By hand, because a
library's chain of processors takes longer than all else that is noted of an answer from the cache.
"""

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import BinaryIO, Final, TextIO

import orjson

from tollway_dataplane.background import running

# Lines reach the stream this much later at most: a system call for each would cost more than making it.
FLUSH_EVERY_S: Final = 0.1


@asynccontextmanager
async def json_log(stream: TextIO | None = None) -> AsyncIterator["JsonLog"]:
    """Every line is out when the context is left."""
    log = JsonLog((stream or sys.stdout).buffer)
    try:
        async with running(log.flush_regularly()):
            yield log
    finally:
        log.flush()


class JsonLog:
    """`event` names what happened; fields are what JSON has, or are written as text."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []

    def info(self, event: str, **fields: object) -> None:
        self._add("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._add("warning", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """With the exception that is being handled."""
        self._add("error", event, {**fields, "exception": traceback.format_exc().rstrip()})

    def _add(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        # In RFC 3339, which orjson writes ten times faster than a `datetime` does.
        line = {"timestamp": datetime.now(UTC), "level": level, "event": event, **fields}
        self._waiting.append(orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z))

    async def flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            # On a full disk these lines are lost, and nothing else is: neither memory nor the next ones.
            with suppress(OSError):
                self._file.write(b"\n".join([*waiting, b""]))
                self._file.flush()
