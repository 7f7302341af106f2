"""JSON logs, one object a line on standard output. Opened once at start and passed to whoever logs. By hand, because a
library's chain of processors takes longer than all else that is noted of an answer from the cache. Processes that write
to the same place take turns.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from typing import BinaryIO, Final, TextIO

import orjson

from tollway_dataplane.background import running

# Lines reach the stream this much later at most: a system call for each would cost more than making it.
FLUSH_EVERY_S: Final = 0.1
# Of a log that nobody reads, so many lines wait for whoever has the turn; then whoever writes them does.
MOST_WAITING: Final = 50_000


@asynccontextmanager
async def json_log(stream: TextIO | None = None, turns: Path | None = None) -> AsyncIterator["JsonLog"]:
    """Every line is out when the context is left. `turns` is a file, made where it is not there, of all processes that
    write to the same stream.
    """
    with ExitStack() as stack:
        taken = stack.enter_context(turns.open("ab")).fileno() if turns is not None else None
        log = JsonLog((stream or sys.stdout).buffer, taken)
        stack.callback(log.flush, waits=True)
        async with running(log.flush_regularly()):
            yield log


class JsonLog:
    """`event` names what happened; fields are what JSON has, or are written as text."""

    def __init__(self, file: BinaryIO, turns: int | None = None) -> None:
        """`turns` is the descriptor of a file that nobody shares it with; others have their own of the same file."""
        self._file = file
        self._turns = turns
        self._waiting: list[bytes] = []

    def info(self, event: str, **fields: object) -> None:
        self.note(event, fields)

    def note(self, event: str, fields: Mapping[str, object]) -> None:
        """The same of many fields that are in a mapping already: to hand them on one by one takes as long as to write
        them.
        """
        self._add("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._add("warning", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """With the exception that is being handled."""
        self._add("error", event, {**fields, "exception": traceback.format_exc().rstrip()})

    def _add(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        # In RFC 3339, which orjson writes ten times faster than a `datetime` does.
        line = {"timestamp": datetime.now(UTC), "level": level, "event": event, **fields}
        self._waiting.append(_as_json(line))

    async def flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self.flush()

    def flush(self, *, waits: bool = False) -> None:
        """Unless another process writes just now and this one neither `waits` nor has too much to say."""
        if self._waiting and self._has_turn(waits or len(self._waiting) >= MOST_WAITING):
            waiting, self._waiting = self._waiting, []
            # On a full disk these lines are lost, and nothing else is: neither memory nor the next ones.
            with suppress(OSError):
                self._file.write(b"\n".join([*waiting, b""]))
                self._file.flush()
            if self._turns is not None:
                flock(self._turns, LOCK_UN)

    def _has_turn(self, waits: bool) -> bool:
        # A pipe that is full takes what it has room for, which may be half of a line.
        if self._turns is None:
            return True
        try:
            flock(self._turns, LOCK_EX if waits else LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _as_json(line: dict[str, object]) -> bytes:
    """Whatever stands in it: who logs must not fail for half of a character, which becomes a question mark, for a
    number of more than 64 bits, or for a key that is no text.
    """
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z)
    except orjson.JSONEncodeError:
        text = json.dumps(line, default=_in_words, ensure_ascii=False)
        return text.encode(errors="replace")


def _in_words(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
