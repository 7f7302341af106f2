"""What one run of the loop has made of the whole state, and goes on with. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tollway_api import semantic_cache_index, snapshot
from tollway_api.compiler import Piece
from tollway_api.meta import Identity
from tollway_api.problems import Problem
from tollway_api.snapshot import Snapshot
from tollway_operator.objects import Edition


@dataclass(frozen=True, slots=True)
class Compiled:
    """One compilation, and what it was made from."""

    key: tuple[int, int]
    wanted: Snapshot
    snapshot: Snapshot  # what is to be published on the way there
    encoded: bytes = field(repr=False)
    pieces: Mapping[Identity, Piece] = field(repr=False)
    problems: Mapping[Identity, Sequence[Problem]]
    editions: Mapping[Identity, Edition]  # of every object that was looked at
    is_blind: bool = False  # whether of a Secret that was named nothing is known, because it cannot be read
    # Indexes that are left out because they are not held, and why they could not be; "" where that was not refused.
    unheld: Mapping[Identity, str] = field(default_factory=dict)
    deleted: frozenset[str] = frozenset()  # uids of objects that were deleted by then, and so are not in it


def encoded_as(wanted: Snapshot, compiled: Compiled) -> Compiled:
    """What was compiled, with the index versions of another snapshot of it."""
    if wanted == compiled.snapshot:
        return compiled if compiled.encoded else replace(compiled, encoded=snapshot.encode(wanted))
    indexes = {
        Identity(semantic_cache_index.KIND, each.namespace, each.name): each
        for each in wanted.indexes.values()
    }
    pieces = {**compiled.pieces, **indexes}
    return replace(compiled, snapshot=wanted, encoded=snapshot.encode(wanted), pieces=pieces)
