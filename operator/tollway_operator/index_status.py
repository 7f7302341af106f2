"""What is said of an index and of the cache's Redis, in its status. Pure; called by `status`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tollway_api import wire
from tollway_api.conditions import ConditionReason, ConditionState, ConditionStatus
from tollway_api.reembedding import Obstacle, Progress
from tollway_api.semantic_cache_index import VersionState, VersionStatus
from tollway_api.snapshot import Beside, Index, Stage
from tollway_operator.provision import ServerWarning, WarningReason, stands
from tollway_operator.redis_facts import IndexFacts

IndexConditionState = ConditionState | tuple[ConditionStatus, WarningReason, str]

# Why an index's new version cannot be filled.
_REASONS: Final = {
    Obstacle.EMBEDDING: ConditionReason.EMBEDDING_UNUSABLE,
    Obstacle.REDIS: ConditionReason.STORE_UNAVAILABLE,
    Obstacle.NO_ROOM: ConditionReason.REDIS_FULL,
}


@dataclass(frozen=True, slots=True)
class StoreView:
    """The cache Redis as it was seen last, and what is wrong with the ledger's, which no index waits for. `fault` says
    why the cache could not be seen.
    """

    indexes: Mapping[str, IndexFacts] = field(default_factory=dict)
    warnings: tuple[ServerWarning, ...] = ()
    fault: str = ""
    seen: bool = False
    ledger_warnings: tuple[ServerWarning, ...] | None = None  # None before it has been looked at
    refused: Mapping[str, str] = field(default_factory=dict)  # why it would not make an index, by name
    progress: Mapping[str, Progress] = field(default_factory=dict)  # of versions being filled, by name
    # Of indexes that are neither as they are wanted nor on the way there yet: the wanted version's name, by index id.
    awaited: Mapping[str, str] = field(default_factory=dict)


def unheld(why: str) -> IndexConditionState | None:
    """How an index stands that no finalizer holds: nothing is made for it, since nobody would delete that again."""
    message = (
        f"Nothing is made for it before a finalizer holds it: {why}. It is tried again; if the operator's role lacks "
        "patch on semanticcacheindexes, give it back, or write deletionPolicy: Retain."
    )
    return (ConditionStatus.FALSE, ConditionReason.NOT_HELD, message) if why else None


def left_out(why: ConditionReason, until: str, kept: Index | None, store: StoreView) -> IndexConditionState:
    """How an index stands that is left out of what is published; `kept` is the index as it ran last."""
    fate = "a version is made for it"
    if kept is not None and wire.index_name(kept.version) in store.indexes:
        fate = f"version {kept.version.name} is kept, and used again"
    return ConditionStatus.UNKNOWN, why, f"It is left out of what is published; {fate} once {until}."


def index_ready(index: Index | None, store: StoreView, held_up: str, unfit: str = "") -> IndexConditionState:
    """`index` is None before it is published; `held_up` is why pods may run what was published before, if it lasts;
    `unfit` is why the vectors for its look-ups do not fit.
    """
    false, unknown = ConditionStatus.FALSE, ConditionStatus.UNKNOWN
    if store.fault:
        return unknown, ConditionReason.STORE_UNAVAILABLE, store.fault
    if index is None or not store.seen:
        return unknown, ConditionReason.PENDING, "Not provisioned yet."
    for warning in store.warnings:
        if warning.reason is WarningReason.SEARCH_MODULE_MISSING:
            return false, warning.reason, warning.message
    version = index.version
    found = store.indexes.get(wire.index_name(version))
    # Also of one that is to take its place, whose refusal would otherwise go unsaid.
    if why := next((why for name, why in store.refused.items() if wire.owner_of(name) == index.id), ""):
        return false, ConditionReason.INDEX_REFUSED, f"{_upper_first(why)}."
    if found is not None and stands(found, version):
        return _asked(index, store, held_up, unfit)
    return false, ConditionReason.PENDING, f"Version {version.name} is being made."


def _asked(index: Index, store: StoreView, held_up: str, unfit: str) -> IndexConditionState:
    """How an index stands whose version is in Redis."""
    version = index.version
    if index.beside is not None:
        return _on_its_way(index, index.beside, store.progress.get(index.beside.version.name), held_up)
    if (awaited := store.awaited.get(index.id)) is not None:
        message = (
            f"Version {version.name} is asked until {awaited} is complete. That is being dropped first, since it "
            f"lacks what was remembered meanwhile, and is made anew then.{_waits_for(held_up)}"
        )
        return ConditionStatus.TRUE, ConditionReason.MIGRATING, message
    if unfit:
        message = f"Only the very same prompt is found: {unfit}. Correct the embedding."
        return ConditionStatus.FALSE, ConditionReason.EMBEDDING_UNUSABLE, message
    message = f"Version {version.name} takes vectors of {version.embedding.dimensions} dimensions."
    return ConditionStatus.TRUE, ConditionReason.INDEX_READY, message


def _on_its_way(index: Index, beside: Beside, progress: Progress | None, held_up: str) -> IndexConditionState:
    """How an index stands whose embedding is being changed. It answers all the while."""
    asked, other = index.version.name, beside.version.name
    waits = _waits_for(held_up)
    if beside.stage is Stage.LEAVING:
        message = f"Version {asked} is asked; {other} is dropped as soon as no pod asks it.{waits}"
        return ConditionStatus.TRUE, ConditionReason.MIGRATING, message
    if progress is not None and progress.fault:
        message = f"Version {asked} is asked; {other} cannot be filled: {progress.fault}. It is tried again."
        return ConditionStatus.FALSE, _REASONS[progress.obstacle], message
    percent = progress.percent if progress else 0
    waits = waits if beside.stage is Stage.JOINING else ""  # it is filled whatever pods say
    message = f"Version {asked} is asked until {other} is complete; {percent} % is embedded anew.{waits}"
    return ConditionStatus.TRUE, ConditionReason.MIGRATING, message


def _waits_for(held_up: str) -> str:
    return f" It waits, since pods may run what was published before: {held_up}." if held_up else ""


def versions_of(
    index_id: str, index: Index | None, kept: Index | None, store: StoreView
) -> list[VersionStatus]:
    """The versions in Redis; `index` is the index as it runs, `kept` as it was before it was left out."""
    versions = []
    for name, facts in sorted(store.indexes.items()):
        # One without a schema that we know is somebody else's, whatever its name.
        if wire.owner_of(name) == index_id and facts.schema is not None:
            version = name.removeprefix(wire.INDEX_PREFIX)
            is_kept = kept is not None and version in {each.name for each in kept.versions}
            state = VersionState.KEPT if is_kept else _state_of(version, index)
            is_building = state is VersionState.BUILDING
            progress = store.progress.get(version)
            versions.append(
                VersionStatus.model_construct(
                    name=version,
                    fingerprint=version.rpartition(".")[2],
                    dimensions=facts.schema.dimensions,
                    state=state,
                    progress=(progress.percent if progress else 0) if is_building else None,
                    entries=facts.entries,
                    memory_bytes=facts.memory_bytes,
                )
            )
    return versions


def _state_of(version: str, index: Index | None) -> VersionState:
    if index is not None and version == index.version.name:
        return VersionState.ACTIVE
    beside = index.beside if index is not None else None
    is_building = beside is not None and beside.version.name == version and beside.stage is not Stage.LEAVING
    return VersionState.BUILDING if is_building else VersionState.DRAINING


def redis_sound(store: StoreView) -> IndexConditionState:
    """How Redis is set up: what will go wrong one day, which is why it is no part of Ready."""
    unknown = ConditionStatus.UNKNOWN
    if store.fault:
        return unknown, ConditionReason.STORE_UNAVAILABLE, store.fault
    if not store.seen or store.ledger_warnings is None:
        return unknown, ConditionReason.PENDING, "Not looked at yet."
    if warnings := (*store.warnings, *store.ledger_warnings):
        message = " ".join(f"{_upper_first(each.message)}." for each in warnings)
        return ConditionStatus.FALSE, warnings[0].reason, message
    message = "It evicts old answers within a memory limit, and the ledger keeps everything."
    return ConditionStatus.TRUE, ConditionReason.REDIS_SOUND, message


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]
