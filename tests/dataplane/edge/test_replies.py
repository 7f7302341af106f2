"""A reply's headers in both of their forms."""

import pytest

from tollway_dataplane.edge.replies import Head


def test_headers_are_the_same_in_pairs_and_as_lines() -> None:
    head = Head({"x-tollway-model": "naïve\tgpt", "content-length": "0", "x-empty": ""})
    assert head.lines() == b"".join(b"%b: %b\r\n" % pair for pair in head)
    assert Head({}).lines() == b""


@pytest.mark.parametrize(
    ("name", "value"), [("x", "a\r\nevil: b"), ("x", "a\nb"), ("x\r\n", "a"), ("x", "a\0")]
)
def test_a_value_cannot_end_its_line(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        Head({"before": "fine", name: value}).lines()


def test_what_has_no_place_in_a_line_is_not_written_in_another_alphabet() -> None:
    with pytest.raises(UnicodeEncodeError):
        Head({"x": "мир"}).lines()
