"""Which pods run a snapshot that holds an object as it is now. Pure.

An object is not asked about the newest snapshot but about the first that held what it is compiled to, so that somebody
else's edit does not make it look unfinished, and a rotated Secret of its own does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tollway_api.compiler import Piece
from tollway_api.meta import Identity
from tollway_api.parts import Head
from tollway_operator.objects import Edition
from tollway_operator.reports import Report


@dataclass(frozen=True, slots=True)
class Coverage:
    """Counts ready pods. `trouble` speaks of the first that does not run it."""

    revision: str  # the first that held it so
    ready: int
    acknowledged: int
    trouble: str = ""
    rejected: bool = False
    inherited: bool = False  # it stood already when this leadership began, and since when is not known here


@dataclass(frozen=True, slots=True)
class _First:
    edition: Edition
    order: int
    revision: str
    inherited: bool


_NOBODYS: Final = Edition("", 0)


class Publications:
    """Remembers the publications of this leadership."""

    def __init__(self) -> None:
        self._orders: dict[str, int] = {}  # by digest; of one published twice, the later
        self._first: dict[Identity, _First] = {}
        self._without: dict[Identity, _First] = {}  # of what is left out, the first that had it not
        self._pieces: Mapping[Identity, Piece] = {}

    def note(
        self,
        head: Head,
        pieces: Mapping[Identity, Piece],
        editions: Mapping[Identity, Edition],
        found: Head | None = None,
    ) -> None:
        """`found` is what stood before."""
        inherited = not self._orders and found is not None and head.digest == found.digest
        if self._pieces is pieces and self._orders.get(head.digest) == head.order:
            return
        self._orders[head.digest] = head.order
        first = {}
        for identity, piece in pieces.items():
            before, edition = self._first.get(identity), editions[identity]
            if before is None or before.edition != edition or self._pieces[identity] != piece:
                before = _First(edition, head.order, head.revision, inherited)
            first[identity] = before
        left_out = {
            identity: self._without.get(identity)
            or _First(editions[identity], head.order, head.revision, inherited)
            for identity in editions.keys() - pieces.keys()
        }
        self._first, self._without, self._pieces = first, left_out, pieces
        # Digests from before the oldest one that is still asked for say nothing any more.
        asked_for = (*first.values(), *left_out.values())
        oldest = min((each.order for each in asked_for), default=head.order)
        self._orders = {digest: order for digest, order in self._orders.items() if order >= oldest}

    def coverage(self, reports: Iterable[Report], found: Head | None = None) -> "Covering":
        """`found` is what stands while this leadership has published nothing."""
        if self._orders or found is None:
            return Covering(self._first, self._without, self._orders, tuple(reports))
        standing = _First(_NOBODYS, found.order, found.revision, inherited=True)
        return Covering({}, {}, {found.digest: found.order}, tuple(reports), standing)


class Covering:
    """The answers for one moment; objects that share a publication share the work."""

    def __init__(
        self,
        first: dict[Identity, _First],
        without: dict[Identity, _First],
        orders: dict[str, int],
        reports: tuple[Report, ...],
        standing: _First | None = None,
    ) -> None:
        self._standing = standing
        self._first = first
        self._without = without
        self._orders = orders
        self.pods = len(reports)  # ready or not
        self._ready = sorted((each for each in reports if each.pod.ready), key=lambda each: each.pod.name)
        self._known: dict[tuple[int, str], Coverage] = {}

    def of(self, identity: Identity, edition: Edition) -> Coverage | None:
        """None while no publication holds it."""
        first = self._first.get(identity)
        if first is None or first.edition != edition:
            return None
        return self._counted(first)

    @property
    def standing(self) -> Coverage | None:
        """How many pods run what an earlier leader published; None once this one has, or where that is not known."""
        return self._counted(self._standing) if self._standing is not None else None

    def without(self, identity: Identity) -> Coverage | None:
        """How many pods run a snapshot without the object; None while the one that was published last may hold it."""
        first = self._without.get(identity)
        return self._counted(first) if first is not None else None

    def _counted(self, first: _First) -> Coverage:
        key = (first.order, first.revision)
        if key not in self._known:
            self._known[key] = self._count(first)
        return self._known[key]

    def _count(self, first: _First) -> Coverage:
        behind = [each for each in self._ready if self._orders.get(each.digest or "", -1) < first.order]
        acknowledged = len(self._ready) - len(behind)
        if not behind:
            return Coverage(first.revision, len(self._ready), acknowledged, inherited=first.inherited)
        # One that said no comes before one that has said nothing yet.
        worst = next((each for each in behind if each.rejected), behind[0])
        trouble = f"{worst.pod.name}: {worst.trouble or 'has not answered yet'}"
        return Coverage(
            first.revision, len(self._ready), acknowledged, trouble, worst.rejected, first.inherited
        )
