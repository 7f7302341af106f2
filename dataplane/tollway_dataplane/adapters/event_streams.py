"""Reads server-sent events (WHATWG HTML, section 9.2.6): the data alone, of which we read nothing else. From whatever
pieces they come in, and by plain functions: to wait at each step for what is there already would take longer than to
read it.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson

from tollway_dataplane.core.facts import JsonObject

# Of one line, and of one event's data. A whole answer may come in one event.
MOST_BYTES: Final = 512 * 1024
DONE: Final = b"[DONE]"  # OpenAI's word for the end
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """`value` is its data read as JSON, where that had to be done to know that one line is all of it."""

    data: bytes
    value: JsonObject | None


class Events:
    """Of one stream: each that has data; where its first line is a whole one, at once, since some forget the blank line
    after it.
    """

    __slots__ = ("_data", "_length", "_lines")

    def __init__(self) -> None:
        self._lines = Lines(MOST_BYTES)
        self._data: list[bytes] = []
        self._length = 0

    def read(self, part: bytes) -> Iterator[Event]:
        """Those that end in the stream's next part. Raises ValueError for what never ends."""
        for line in self._lines.read(part):
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if not self._data and ((value := _whole(data)) is not None or data == DONE):
                    yield Event(data, value)
                    continue
                self._data.append(data)
                self._length += len(line)
                if self._length > MOST_BYTES:
                    raise ValueError("an event without an end")
            elif not line and self._data:
                joined = b"\n".join(self._data).strip()
                self._data, self._length = [], 0
                if joined:
                    yield Event(joined, None)


def _whole(data: bytes) -> JsonObject | None:
    """JSON that ends so and can be read is an object."""
    if not data.endswith(b"}"):
        return None
    try:
        value: JsonObject = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value


class Lines:
    """Of one stream, without what they end with, which is one of three; the last one where it has ended."""

    __slots__ = ("_after_return", "_begun", "_is_first", "_length", "_most_bytes")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._begun: list[bytes] = []
        self._length = 0
        self._is_first = True
        self._after_return = False

    def read(self, part: bytes) -> list[bytes]:
        """Those that end in the stream's next part. Raises ValueError for one of more bytes."""
        given = part[1:] if self._after_return and part.startswith(b"\n") else part
        self._after_return = part.endswith(b"\r")
        lines = _LINE_END.split(given) if b"\r" in given else given.split(b"\n")  # which is faster
        self._length += len(lines[0])
        if self._length > self._most_bytes:
            raise ValueError("a line without an end")
        if len(lines) == 1:
            self._begun += lines
            return []
        if self._begun:
            lines[0] = b"".join([*self._begun, lines[0]])
        if self._is_first:
            lines[0], self._is_first = lines[0].removeprefix(_BOM), False
        rest = lines.pop()
        self._begun, self._length = [rest] if rest else [], len(rest)
        return lines
