"""A snapshot in parts is whole or nothing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_api import parts
from tollway_api.snapshot import SnapshotError


def incompressible(size: int) -> bytes:
    return random.Random(7).randbytes(size)  # noqa: S311 - the same in every run


@pytest.mark.parametrize(("size", "count"), [(0, 1), (10, 1), (800_000, 2), (3_000_000, 4)])
def test_what_is_split_is_joined(size: int, count: int) -> None:
    encoded = incompressible(size)
    head, pieces = parts.split(encoded, 5, 2, "b")
    assert (head.parts, len(pieces), head.order, head.fence) == (count, count, 5, 2)
    assert head.overflow == tuple(f"b-{number}" for number in range(1, count))
    assert all(len(piece) <= parts.MOST_PART_BYTES for piece in pieces)
    assert parts.join(parts.decode_head(parts.encode_head(head)), pieces) == encoded


def test_more_than_secrets_may_hold_is_said() -> None:
    with pytest.raises(SnapshotError, match="bytes compressed, and 7077888 is the most"):
        parts.split(incompressible(8_000_000), 1, 1, "a")


def test_parts_of_two_snapshots_are_never_mixed() -> None:
    head, one = parts.split(incompressible(1_000_000), 1, 1, "a")
    _, other = parts.split(incompressible(1_000_001), 2, 1, "b")
    with pytest.raises(SnapshotError, match=f"not those of snapshot {head.revision}|damaged"):
        parts.join(head, [one[0], other[1]])
    with pytest.raises(SnapshotError):
        parts.join(head, one[:1])
    with pytest.raises(SnapshotError):
        parts.join(head, [])


@given(st.binary(max_size=200))
def test_a_damaged_head_is_said_to_be(data: bytes) -> None:
    with pytest.raises(SnapshotError, match="head is damaged"):
        parts.decode_head(data)


@given(st.integers(0, 2_000), st.integers(1, 255))
def test_a_damaged_part_is_never_taken(place: int, change: int) -> None:
    head, (piece,) = parts.split(incompressible(2_000), 1, 1, "a")
    damaged = bytearray(piece)
    damaged[place % len(piece)] ^= change
    with pytest.raises(SnapshotError):
        parts.join(head, [bytes(damaged)])


def test_a_small_secret_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    head, pieces = parts.split(b"0" * 10_000_000, 1, 1, "a")
    monkeypatch.setattr(parts, "MOST_SNAPSHOT_BYTES", 1_000_000)
    with pytest.raises(SnapshotError):
        parts.join(head, pieces)
