"""How an encoded snapshot travels: compressed, cut into parts that each fit a Secret, and a head that says which parts
belong together. The head is written last and names the digest of the whole, so that a reader has either one snapshot or
none, never halves of two.

The first part travels beside the head. Further ones alternate between two slots, so that those which a head names are
left alone while the next are written.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from tollway_api.snapshot import SnapshotError, digest

# A Secret may hold 1 MiB, and its request is a third larger.
MOST_PART_BYTES: Final = 768 * 1024
MOST_PARTS: Final = 9
MOST_SNAPSHOT_BYTES: Final = 256 * 1024 * 1024
SLOTS: Final = ("a", "b")

HEAD: Final = "head"
FIRST_PART: Final = "part"


@dataclass(frozen=True, slots=True)
class Head:
    """`order` grows with every publication, so that of two heads a reader knows the newer; `fence` is the leadership
    under which it was written.
    """

    digest: str  # of the encoded snapshot, SHA-256 in hex
    order: int
    fence: int
    slot: str
    parts: int

    @property
    def revision(self) -> str:
        return self.digest[:12]

    @property
    def overflow(self) -> tuple[str, ...]:
        """Names of the parts after the first."""
        return tuple(overflow_name(self.slot, number) for number in range(1, self.parts))


_HEAD: Final = TypeAdapter(Head)


def overflow_name(slot: str, number: int) -> str:
    return f"{slot}-{number}"


def split(encoded: bytes, order: int, fence: int, slot: str) -> tuple[Head, list[bytes]]:
    """The head and the parts. Raises SnapshotError when it is too large to travel."""
    packed = zlib.compress(encoded, 6)
    parts = [packed[start : start + MOST_PART_BYTES] for start in range(0, len(packed), MOST_PART_BYTES)]
    if len(parts) > MOST_PARTS:
        most = MOST_PARTS * MOST_PART_BYTES
        raise SnapshotError(f"the snapshot takes {len(packed)} bytes compressed, and {most} is the most")
    return Head(digest(encoded), order, fence, slot, len(parts)), parts


def join(head: Head, parts: Sequence[bytes]) -> bytes:
    """The encoded snapshot. Raises SnapshotError when the parts are not those of the head."""
    unpacker = zlib.decompressobj()
    try:
        encoded = unpacker.decompress(b"".join(parts), MOST_SNAPSHOT_BYTES)
    except zlib.error as error:
        raise SnapshotError(f"the parts of snapshot {head.revision} are damaged: {error}") from None
    if not unpacker.eof or digest(encoded) != head.digest:
        raise SnapshotError(f"the parts are not those of snapshot {head.revision}")
    return encoded


def encode_head(head: Head) -> bytes:
    return _HEAD.dump_json(head)


def decode_head(data: bytes) -> Head:
    """Raises SnapshotError."""
    try:
        head = _HEAD.validate_json(data)
    except ValidationError:
        raise SnapshotError("the snapshot's head is damaged") from None
    if head.slot not in SLOTS or not 1 <= head.parts <= MOST_PARTS:
        raise SnapshotError("the snapshot's head is damaged")
    return head
