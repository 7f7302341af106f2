"""When what is remembered of whom was purged. Its time, the *epoch*, is part of the name of every cache partition, so
what was remembered before is not found any more from the moment at which a data plane knows of the purge, and what a
request that began before it still wants to remember has no place.

Kept as one hash in the cache Redis: milliseconds of its clock, by scope. Written by data planes, read by both planes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from tollway_api import wire

VERSION: Final = "version"  # the greatest epoch of all
SWEPT: Final = "swept"  # up to which epoch what is void has been deleted
_MOST: Final = 2**48 - 1  # twelve hex digits
_STAMP: Final = re.compile(r"\{([0-9a-f]{8})([0-9a-f]{8})([0-9a-f]{12})[0-9a-f]{16,}\}")


class Scope(NamedTuple):
    """What a purge is of: both empty is everything there is, an empty index is all indexes in which the tenant has
    answers of its own.
    """

    index_id: str = ""
    tenant: str = ""

    def __str__(self) -> str:
        return f"{self.index_id} {self.tenant}"  # neither has a blank

    @classmethod
    def parse(cls, text: str) -> Self:
        index_id, tenant = text.split(" ")
        return cls(index_id, tenant)

    @property
    def tags(self) -> tuple[str, str]:
        return (
            wire.index_tag(self.index_id) if self.index_id else "",
            wire.owner_tag(self.tenant) if self.tenant else "",
        )


EVERYTHING: Final = Scope()  # its epoch is that of a Redis that knew of none


@dataclass(frozen=True)
class Epochs:
    by_scope: Mapping[Scope, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        by_tags = {scope.tags: epoch for scope, epoch in self.by_scope.items()}
        object.__setattr__(self, "_by_tags", by_tags)

    _by_tags: Mapping[tuple[str, str], int] = field(init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, fields: Mapping[bytes, bytes]) -> Self:
        """Raises ValueError where something else stands there than is written by us."""
        found = {name.decode(): int(value) for name, value in fields.items()}
        if any(not 0 < epoch <= _MOST for epoch in found.values()):
            raise ValueError("an epoch is a time in milliseconds, of at most 48 bits")
        return cls(
            {Scope.parse(name): epoch for name, epoch in found.items() if name not in {VERSION, SWEPT}}
        )

    @property
    def version(self) -> int:
        """That of the latest purge; 0 where nothing is known."""
        return max(self.by_scope.values(), default=0)

    def of(self, index_tag: str, owner_tag: str) -> int:
        """Since when what is remembered counts."""
        get = self._by_tags.get
        return max(
            get(("", ""), 0),
            get((index_tag, ""), 0),
            get(("", owner_tag), 0),
            get((index_tag, owner_tag), 0),
        )

    def stamped(self, partition: str, tenant: str) -> str:
        """The partition's name at present. `tenant` is "" where the index is shared."""
        index_tag, owner_tag = partition[:8], wire.owner_tag(tenant)
        return f"{index_tag}{owner_tag}{self.of(index_tag, owner_tag):012x}{partition[8:]}"

    def voids(self, key: str) -> bool:
        """Whether what is under a key of the cache was remembered before it was purged; so is what was named in a way
        that nobody asks for any more.
        """
        stamp = _STAMP.search(key)
        return stamp is None or int(stamp[3], 16) < self.of(stamp[1], stamp[2])

    def latest_of(self, index_id: str, *, is_shared: bool = False) -> tuple[Scope, int] | None:
        """The latest purge that was asked for and has touched an index; in a shared one no tenant has answers of its
        own.
        """
        found = [
            (epoch, scope)
            for scope, epoch in self.by_scope.items()
            if scope != EVERYTHING and scope.index_id in {"", index_id} and not (is_shared and scope.tenant)
        ]
        return max(found)[::-1] if found else None

    def missing_in(self, found: "Epochs") -> Mapping[Scope, int]:
        """What is known and a Redis has lost, as one does that was a replica a moment ago."""
        return {scope: epoch for scope, epoch in self.by_scope.items() if found.of(*scope.tags) < epoch}

    def merged(self, other: "Epochs") -> "Epochs":
        """The later epoch of each scope."""
        scopes = self.by_scope.keys() | other.by_scope.keys()
        return Epochs({each: max(self.by_scope.get(each, 0), other.by_scope.get(each, 0)) for each in scopes})
