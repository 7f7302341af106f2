"""Reads server-sent events (WHATWG HTML, section 9.2.6): the data alone, of which we read nothing else."""

import re
from collections.abc import AsyncIterator
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


async def events(parts: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """Each that has data; where its first line is a whole one, at once, since some forget the blank line after it.
    Raises ValueError for what never ends.
    """
    data: list[bytes] = []
    length = 0
    async for line in lines(parts, MOST_BYTES):
        value = None
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
            length += len(line)
            if length > MOST_BYTES:
                raise ValueError("an event without an end")
            value = _whole(data[0]) if len(data) == 1 else None
        if not line or value is not None or data == [DONE]:
            joined = b"\n".join(data).strip()
            data, length = [], 0
            if joined:
                yield Event(joined, value)


def _whole(data: bytes) -> JsonObject | None:
    """JSON that ends so and can be read is an object."""
    if not data.endswith(b"}"):
        return None
    try:
        value: JsonObject = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value


async def lines(parts: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[bytes]:
    """Without what they end with, which is one of three; the last one where it has ended. Raises ValueError for one of
    more bytes.
    """
    begun: list[bytes] = []
    length, is_first, after_return = 0, True, False
    async for part in parts:
        given = part[1:] if after_return and part.startswith(b"\n") else part
        after_return = part.endswith(b"\r")
        first, *others = _LINE_END.split(given) if b"\r" in given else given.split(b"\n")  # which is faster
        begun.append(first)
        length += len(first)
        if length > most_bytes:
            raise ValueError("a line without an end")
        for other in others:
            line = b"".join(begun)
            yield line.removeprefix(_BOM) if is_first else line
            begun, length, is_first = [other], len(other), False
