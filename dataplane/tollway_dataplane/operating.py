"""From which probability on each index serves at present, where its error rate is bounded: followed from the labels
that all data planes count together. When they cannot be read, what was known last stands.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from tollway_api.error_control import Standing, Tally, standing
from tollway_api.snapshot import Index
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import Labels

_EVERY_S: Final = 1.0
# A probability that nothing has.
NOTHING: Final = 2.0


class Operating:
    """`on_standing` is told what is known of an index, by its id; None when the index has gone or its bound has."""

    def __init__(self, labels: Labels, on_standing: Callable[[str, Standing | None], None]) -> None:
        self._labels = labels
        self._on_standing = on_standing
        self._indexes: tuple[Index, ...] = ()
        self._applied: dict[str, tuple[Index, Index]] = {}  # as in the snapshot, and as it is served
        self._counted: dict[str, tuple[Index, Sequence[Tally]]] = {}

    def follow(self, indexes: Iterable[Index]) -> None:
        """These are there from now on."""
        self._indexes = tuple(each for each in indexes if each.accuracy is not None)
        for gone in self._applied.keys() - {each.id for each in self._indexes}:
            del self._applied[gone]
            self._counted.pop(gone, None)
            self._on_standing(gone, None)

    def applied(self, index: Index) -> Index:
        """The index with the threshold that it is served by now."""
        if index.accuracy is None:
            return index
        found = self._applied.get(index.id)
        if found is not None and found[0] == index:
            return found[1]
        # Of a bound of which no label has been read nothing is known.
        return self._apply(index, standing([], index.accuracy.bound))

    def _apply(self, index: Index, known: Standing) -> Index:
        served = known.serves_from
        applied = replace(index, threshold=NOTHING if served is None else served)
        self._applied[index.id] = (index, applied)
        return applied

    async def refresh(self) -> None:
        for index in self._indexes:
            if index.accuracy is None:
                continue
            try:
                tallies = await self._labels.tallies(index, index.accuracy)
            except CacheFault:
                continue
            counted = (index, tallies)
            if index not in self._indexes or self._counted.get(index.id) == counted:
                continue  # it may have gone meanwhile; and what comes of the same labels is known
            self._counted[index.id] = counted
            known = standing(tallies, index.accuracy.bound)
            self._apply(index, known)
            self._on_standing(index.id, known)

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            await self.refresh()
            await asyncio.sleep(_EVERY_S)
