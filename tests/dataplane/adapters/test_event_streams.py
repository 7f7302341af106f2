"""Server-sent events as servers may send them, in whatever pieces they come."""

from collections.abc import Sequence

import pytest

from tollway_dataplane.adapters.event_streams import MOST_BYTES, Events


def heard(parts: Sequence[bytes]) -> list[bytes]:
    events = Events()
    return [event.data for part in parts for event in events.read(part)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize(
    ("lines", "data"),
    [
        (["data: {}", "", "data:[DONE]", ""], ["{}", "[DONE]"]),
        (["\ufeffdata: {}", ""], ["{}"]),
        ([": a sign of life", "", "id: 3", "retry: 5", "event: x", "data: {}", ""], ["{}"]),
        (['data: {"a":', "data: 1}", "", "data: {}", ""], ['{"a":\n1}', "{}"]),
        (["data:", "", "data: {}", ""], ["{}"]),
        (["data: {}", 'data: {"a": 1}', ""], ["{}", '{"a": 1}']),
        (["data: {", "", "data: {}", ""], ["{", "{}"]),
        (['data: {"a": 1', ""], ['{"a": 1']),
        (["data: {}"], []),
    ],
    ids=["plain", "mark", "others", "lines", "empty", "no blank line", "malformed", "cut", "unfinished"],
)
def test_what_is_read(lines: list[str], data: list[str], size: int, end: bytes) -> None:
    stream = end.join(line.encode() for line in lines) + (b"" if len(lines) == 1 else end)
    parts = [stream[place : place + size] for place in range(0, len(stream), size)]
    assert heard(parts) == [each.encode() for each in data]


@pytest.mark.parametrize("part", [b"data: " + b" " * 1_000, b"data: {\n" * 100], ids=["line", "event"])
def test_what_never_ends_is_given_up(part: bytes) -> None:
    with pytest.raises(ValueError, match="without an end"):
        heard([part] * (MOST_BYTES // 500))
