"""Reads server-sent events (WHATWG HTML, section 9.2.6): the data alone, of which we read nothing else."""

import re
from collections.abc import AsyncIterator
from typing import Final

import orjson

# Of one line, and of one event's data. A whole answer may come in one event.
MOST_BYTES: Final = 512 * 1024
DONE: Final = b"[DONE]"  # OpenAI's word for the end
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = b"\xef\xbb\xbf"


async def event_data(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Of each event that has any; where its first line is a whole one, at once, since some forget the blank line after
    it. Raises ValueError for what never ends.
    """
    data: list[bytes] = []
    length = 0
    async for line in _lines(parts):
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
            length += len(line)
            if length > MOST_BYTES:
                raise ValueError("an event without an end")
        if not line or (len(data) == 1 and _is_whole(data[0])):
            whole = b"\n".join(data).strip()
            data, length = [], 0
            if whole:
                yield whole


def _is_whole(data: bytes) -> bool:
    if not data.endswith(b"}"):
        return data == DONE
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Without what they end with, which is one of three; the last one where it has ended."""
    begun: list[bytes] = []
    length, is_first, after_return = 0, True, False
    async for part in parts:
        given = part[1:] if after_return and part.startswith(b"\n") else part
        after_return = part.endswith(b"\r")
        first, *others = _LINE_END.split(given)
        begun.append(first)
        length += len(first)
        if length > MOST_BYTES:
            raise ValueError("a line without an end")
        for other in others:
            line = b"".join(begun)
            yield line.removeprefix(_BOM) if is_first else line
            begun, length, is_first = [other], len(other), False
