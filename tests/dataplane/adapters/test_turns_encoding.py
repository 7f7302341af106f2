"""The earlier turns of a chat in Redis."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_dataplane.adapters.turns_encoding import packed, unpacked
from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.conversation import MOST_CHARACTERS


@given(st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), st.text()), max_size=5))
def test_what_is_packed_comes_out_again(turns: list[Turn]) -> None:
    assert unpacked(packed(turns)) == tuple(turns)


def test_the_longest_chat_comes_out_again() -> None:
    turns = [Turn("user", "\U0001f600" * MOST_CHARACTERS)]
    assert unpacked(packed(turns)) == tuple(turns)


def test_a_chat_takes_little_space() -> None:
    turns = [Turn("user", "Where can I park my car near the old town hall?")] * 20
    assert len(packed(turns)) < 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain",
        zlib.compress(b"{"),
        zlib.compress(b"7"),
        zlib.compress(b"[7]"),
        zlib.compress(b'[""]'),
        zlib.compress(b'["xhello"]'),
        zlib.compress(b'["u' + b"a" * 10_000_000 + b'"]'),
    ],
    ids=["empty", "plain", "broken", "number", "no text", "no role", "unknown role", "bomb"],
)
def test_what_somebody_else_has_written_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no turns"):
        unpacked(data)
