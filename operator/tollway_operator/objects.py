"""What the API server has told us of our three kinds, typed. kopf's handlers fill it; the loops read it."""

import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from tollway_api.inventory import annotations_of, identify, labels_of, parse_resource
from tollway_api.meta import Identity, Resource, Spec, epoch_ms
from tollway_api.problems import Problem

# Set on a SemanticCacheIndex to let it go although what it remembers could not be deleted.
ABANDON_ANNOTATION: Final = "tollway.dev/abandon"
# Set on one to have it forget what it remembered before a time, in RFC 3339.
PURGE_ANNOTATION: Final = "tollway.dev/purge-before"
EVERYWHERE: Final = "*"  # in place of a namespace's name, as the API's clients have it


class Edition(NamedTuple):
    """Which object of a name, since one may be deleted and made anew, and which of its specs."""

    uid: str
    generation: int


class News(Enum):
    """What an object as it came says that was not known."""

    NOTHING = auto()  # it is as old as what we know, or what we have written ourselves
    BESIDE = (
        auto()
    )  # what no snapshot depends on: its status, or labels and annotations that mean nothing to us
    WANTED = auto()


@dataclass(slots=True)
class Held:
    """One object."""

    identity: Identity
    uid: str
    resource_version: str
    generation: int
    parsed: Resource[Spec] | tuple[Problem, ...]
    packed_status: bytes  # of thousands they would be a tenth of the operator's memory
    finalizers: tuple[str, ...]
    deleted_at: str  # RFC 3339; "" while it is wanted
    abandoned: bool
    counts_since: int  # milliseconds: what it remembered before is to be forgotten; 0 where nothing is
    looked_at: float = 0.0  # when its status was last compared with what is known, on the monotonic clock

    @property
    def status(self) -> bytes:
        """What stands in the API, as canonical JSON."""
        return zlib.decompress(self.packed_status)

    @status.setter
    def status(self, encoded: bytes) -> None:
        self.packed_status = zlib.compress(encoded, 1)

    @property
    def edition(self) -> Edition:
        return Edition(self.uid, self.generation)


class Objects:
    """`revision` grows with every change that a snapshot may depend on."""

    def __init__(self) -> None:
        self._held: dict[Identity, Held] = {}
        self.revision = 0

    def put(self, body: Mapping[str, Any]) -> News:
        """Takes an object as the API gives it."""
        identity = identify(body)
        metadata = body["metadata"]
        annotations = metadata.get("annotations") or {}
        before = self._held.get(identity)
        version = str(metadata["resourceVersion"])
        if (
            before is not None
            and before.uid == metadata["uid"]
            and int(before.resource_version) >= int(version)
        ):
            return News.NOTHING
        generation = int(metadata.get("generation") or 0)
        same = (
            before is not None
            and (before.uid, before.generation) == (metadata["uid"], generation)
            and not _is_marked_otherwise(before, body)
        )
        held = Held(
            identity=identity,
            uid=str(metadata["uid"]),
            resource_version=version,
            generation=generation,
            parsed=before.parsed
            if before is not None and same
            else parse_resource(identity, body, is_pruned=True),
            packed_status=zlib.compress(canonical(body.get("status") or {}), 1),
            finalizers=tuple(metadata.get("finalizers") or ()),
            deleted_at=str(metadata.get("deletionTimestamp") or ""),
            abandoned=ABANDON_ANNOTATION in annotations,
            counts_since=_time_in(annotations) if identity.kind == "SemanticCacheIndex" else 0,
        )
        self._held[identity] = held
        news = (
            not same
            or before is None
            or (before.finalizers, before.deleted_at, before.abandoned)
            != (held.finalizers, held.deleted_at, held.abandoned)
        )
        self.revision += news
        return News.WANTED if news else News.BESIDE

    def drop(self, body: Mapping[str, Any]) -> None:
        identity = identify(body)
        held = self._held.get(identity)
        if held is not None and held.uid == body["metadata"]["uid"]:
            del self._held[identity]
            self.revision += 1

    def forget(self, uids: Collection[str]) -> None:
        """Those are gone, although no event said so."""
        gone = [identity for identity, held in self._held.items() if held.uid in uids]
        for identity in gone:
            del self._held[identity]
        self.revision += len(gone)

    def put_all(self, kind: str, namespace: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Takes all that there is of a kind in a namespace; what else was known there is gone."""
        for body in bodies:
            self.put(body)
        there = {str(body["metadata"]["uid"]) for body in bodies}
        known = self.of_kind(kind, [namespace])
        self.forget(known.keys() - there)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

    def get(self, identity: Identity) -> Held | None:
        return self._held.get(identity)

    def of_kind(self, kind: str, namespaces: Collection[str]) -> dict[str, int]:
        """Resource version by uid."""
        return {
            each.uid: int(each.resource_version)
            for each in self
            if each.identity.kind == kind
            and (EVERYWHERE in namespaces or each.identity.namespace in namespaces)
        }


def _time_in(annotations: Mapping[str, str]) -> int:
    try:
        return epoch_ms(annotations.get(PURGE_ANNOTATION, ""))
    except (ValueError, OverflowError):
        return 0


def _is_marked_otherwise(before: Held, body: Mapping[str, Any]) -> bool:
    """Labels and annotations change no generation."""
    parsed, identity = before.parsed, before.identity
    return isinstance(parsed, Resource) and (parsed.labels, parsed.annotations) != (
        labels_of(identity, body),
        annotations_of(identity, body),
    )


def canonical(status: Mapping[str, Any]) -> bytes:
    """The same status as the same bytes. Lists that are maps to the API have no order."""
    ordered = {
        name: sorted(value, key=lambda each: str(each.get("type") or each.get("name")))
        if isinstance(value, list)
        else value
        for name, value in status.items()
    }
    return json.dumps(ordered, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
