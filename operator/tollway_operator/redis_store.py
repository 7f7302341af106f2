"""The operator's one door to Redis: which index versions exist, creating and dropping them, and how the server is set
up. No call waits longer than its deadline, and none is retried here: the reconcile loop does that.
"""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import reduce
from itertools import chain, count, product
from time import monotonic
from typing import Any, Final, cast

from redis.asyncio import ConnectionPool, Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AuthenticationError, OutOfMemoryError, RedisError, ResponseError

from tollway_api import wire
from tollway_api.epochs import Epochs
from tollway_api.error_control import Tally, tally_of
from tollway_api.redis_url import address_in
from tollway_api.reembedding import FIELD as PROGRESS
from tollway_api.reembedding import Progress
from tollway_api.semantic_cache_index import VectorAlgorithm
from tollway_api.snapshot import IndexVersion
from tollway_api.windows import Holds
from tollway_api.wire import Sample
from tollway_operator.errors import StoreFault, StoreRefusal
from tollway_operator.redis_facts import IndexFacts, ServerFacts, index_facts, server_facts, text, together
from tollway_redis.connecting import connect

_DEADLINE_S: Final = 10.0
# In which a limit refused somebody that is said to do so. Some requests fit into the rest of it and others do not; a
# condition that told them apart would come and go with each.
_LATELY_MS: Final = 600_000
_LOOK_S: Final = 3.0  # for what only looks, and so takes no time where all is well
_SCAN_COUNT: Final = 500
_DESCRIBED_AT_ONCE: Final = 100
_NO_INDEX: Final = "no such index|unknown index"
_UNLINKED_AT_ONCE: Final = 50  # a vector leaves its index's graph while the server does nothing else
_FIRST_KEY: Final = 3  # in what COMMAND INFO says of a command: the place of its first key, 0 for none
# Later leaderships have larger fences; one that has been overtaken is told so.
_CLAIM: Final = """
local standing = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
if standing > tonumber(ARGV[1]) and standing <= tonumber(ARGV[2]) then return 0 end
if standing ~= tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return 1
"""
# Redis 7 and later let such a script write where there is no room, which is made by what the claim is for.
_WITHOUT_ROOM: Final = "#!lua flags=allow-oom\n"


_MARK: Final = IndexFacts(None, 0, 0, being_dropped=True)


@dataclass(frozen=True, slots=True)
class _Node:
    """A server; of a cluster, a primary and the slots that it has."""

    redis: Redis
    slots: tuple[range, ...] = (range(REDIS_CLUSTER_HASH_SLOTS),)

    def has(self, name: str) -> bool:
        slot = key_slot(name.encode())
        return any(slot in each for each in self.slots)

    def own(self, index_name: str) -> str:
        """A name by which this server lets itself be asked about an index."""
        names = chain([index_name], (wire.name_on_shard(index_name, str(tag)) for tag in count()))
        return next(name for name in names if self.has(name))


@dataclass(slots=True)
class Walk:
    """How far all keys have been looked through for those to be deleted, so that it can be gone on with. A server that
    has begun anew has another order of its keys, and so it is another server here.
    """

    cursors: dict[tuple[str, str], int | None] = field(
        default_factory=dict
    )  # by run id and glob; None: through
    deleted: int = 0
    complete: bool = False


class RedisStore:
    """Make one with `open_store`. Of a cluster every primary is asked, because a module without a coordinator knows
    its own shard only. Which they are is asked every time, since a failover changes it.
    """

    def __init__(self, redis: Redis, role: str, address: str) -> None:
        """`address` is what messages call it."""
        self._redis = redis
        self._role = role
        self._address = address
        self._primaries: dict[str, Redis] = {}  # by address

    async def facts(self) -> ServerFacts:
        """Of a cluster, what holds on its worst node. Raises StoreFault."""
        async with self._faults("read its configuration", _LOOK_S):
            facts = [server_facts(await node.redis.info("everything")) for node in await self._nodes()]
        return min(facts, key=lambda each: each.soundness)

    async def indexes(self) -> dict[str, IndexFacts]:
        """Our indexes by name: those that are on every node, and those that are being dropped. Raises StoreFault."""
        found = await self._indexes_of_nodes()
        marks = {name for each in found for name, facts in each.items() if facts.being_dropped}
        whole = set.intersection(*map(set, found)) - marks
        indexes = {name: reduce(together, (each[name] for each in found)) for name in whole}
        for name in map(wire.dropped_under, marks):
            indexes[name] = replace(indexes.get(name, _MARK), being_dropped=True)
        return indexes

    async def create(self, version: IndexVersion) -> None:
        """Where it is there already it stays as it is. Raises StoreFault; StoreRefusal among them."""
        parameters: list[str | int] = [
            *("TYPE", version.vector_type.upper(), "DIM", version.embedding.dimensions),
            *("DISTANCE_METRIC", version.metric.upper(), "INITIAL_CAP", version.initial_capacity),
        ]
        if version.algorithm is VectorAlgorithm.HNSW:
            parameters += ["M", version.m, "EF_CONSTRUCTION", version.ef_construction]
        words = [
            *("ON", "HASH", "PREFIX", 1, wire.vector_prefix(version)),
            *("SCHEMA", "partition", "TAG", "CASESENSITIVE"),
            *("embedding", "VECTOR", version.algorithm.upper(), len(parameters), *parameters),
        ]
        async with self._faults(f"create index version {version.name}"):
            await self._create(wire.index_name(version), *words)

    async def _create(self, name: str, *words: str | int) -> None:
        for node in await self._searched():
            if name not in await _names(node):
                await _command(node.redis, "FT.CREATE", node.own(name), *words, unless="already exists")

    async def names(self) -> set[str]:
        """Our indexes, also those that are on some nodes only, and what marks those that are being dropped; none that
        only bears the name. Raises StoreFault.
        """
        found = await self._indexes_of_nodes()
        return {
            name
            for each in found
            for name, facts in each.items()
            if facts.schema is not None or facts.being_dropped
        }

    async def _indexes_of_nodes(self) -> list[dict[str, IndexFacts]]:
        """Also marks, by names of their own. Raises StoreFault. Of thousands a few at a time, each with a deadline of
        its own.
        """
        async with self._faults("list its indexes", _LOOK_S):
            names = [(node.redis, await _names(node)) for node in await self._searched()]
        found: list[dict[str, IndexFacts]] = []
        for redis, on_node in names:
            found.append({name: _MARK for name in on_node if name.startswith(wire.DROPPING_PREFIX)})
            pending = [each for each in on_node.items() if each[0] not in found[-1]]
            while batch := pending[:_DESCRIBED_AT_ONCE]:
                del pending[:_DESCRIBED_AT_ONCE]
                async with self._faults(f"describe {len(batch)} of its {len(on_node)} indexes", _LOOK_S):
                    found[-1] |= await _described(redis, batch)
        return found

    async def drop(self, name: str) -> None:
        """The index alone; what it has indexed stays. Raises StoreFault."""
        async with self._faults(f"drop index {name}"):
            for node in await self._searched():
                if found := (await _names(node)).get(name):
                    await _command(node.redis, "FT.DROPINDEX", found, unless=_NO_INDEX)

    async def progress(self, versions: Iterable[IndexVersion]) -> dict[str, Progress]:
        """How far each is filled, by name, of those of which something is noted. Raises StoreFault."""
        found: dict[str, Progress] = {}
        async with self._faults("read how far index versions are filled", _LOOK_S):
            nodes = await self._nodes()
            for version in versions:
                key, _ = wire.reembedding_keys(version.name)
                for node in nodes:
                    if node.has(key):
                        noted = Progress.parse(cast("bytes | None", await node.redis.hget(key, PROGRESS)))
                        found |= {version.name: noted} if noted else {}
        return found

    async def drop_version(self, name: str, for_s: float = math.inf, walk: Walk | None = None) -> Walk:
        """Deletes an index version: its index, its vectors, and what is noted of it. The index goes first, since it
        would be made whole again for each vector that is taken out of it; so a mark stands from before that until the
        end, by which what is left is found when whoever did this was cut short. Where there is no room for the mark the
        index stays until the end in its place. Ends and is gone on with as `forget`. Raises StoreFault.
        """
        version, walk, mark = name.removeprefix(wire.INDEX_PREFIX), walk or Walk(), wire.dropping_name(name)
        attempted, prefix = f"delete index version {version}", wire.prefix_of_vectors(name)
        if await self._is_marked(mark):
            await self.drop(name)
        async with self._faults(attempted):
            for node in await self._nodes():
                noted = [key for key in wire.reembedding_keys(version) if node.has(key)]
                walk.deleted += await node.redis.unlink(*noted) if noted else 0
        await self._delete([f"{prefix}*"], re.compile(re.escape(prefix.encode())), attempted, walk, for_s)
        if walk.complete:
            await self.drop(name)
            await self.drop(mark)
        return walk

    async def _is_marked(self, mark: str) -> bool:
        """Once it has been tried; False where there is no room. Raises StoreFault."""
        async with self._faults("mark what is being dropped"):
            try:
                await self._create(
                    mark, "ON", "HASH", "PREFIX", 1, mark, "SKIPINITIALSCAN", "SCHEMA", "partition", "TAG"
                )
            except OutOfMemoryError:
                return False
        return True

    async def forget(self, index_id: str, for_s: float = math.inf, walk: Walk | None = None) -> Walk:
        """Deletes the remembered answers of an index, the vectors of all its versions, how far those were filled, and
        the labels of its hits. By their names, so that also those are found which no index knows any more. Begins to
        end after so many seconds, to be gone on with by the walk that it returns. Raises StoreFault; what is deleted by
        then stays so, and `walk` says how far it came.
        """
        walk = walk or Walk()
        globs = (wire.tagged_pattern(index_id), wire.reembedding_pattern(index_id))
        # A glob lets more through.
        exact = (wire.vector_pattern(index_id), wire.entry_pattern(index_id), wire.label_pattern(index_id))
        ours = re.compile("|".join(map(translate, (*exact, globs[1]))).encode())
        await self._delete(globs, ours, f"delete what {index_id} remembers", walk, for_s)
        return walk

    async def _delete(
        self,
        globs: Sequence[str],
        ours: re.Pattern[bytes],
        attempted: str,
        walk: Walk,
        for_s: float = math.inf,
    ) -> None:
        until = monotonic() + for_s
        async with self._faults(attempted):
            nodes = {(await each.redis.info("server"))["run_id"]: each for each in await self._nodes()}
        for place in product(nodes, globs):
            while (cursor := walk.cursors.get(place, 0)) is not None:
                async with self._faults(attempted):
                    found = await self._scanned(nodes[place[0]].redis, cursor, place[1], ours, walk)
                walk.cursors[place] = found or None
                if monotonic() >= until:
                    return  # also after the last, which the next call finds to be so
        walk.complete = True

    async def _scanned(self, node: Redis, cursor: int, glob: str, ours: re.Pattern[bytes], walk: Walk) -> int:
        """The next cursor, once what is found at this one is deleted."""
        cursor, found = await node.scan(cursor, glob, _SCAN_COUNT)
        keys = [key for key in cast("list[bytes]", found) if ours.match(key)]
        for first in range(0, len(keys), _UNLINKED_AT_ONCE):
            # One by one, since those of a cluster are of different slots.
            pipeline = node.pipeline(transaction=False)
            for key in keys[first : first + _UNLINKED_AT_ONCE]:
                pipeline.unlink(key)
            walk.deleted += sum(await pipeline.execute())
        return cursor

    async def standing_fence(self) -> int:
        """Under which was written here last; 0 where that never was. Raises StoreFault."""
        async with self._faults("read its fence", _LOOK_S):
            node = await self._node_of(wire.FENCE_KEY)
            standing = int(await node.redis.get(wire.FENCE_KEY) or 0)
        return standing if standing <= wire.MOST_FENCE else 0

    async def epochs(self) -> Epochs:
        """When what was purged by data planes. Raises StoreFault."""
        async with self._faults("read what was purged", _LOOK_S):
            for node in await self._nodes():
                if node.has(wire.EPOCHS_KEY):
                    found = await _command(node.redis, "HGETALL", wire.EPOCHS_KEY)
                    return Epochs.parse(found)
        return Epochs()

    async def claim(self, fence: int) -> bool:
        """Whether this leadership may write: no later one has claimed. Raises StoreFault."""
        async with self._faults("claim it"):
            node = await self._node_of(wire.FENCE_KEY)
            with suppress(OutOfMemoryError):
                return bool(await node.redis.eval(_CLAIM, 1, wire.FENCE_KEY, fence, wire.MOST_FENCE))
        async with self._faults("claim it although it is full, which needs Redis 7 or later"):
            claim = _WITHOUT_ROOM + _CLAIM
            return bool(await node.redis.eval(claim, 1, wire.FENCE_KEY, fence, wire.MOST_FENCE))

    async def note_alert(self, key: str, lasts_ms: int) -> bool:
        """Whether nobody has noted it for so long. Raises StoreFault."""
        async with self._faults("note an alert"):
            return bool(await self._redis.set(key, b"", nx=True, px=lasts_ms))

    async def holds(self) -> Holds:
        """What the ledger holds in all accounts, and what it has refused lately. Raises StoreFault."""
        async with self._faults("read what is held"):
            seconds, micros = await self._redis.time()
            now_ms = seconds * 1_000 + micros // 1_000
            keys = wire.ledger_keys("")
            pipeline = self._redis.pipeline(transaction=False)
            # First which have expired: one that is removed meanwhile is then in no sum either.
            pipeline.zrangebyscore(keys.expiry, "-inf", now_ms)
            pipeline.hgetall(keys.holds)
            pipeline.zrangebyscore(keys.refused, now_ms - _LATELY_MS, "+inf")
            expired, recorded, refused = await pipeline.execute()
        return Holds.read(now_ms, recorded, expired, frozenset(refused))

    async def spent(self, accounts: Sequence[str]) -> list[Mapping[bytes, bytes] | None]:
        """What the ledger has recorded of each; None where somebody has put something else there. Raises StoreFault."""
        async with self._faults("read what was spent"):
            pipeline = self._redis.pipeline(transaction=False)
            for account in accounts:
                pipeline.hgetall(wire.ledger_keys(account).spent)
            # One account may be damaged in any way, and then it alone is not known.
            replies = await pipeline.execute(raise_on_error=False)
            if replies and all(isinstance(reply, ResponseError) for reply in replies):
                raise replies[0]
        return [None if isinstance(reply, ResponseError) else reply for reply in replies]

    async def tallies(self, sample: Sample) -> list[Tally]:
        """What was judged, of a window's time slices, the newest first. Raises StoreFault."""
        async with self._faults(f"read the labels at {sample.prefix}", _LOOK_S):
            seconds, micros = await self._redis.time()
            keys = wire.label_keys(sample, seconds * 1_000 + micros // 1_000)
            (node,) = [each for each in await self._nodes() if each.has(keys[0])]
            pipeline = node.redis.pipeline(transaction=False)
            for key in keys:
                pipeline.hgetall(key)
            return [tally_of(sample.control.bound.scale, fields) for fields in await pipeline.execute()]

    async def _nodes(self) -> list[_Node]:
        """Every server that holds keys. Raises StoreFault while a shard has no primary: what is asked of the others
        alone would be taken for the whole.
        """
        if not (await self._redis.info("cluster")).get("cluster_enabled"):
            return [_Node(self._redis)]
        found = {}
        for address, node in (await _command(self._redis, "CLUSTER NODES")).items():
            slots = tuple(range(int(each[0]), int(each[-1]) + 1) for each in node["slots"])
            if slots and "master" in node["flags"].split(",") and "fail" not in node["flags"].split(","):
                found[address] = _Node(self._primary(address), slots)
        for gone in self._primaries.keys() - found.keys():
            await self._primaries.pop(gone).aclose()
        if lacking := REDIS_CLUSTER_HASH_SLOTS - sum(
            len(each) for node in found.values() for each in node.slots
        ):
            raise StoreFault(
                f"no primary of the {self._role} Redis at {self._address} has {lacking} of its "
                f"{REDIS_CLUSTER_HASH_SLOTS} slots; bring the shard back, or give its slots to another"
            )
        return list(found.values())

    async def _node_of(self, key: str) -> _Node:
        nodes = await self._nodes()
        return next(node for node in nodes if node.has(key))

    async def _searched(self) -> list[_Node]:
        """Where indexes are made and asked about: one server where the module coordinates the others."""
        nodes = await self._nodes()
        # A module that coordinates does not take an index's name for a key.
        (described,) = await _command(nodes[0].redis, "COMMAND INFO", "FT.CREATE")
        coordinated = described is not None and not described[_FIRST_KEY]
        return [_Node(nodes[0].redis)] if coordinated else nodes

    def _primary(self, address: str) -> Redis:
        if address not in self._primaries:
            pool = self._redis.connection_pool
            host, _, port = address.rpartition(":")
            # A server that has met no other does not know its own address.
            there = {"host": host, "port": int(port)} if host else {}
            options = {**pool.connection_kwargs, **there}
            self._primaries[address] = Redis.from_pool(
                ConnectionPool(connection_class=pool.connection_class, **options)
            )
        return self._primaries[address]

    async def aclose(self) -> None:
        for redis in (self._redis, *self._primaries.values()):
            await redis.aclose()

    @asynccontextmanager
    async def _faults(self, attempted: str, deadline_s: float = _DEADLINE_S) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(deadline_s):
                yield
        except AuthenticationError as exc:
            raise StoreFault(
                f"the {self._role} Redis at {self._address} does not let us in to {attempted}: {exc}"
            ) from exc
        except ResponseError as exc:
            raise StoreRefusal(f"the {self._role} Redis would not {attempted}: {exc}") from exc
        except (ValueError, LookupError, TypeError) as exc:
            message = (
                f"the {self._role} Redis was asked to {attempted}, and its answer makes no sense: {exc!r}"
            )
            raise StoreFault(message) from exc
        except TimeoutError as exc:
            message = (
                f"the {self._role} Redis at {self._address} took longer than {deadline_s:g} s to {attempted}"
            )
            raise StoreFault(message) from exc
        except (RedisError, OSError) as exc:
            message = f"could not reach the {self._role} Redis at {self._address} to {attempted}: {type(exc).__name__}"
            raise StoreFault(message) from exc


@asynccontextmanager
async def open_store(url: str, role: str) -> AsyncIterator[RedisStore]:
    store = RedisStore(connect(url, _DEADLINE_S), role, address_in(url))
    try:
        yield store
    finally:
        await store.aclose()


async def _command(node: Redis, *words: str | int, unless: str = "") -> Any:
    """`unless`: a complaint, as a regular expression, that means that there is nothing to do."""
    try:
        return await node.execute_command(*words)  # type: ignore[no-untyped-call]  # the library does not type it
    except ResponseError as exc:
        if unless and re.search(unless, str(exc), re.IGNORECASE):
            return None
        raise


async def _names(node: _Node) -> dict[str, str]:
    """What our indexes and marks are called on one server. Names that hash elsewhere since slots were moved are of no
    use.
    """
    # Without the module there are none.
    listed = map(text, await _command(node.redis, "FT._LIST", unless="unknown command") or ())
    prefixes = (wire.INDEX_PREFIX, wire.DROPPING_PREFIX)
    ours = [name for name in listed if name.startswith(prefixes) and node.has(name)]
    return {wire.name_of_all_shards(name): name for name in ours}


async def _described(node: Redis, names: Sequence[tuple[str, str]]) -> dict[str, IndexFacts]:
    """By their names over all servers, given with what they are called on this one; without those gone meanwhile."""
    pipeline = node.pipeline(transaction=False)
    for _, name in names:
        pipeline.execute_command("FT.INFO", name)
    found = {}
    for (index, _), reply in zip(names, await pipeline.execute(raise_on_error=False), strict=True):
        if not isinstance(reply, Exception):
            found[index] = index_facts(index, reply)
        elif not re.search(_NO_INDEX, str(reply), re.IGNORECASE):
            raise reply
    return found
