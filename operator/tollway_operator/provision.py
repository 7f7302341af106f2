"""Index versions wanted against index versions found: the difference, and applying it. A version is named by its
embedding fingerprint, so a wanted one that is found is right as it is, and a new embedding is a new version beside the
old one. Where something else bears its name, that is left alone and the version gets another name. Also says what is
wrong with how the servers are set up.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Final

from tollway_api import wire
from tollway_api.reembedding import Progress
from tollway_api.snapshot import Index, IndexVersion, Snapshot
from tollway_operator.dropping import Dropping
from tollway_operator.errors import StoreFault, StoreRefusal
from tollway_operator.migration import Known, abandoned, needed, next_snapshot, unfinished
from tollway_operator.redis_facts import IndexFacts, IndexSchema, ServerFacts
from tollway_operator.redis_store import RedisStore, open_store

_MOST_OTHERS: Final = 16  # that bear an index version's name


class Step(StrEnum):
    CREATE = "Create"
    REPLACE = "Replace"  # it is to be searched in another way: the index goes, its vectors stay
    UNUSED = "Unused"  # no object asks for it any more; dropped once no pod uses it either


@dataclass(frozen=True, slots=True)
class Action:
    step: Step
    name: str
    version: IndexVersion | None = None


class WarningReason(StrEnum):
    REDIS_EVICTION_POLICY = "RedisEvictionPolicy"
    REDIS_NO_MEMORY_LIMIT = "RedisNoMemoryLimit"
    LEDGER_MAY_EVICT = "LedgerMayEvict"
    LEDGER_NOT_PERSISTENT = "LedgerNotPersistent"
    LEDGER_UNAVAILABLE = "LedgerUnavailable"
    SEARCH_MODULE_MISSING = "SearchModuleMissing"


@dataclass(frozen=True, slots=True)
class ServerWarning:
    reason: WarningReason
    message: str

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"


def beside_others(wanted: Snapshot, found: Mapping[str, IndexFacts]) -> Snapshot:
    """The same snapshot, but for the index versions whose names something else bears."""
    return _renamed(
        wanted, lambda version: next(each for each in _names_of(version) if _is_free(each, found))
    )


def as_published(wanted: Snapshot, published: Mapping[str, Index]) -> Snapshot:
    """The same snapshot with its index versions as they are called in what was published, where they are the same: for
    as long as nobody can look at what else there is.
    """
    names = {version.name for index in published.values() for version in index.versions}

    def before(version: IndexVersion) -> IndexVersion:
        candidates = islice(_names_of(version), _MOST_OTHERS if names else 0)
        return next((each for each in candidates if each.name in names), version)

    return _renamed(wanted, before)


def _renamed(wanted: Snapshot, rename: Callable[[IndexVersion], IndexVersion]) -> Snapshot:
    indexes = {
        index_id: replace(index, version=rename(index.version)) for index_id, index in wanted.indexes.items()
    }
    return wanted if indexes == wanted.indexes else replace(wanted, indexes=indexes)


def _names_of(version: IndexVersion) -> Iterator[IndexVersion]:
    """The index version by its own name, and then by those that it gets where others bear that."""
    while True:
        yield version
        version = replace(version, name=wire.next_version(version.name))


def _is_free(version: IndexVersion, found: Mapping[str, IndexFacts]) -> bool:
    """Also where it is there already."""
    facts = found.get(wire.index_name(version))
    if facts is None or (facts.schema is None and facts.being_dropped):
        return True
    return facts.schema is not None and facts.schema.takes_the_same_as(IndexSchema.of(version))


def still_ours(published: Mapping[str, Index], found: Mapping[str, IndexFacts]) -> dict[str, Index]:
    """What was published, without versions whose names something else bears by now: these are as good as never made."""
    ours = {}
    for index_id, index in published.items():
        if _is_free(index.version, found):
            beside = index.beside if index.beside and _is_free(index.beside.version, found) else None
            ours[index_id] = replace(index, beside=beside)
    return ours


def stands(found: IndexFacts, version: IndexVersion) -> bool:
    """Whether what is found is the index version that is wanted, as it is wanted."""
    return found.schema is not None and found.schema.is_as(IndexSchema.of(version))


def plan(wanted: Iterable[IndexVersion], found: Mapping[str, IndexFacts]) -> list[Action]:
    """What to do, in a stable order, for versions that are `beside_others`."""
    actions = []
    names = set()
    for version in sorted(wanted, key=lambda each: each.name):
        name = wire.index_name(version)
        names.add(name)
        if name not in found:
            actions.append(Action(Step.CREATE, name, version))
        elif not stands(found[name], version):
            actions.append(Action(Step.REPLACE, name, version))
    return actions + [Action(Step.UNUSED, name) for name in sorted(set(found) - names)]


async def apply(actions: Iterable[Action], store: RedisStore) -> dict[str, str]:
    """Those that Redis would not make, by name, and why; the others are made all the same. Raises StoreFault when it
    does not answer; what was done before stays done, and planning again goes on from there.
    """
    refused = {}
    for action in actions:
        try:
            if action.step is Step.REPLACE:
                await store.drop(action.name)
            if action.version is not None:
                await store.create(action.version)
        except StoreRefusal as refusal:
            refused[action.name] = str(refusal)
    return refused


def server_warnings(cache: ServerFacts, ledger: ServerFacts) -> Iterator[ServerWarning]:
    """What will go wrong one day, in sentences a person can act on."""
    yield from cache_warnings(cache)
    yield from ledger_warnings(ledger)


def cache_warnings(cache: ServerFacts) -> Iterator[ServerWarning]:
    if cache.search_module is None:
        message = (
            "the cache Redis has no vector search, so only exact hits are possible; "
            "use Redis 8, or load the RediSearch module"
        )
        yield ServerWarning(WarningReason.SEARCH_MODULE_MISSING, message)
    if not cache.max_memory:
        message = "the cache Redis has no maxmemory and will grow until it is killed; set maxmemory"
        yield ServerWarning(WarningReason.REDIS_NO_MEMORY_LIMIT, message)
    if cache.eviction != "allkeys-lru":
        message = (
            f"the cache Redis has maxmemory-policy {cache.eviction}; "
            "set allkeys-lru, so that old answers make room"
        )
        yield ServerWarning(WarningReason.REDIS_EVICTION_POLICY, message)


def ledger_warnings(ledger: ServerFacts) -> Iterator[ServerWarning]:
    if ledger.max_memory and ledger.eviction != "noeviction":
        message = (
            f"the ledger Redis has maxmemory-policy {ledger.eviction} and may forget what was spent; "
            "set noeviction, or give the ledger a Redis of its own"
        )
        yield ServerWarning(WarningReason.LEDGER_MAY_EVICT, message)
    if not ledger.append_only:
        message = (
            "the ledger Redis has no append-only file and forgets what was spent when it restarts; "
            "set appendonly yes"
        )
        yield ServerWarning(WarningReason.LEDGER_NOT_PERSISTENT, message)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """`snapshot` is the one to run next: the one given, with its index versions as they are called there, and as far on
    their way from what was run before as they may be.
    """

    snapshot: Snapshot
    actions: tuple[Action, ...]
    warnings: tuple[ServerWarning, ...]
    progress: Mapping[str, Progress] = field(default_factory=dict)  # of versions that are filled, by name
    is_settled: bool = True  # nothing is on its way, and nothing is left to be dropped once this runs


async def provision(
    wanted: Snapshot,
    cache_url: str,
    ledger_url: str,
    published: Mapping[str, Index] | None = None,
    dropping: Dropping | None = None,
) -> Provisioned:
    """Makes the index versions that the snapshot needs, where nobody runs anything but what was published. `dropping`
    remembers how far those are deleted that are not needed any more. Raises StoreFault.
    """
    async with open_store(cache_url, "cache") as cache, open_store(ledger_url, "ledger") as ledger:
        cache_facts, ledger_facts = await cache.facts(), await ledger.facts()
        actions: list[Action] = []
        progress: Mapping[str, Progress] = {}
        versions: list[IndexVersion] = []
        left: list[str] = []
        if cache_facts.search_module is not None:
            found = await cache.indexes()
            before = still_ours(published or {}, found)
            for name in await (dropping or Dropping()).go_on(cache, abandoned(found, before)):
                del found[name]
            left = abandoned(found, before)
            wanted = beside_others(wanted, found)
            versions = list(needed(wanted, before))
            actions = plan((each for each in versions if wire.index_name(each) not in left), found)
            for why in (await apply(actions, cache)).values():
                raise StoreFault(why)
            progress = await cache.progress(versions)
            made = frozenset(each.name for each in versions if wire.index_name(each) not in left)
            wanted = next_snapshot(wanted, before, Known(acknowledged=True, made=made, progress=progress))
        warnings = tuple(server_warnings(cache_facts, ledger_facts))
        used = [version for index in wanted.indexes.values() for version in index.versions]
        is_settled = not unfinished(wanted.indexes) and len(versions) <= len(used) and not left
        return Provisioned(wanted, tuple(actions), warnings, progress, is_settled)
