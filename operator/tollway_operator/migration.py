"""Changing an index's embedding without a miss: what to publish next. Pure, and decided from the whole state each time:
what is wanted, what was published last, what Redis has, and whether every pod runs what was published. So it goes on
after a restart of whoever asks, at any point, and an edit that takes the change back is a change like any other.

    old                     what stands
    old + new, Joining      both are written, the old one is asked        until every pod does so
    old + new, Filling      what was remembered before is embedded anew   until that is complete and checked
    new + old, Leaving      both are written, the new one is asked        until every pod does so
    new                     then the old one is dropped
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tollway_api import wire
from tollway_api.reembedding import Progress
from tollway_api.snapshot import Beside, Index, IndexVersion, Snapshot, Stage
from tollway_operator.redis_facts import IndexFacts


@dataclass(frozen=True, slots=True)
class Known:
    """What a step is decided on besides what is wanted and what was published."""

    acknowledged: bool  # nobody runs anything but what was published last
    made: frozenset[str] = frozenset()  # names of versions that stand in Redis and are not abandoned
    progress: Mapping[str, Progress] = field(default_factory=dict)  # of versions that are filled, by name

    def has_filled(self, source: IndexVersion, target: IndexVersion) -> bool:
        found = self.progress.get(target.name)
        return (
            found is not None and found.complete and found.source == source.name and target.name in self.made
        )


def next_snapshot(wanted: Snapshot, published: Mapping[str, Index], known: Known) -> Snapshot:
    """The same snapshot, with each index as far on its way as it may be."""
    indexes = {
        index_id: next_step(index, published.get(index_id), known)
        for index_id, index in wanted.indexes.items()
    }
    return wanted if indexes == wanted.indexes else replace(wanted, indexes=indexes)


def next_step(wanted: Index, published: Index | None, known: Known) -> Index:
    """`wanted` is asked and written alone; what was published may be under way to it, or to something else."""
    if published is None:
        return wanted
    target, asked, beside = wanted.version, published.version, published.beside

    def step(version: IndexVersion, other: Beside | None) -> Index:
        return replace(wanted, version=version, beside=other)

    is_leaving = beside is not None and beside.stage is Stage.LEAVING
    if target.name == asked.name:
        # Either it has come to its end, or what was begun is taken back.
        return step(target, beside if is_leaving and not known.acknowledged else None)
    if beside is None or (beside.version.name != target.name and not is_leaving):
        return step(asked, Beside(target, Stage.JOINING) if target.name in known.made else None)
    if beside.version.name != target.name:
        return step(asked, None if known.acknowledged else beside)
    match beside.stage:
        case Stage.JOINING:
            return step(asked, Beside(target, Stage.FILLING if known.acknowledged else Stage.JOINING))
        case Stage.FILLING if not known.has_filled(asked, target):
            return step(asked, Beside(target, Stage.FILLING))
        case _:  # filled, or not left yet and wanted again: either way it is complete
            return step(target, Beside(asked, Stage.LEAVING))


def awaited(wanted: Snapshot, next_: Snapshot) -> dict[str, str]:
    """Names of the versions that are wanted and can be neither asked nor written yet, by index id."""
    return {
        index_id: index.version.name
        for index_id, index in wanted.indexes.items()
        if index.version.name not in {version.name for version in next_.indexes[index_id].versions}
    }


def with_left_out(wanted: Snapshot, before: Mapping[str, Index], index_ids: Collection[str]) -> Snapshot:
    """The same snapshot, with what those of these indexes were before that are left out of it. Their keys are not kept,
    since a key may be what was taken back.
    """
    ids = sorted(before.keys() & set(index_ids) - wanted.indexes.keys())
    return replace(wanted, left_out={each: _keyless(before[each]) for each in ids})


def _keyless(index: Index) -> Index:
    def bare(version: IndexVersion) -> IndexVersion:
        return replace(version, embedding=replace(version.embedding, api_key=None))

    beside = index.beside and replace(index.beside, version=bare(index.beside.version))
    return replace(index, version=bare(index.version), beside=beside)


def unfinished(indexes: Mapping[str, Index]) -> list[tuple[Index, Beside]]:
    """Those that are on their way, and what stands beside the version that is asked."""
    return [(index, index.beside) for index in indexes.values() if index.beside is not None]


def needed(wanted: Snapshot, published: Mapping[str, Index]) -> Iterator[IndexVersion]:
    """The versions that must stand in Redis, whatever the next step is."""
    for index_id, index in wanted.indexes.items():
        versions = {version.name: version for version in index.versions}
        for version in published[index_id].versions if index_id in published else ():
            versions.setdefault(version.name, version)
        yield from versions.values()


def abandoned(found: Mapping[str, IndexFacts], published: Mapping[str, Index]) -> list[str]:
    """Names of the versions in Redis that an index which was published does not use any more, or of which some has been
    deleted already. They are dropped once nobody runs anything else, and before one of them may be used again, since it
    lacks what was remembered meanwhile.
    """
    used = {wire.index_name(version) for index in published.values() for version in index.versions}
    return [
        name
        for name, facts in sorted(found.items())
        # One without a schema that we know is somebody else's, whatever its name.
        if facts.being_dropped
        or (facts.schema is not None and wire.owner_of(name) in published and name not in used)
    ]
