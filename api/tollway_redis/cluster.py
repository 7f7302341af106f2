"""A client for a Redis Cluster that passes for one of a single Redis, as far as the cache's adapters and the operator
use that. Made by `connect`.

The library has a client for clusters as well. It learns the cluster anew within the time of whoever asks next, and from
the beginning when that time is over, so that with deadlines of milliseconds it may never end; until it does nobody is
answered, whichever shard he asks; and it makes its connections itself, so that they would know nothing of credentials
and certificates that are rotated. So commands are routed here, to one of the library's usual clients for each server.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError

from tollway_api import wire

_T = TypeVar("_T")

Address = tuple[str, int]

_DEADLINE_S: Final = 1.0  # for one server to say what the cluster is; then the next is asked
_PAUSE_S: Final = 0.2  # between two looks at what the cluster is
# A server names no replica of which it has not heard yet how far that is, nor one that has failed; and of one that is
# not asked nobody is told by a fault that it is back.
_REPLICAS_LOOKED_FOR_S: Final = 10.0
_WITHOUT_KEY: Final = {"INFO", "TIME", "SCAN", "PING", "CLUSTER", "COMMAND", "FT._LIST"}
_KEY_AT: Final = {"EVAL": 3}  # of all others it follows the command
_BEFORE_KEY: Final = {"XREAD": b"STREAMS"}
DISTANCE: Final = "distance"
_FAULTS: Final = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)


@dataclass(frozen=True, slots=True)
class Query:
    """The nearest by `distance`, as the text calls it, to a vector that it calls `$vector`."""

    text: str
    vector: bytes
    most: int
    fields: tuple[str, ...] = ()  # of each document; there need not be all

    def words(self, *content: str | int) -> tuple[str | int | bytes, ...]:
        """Behind an index's name."""
        asked = (self.text, "PARAMS", 2, "vector", self.vector, "SORTBY", DISTANCE, *content)
        return (*asked, "LIMIT", 0, self.most, "DIALECT", 2)


@dataclass(frozen=True, slots=True)
class _Shard:
    primary: Address
    replicas: tuple[Address, ...]


class ClusterRedis(Redis):
    """`client_of` makes a client for one server. Where `reads_replicas`, every command goes to a replica of its shard,
    to which that client connects READONLY, and to the primary for as long as none is known. A command is sent on once
    where its slot has been moved, and never again after a fault: what the cluster is by then is found out behind the
    requests.
    """

    def __init__(
        self, seeds: Sequence[Address], client_of: Callable[[Address], Redis], *, reads_replicas: bool = False
    ) -> None:
        self._seeds = seeds
        self._client_of = client_of
        self._reads_replicas = reads_replicas
        self._clients: dict[Address, Redis] = {}
        self._shard_of: dict[int, _Shard] = {}  # by slot
        self._names: dict[Address, dict[str, str]] = {}  # of indexes on that server
        self._look: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        super().__init__(connection_pool=self._client(seeds[0]).connection_pool)

    # What passes for a single Redis

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        async def ask(client: Redis) -> Any:
            return await client.execute_command(*words, **options)  # type: ignore[no-untyped-call]  # the library does not type it

        key = _key_in(words)
        if key is None:
            return await self._anywhere(ask)
        try:
            return await self.at(await self.address_of(key), ask)
        except MovedError as moved:
            return await self.at(self.sent_on(moved), ask)
        except AskError as asked:
            return await self.at((asked.host, asked.port), _asking(words, options))

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: ARG002 - as it is
        return _ClusterPipeline(self, self.response_callbacks, transaction)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: ARG002 - the library's
        if self._look is not None:
            self._look.cancel()
            with suppress(asyncio.CancelledError, *_FAULTS):
                await self._look
        for client in self._clients.values():
            await client.aclose()

    # What a single Redis has not got

    async def primaries(self) -> list[Redis]:
        """A client for each, in an order that stays while they are the same. Raises ClusterDownError where a slot has
        no server, since the others would be taken for the whole.
        """
        await self._known()
        if len(self._shard_of) < REDIS_CLUSTER_HASH_SLOTS:
            self._begin_look()
            raise ClusterDownError("slots without a server")
        return [self._client(each) for each in sorted({shard.primary for shard in self._shard_of.values()})]

    async def search(self, key: str, index: str, query: Query) -> list[Any]:
        """As of `search`. Documents are read by themselves: where a module takes an index's name for a key, the server
        looks for all that it reads among the keys of that name's slot, and finds none.
        """
        address = await self.address_of(key)
        try:
            found = await self.at(address, lambda client: self._search(address, client, index, query))
        except ResponseError:
            # It was made anew, or its name hashes elsewhere by now.
            self._names.pop(address, None)
            self._begin_look()
            raise
        near = list(zip(found[1::2], found[2::2], strict=True))
        pipeline = self.pipeline(transaction=False)
        for document, _ in near if query.fields else ():
            pipeline.hmget(document, list(query.fields))
        read = await pipeline.execute() or [()] * len(near)
        reply: list[Any] = [found[0]]
        for (document, distance), values in zip(near, read, strict=True):
            has = [
                (name.encode(), value)
                for name, value in zip(query.fields, values, strict=False)
                if value is not None
            ]
            is_gone = query.fields and not has
            # A number stands behind "#" there.
            fields = chain.from_iterable([(DISTANCE.encode(), distance[1:]), *has])
            reply += [document, None if is_gone else list(fields)]
        return reply

    async def _search(self, address: Address, client: Redis, index: str, query: Query) -> list[Any]:
        # Where there is none, what the server says of that is as true as of any.
        name = (await self._names_on(address, client, index)).get(index, index)
        words = query.words("NOCONTENT", "WITHSORTKEYS")
        return cast("list[Any]", await client.execute_command("FT.SEARCH", name, *words))  # type: ignore[no-untyped-call]  # as above

    async def parts_of(self, index: str) -> list[tuple[Redis, str]]:
        """Where an index has a part, and what it is called there; where the module coordinates, one is the whole."""
        found = []
        for client in await self.primaries():
            address = next(each for each, known in self._clients.items() if known is client)
            if name := (await self._names_on(address, client, index)).get(index):
                found.append((client, name))
        return found[:1] if all(name == index for _, name in found) else found

    async def _names_on(self, address: Address, client: Redis, index: str) -> dict[str, str]:
        if index not in self._names.get(address, {}):
            listed: Any = await client.execute_command("FT._LIST")  # type: ignore[no-untyped-call]  # as above
            self._names[address] = self._own(address, (each.decode() for each in listed))
        return self._names[address]

    def _own(self, address: Address, listed: Iterable[str]) -> dict[str, str]:
        """By their names over all servers. One that hashes to another server, as since slots were moved, is refused by
        this one, but where its module coordinates, which takes any.
        """
        found = dict[str, str]()
        for name in sorted(listed, key=lambda name: address in self._servers_of(key_slot(name.encode()))):
            found[wire.name_of_all_shards(name)] = name  # those that hash here are the last
        return found

    # Which server

    async def address_of(self, key: Any) -> Address:
        await self._known()
        slot = key_slot(key if isinstance(key, bytes) else str(key).encode())
        servers = self._servers_of(slot)
        if not servers:
            self._begin_look()
            raise ClusterDownError(f"no server has slot {slot}")
        # The primary is the first.
        replicas = servers[1:] if self._reads_replicas else ()
        return random.choice(replicas or servers[:1])  # noqa: S311 - not a secret

    def _servers_of(self, slot: int) -> list[Address]:
        shard = self._shard_of.get(slot)
        return [] if shard is None else [shard.primary, *shard.replicas]

    def _client(self, address: Address) -> Redis:
        if address not in self._clients:
            self._clients[address] = self._client_of(address)
        return self._clients[address]

    async def at(self, address: Address, ask: Callable[[Redis], Awaitable[_T]]) -> _T:
        try:
            return await ask(self._client(address))
        except (MovedError, AskError):
            raise
        except ResponseError as exc:
            if isinstance(exc, ClusterDownError):
                self._begin_look()
            raise
        except BaseException:
            # Also where the time of who asked is over.
            self._begin_look()
            raise

    async def _anywhere(self, ask: Callable[[Redis], Awaitable[_T]]) -> _T:
        """At the first that answers."""
        fault: Exception = ClusterDownError("no server answers")
        for address in self._any():
            try:
                return await self.at(address, ask)
            except ResponseError:
                raise
            except _FAULTS as exc:
                fault = exc
        raise fault

    def _any(self) -> list[Address]:
        """Those that are known, in no order, and then those that were named."""
        known = list({each.primary for each in self._shard_of.values()})
        random.shuffle(known)
        return list(dict.fromkeys([*known, *self._seeds]))

    def sent_on(self, moved: MovedError) -> Address:
        """Where the slot is now. Which others have been moved with it is looked up."""
        address = (moved.host, moved.port)
        self._shard_of[moved.slot_id] = _Shard(address, ())
        self._begin_look()
        return address

    async def _known(self) -> None:
        """Waits only where nothing is known yet; and the look goes on although who waits has no time left."""
        if not self._shard_of:
            await asyncio.shield(self._begin_look())
            return
        since_s = asyncio.get_running_loop().time() - self._looked_at
        if self._reads_replicas and since_s >= _REPLICAS_LOOKED_FOR_S:
            self._begin_look()

    def _begin_look(self) -> "asyncio.Task[None]":
        """One at a time."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._find_out())
            self._look.add_done_callback(_heard)
        return self._look

    async def _find_out(self) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._looked_at + _PAUSE_S - clock())
        fault: Exception = ClusterDownError("no server says what the cluster is")
        for address in self._any():
            try:
                async with asyncio.timeout(_DEADLINE_S):
                    slots = await self._client(address).execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]  # as above
            except _FAULTS as exc:
                fault = exc
            else:
                # One that belongs to none, as since it was taken out, knows nothing.
                if slots:
                    await self._take(_shards(slots, address[0]))
                    return
            finally:
                self._looked_at = clock()
        raise fault

    async def _take(self, shards: dict[int, _Shard]) -> None:
        if shards != self._shard_of:
            self._names.clear()
        self._shard_of = shards
        wanted = {address for shard in shards.values() for address in (shard.primary, *shard.replicas)}
        for address in self._clients.keys() - wanted - set(self._seeds):
            await self._clients.pop(address).aclose()


async def primaries(redis: Redis) -> list[Redis]:
    """Whatever has keys of its own: a single Redis itself."""
    return await redis.primaries() if isinstance(redis, ClusterRedis) else [redis]


async def parts_of(redis: Redis, index: str) -> list[tuple[Redis, str]]:
    """Where an index is, and what it is called there."""
    return await redis.parts_of(index) if isinstance(redis, ClusterRedis) else [(redis, index)]


async def search(redis: Redis, key: str, index: str, query: Query) -> Any:
    """The reply of FT.SEARCH where a key is: how many, and in turn a document's key and its fields, of which the
    distance is the first, or nil where it has gone meanwhile.
    """
    if isinstance(redis, ClusterRedis):
        return await redis.search(key, index, query)
    words = query.words("RETURN", 1 + len(query.fields), DISTANCE, *query.fields)
    return await redis.execute_command("FT.SEARCH", index, *words)  # type: ignore[no-untyped-call]  # as above


class _ClusterPipeline(Pipeline):
    """Commands in as few round trips as there are servers. A transaction is of one slot, and is sent on as a whole."""

    def __init__(self, cluster: ClusterRedis, callbacks: Any, transaction: bool) -> None:
        super().__init__(cluster.connection_pool, callbacks, transaction, None)
        self._cluster = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, self.command_stack = list(self.command_stack), []
        parts: defaultdict[Address, list[int]] = defaultdict(list)
        for number, (words, _) in enumerate(commands):
            parts[await self._cluster.address_of(_key_in(words))].append(number)
        replies: list[Any] = [None] * len(commands)

        async def ask(address: Address, numbers: list[int]) -> None:
            found = await self._part(address, [commands[number] for number in numbers])
            for number, reply in zip(numbers, found, strict=True):
                replies[number] = reply

        await _all(ask(*part) for part in parts.items())
        if raise_on_error and (errors := [each for each in replies if isinstance(each, Exception)]):
            raise errors[0]
        return replies

    async def _part(self, address: Address, commands: Sequence[Any]) -> list[Any]:
        async def ask(client: Redis) -> list[Any]:
            pipeline = client.pipeline(transaction=self.is_transaction)
            for words, options in commands:
                pipeline.execute_command(*words, **options)
            return await pipeline.execute(raise_on_error=False)

        try:
            replies = await self._cluster.at(address, ask)
        except MovedError as moved:  # of a transaction, of which nothing has been done then
            return await self._cluster.at(self._cluster.sent_on(moved), ask)
        for number, (words, options) in enumerate(commands):
            if isinstance(replies[number], MovedError | AskError):
                try:
                    replies[number] = await self._cluster.execute_command(*words, **options)
                except ResponseError as exc:
                    replies[number] = exc
        return replies


def _asking(words: Sequence[Any], options: Any) -> Callable[[Redis], Coroutine[Any, Any, Any]]:
    """Of a slot that is being moved: said on the same connection, just before."""

    async def ask(client: Redis) -> Any:
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("ASKING")
        pipeline.execute_command(*words, **options)
        return (await pipeline.execute())[1]

    return ask


def _key_in(words: Sequence[Any]) -> Any:
    """None where there is none."""
    name = str(words[0]).partition(" ")[0].upper()
    if name in _WITHOUT_KEY:
        return None
    if name in _BEFORE_KEY:
        return words[words.index(_BEFORE_KEY[name]) + 1]
    return words[_KEY_AT.get(name, 1)]


def _shards(slots: Any, asked: str) -> dict[int, _Shard]:
    """Of CLUSTER SLOTS. A server that does not know its own name has that by which it was asked."""
    found: dict[int, _Shard] = {}
    for first, last, *servers in slots:
        primary, *replicas = (((host or asked.encode()).decode(), int(port)) for host, port, *_ in servers)
        shard = _Shard(primary, tuple(replicas))
        found |= dict.fromkeys(range(first, last + 1), shard)
    return found


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of them, and then the first fault."""
    done = await asyncio.gather(*works, return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each


def _heard(look: "asyncio.Task[None]") -> None:
    if not look.cancelled():
        look.exception()
