"""JSON logs, one object a line on standard output. Opened once at start and passed to whoever logs."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import BinaryIO, Final, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from tollway_dataplane.background import running

# Lines reach the stream this much later at most: a system call for each would cost more than making it.
FLUSH_EVERY_S: Final = 0.1


@asynccontextmanager
async def json_log(
    stream: TextIO | None = None, level: int = logging.INFO
) -> AsyncIterator[FilteringBoundLogger]:
    """A logger of its own: nothing global is configured. Every line is out when the context is left."""
    lines = _Lines((stream or sys.stdout).buffer)
    logger = structlog.wrap_logger(
        lines,
        processors=[
            structlog.processors.add_log_level,
            _add_timestamp,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=orjson.dumps, option=orjson.OPT_UTC_Z),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    try:
        async with running(lines.flush_regularly()):
            yield cast("FilteringBoundLogger", logger)
    finally:
        lines.flush()


def _add_timestamp(_logger: object, _method: str, event: EventDict) -> EventDict:
    """In RFC 3339, which orjson writes ten times faster than a `datetime` does."""
    event["timestamp"] = datetime.now(UTC)
    return event


class _Lines:
    """Where structlog puts its rendered lines."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []

    def info(self, line: bytes) -> None:
        self._waiting.append(line)

    debug = warning = error = critical = info

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
