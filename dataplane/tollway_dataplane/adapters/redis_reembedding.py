"""Redis, while one index version is filled from another: whose turn it is, how far it has come, and the documents. A
document is copied by a script, so that it is whole, never older than one that is there, and never back from the dead.
What somebody else has written among the documents is nobody's, and passed over.
"""

import random
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from tollway_api import wire
from tollway_api.reembedding import FIELD, Progress
from tollway_api.semantic_cache_index import VectorType
from tollway_api.snapshot import IndexVersion
from tollway_dataplane.adapters.redis_cache import encoded, judged_vector
from tollway_dataplane.adapters.redis_faults import cache_faults
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.judgement.judge import is_own
from tollway_dataplane.ports import Claim, Lacking, Vector
from tollway_redis.cluster import DISTANCE, Query, parts_of, primaries, search

_DEADLINE_S: Final = 2.0
_TURN_MS: Final = 10_000
_KEPT_S: Final = 86_400  # what is noted, after the last note
_SCAN_COUNT: Final = 500
_FOUND_AMONG: Final = (
    5  # prompts of the same words in another order share a vector where words are all that counts
)
# Cosine distance of a vector to that of the same prompt embedded once more; endpoints do not repeat every digit.
_FARTHEST: Final = 0.01
_PAGE: Final = 8  # of a sample: so many that lie side by side
_READ: Final = ("partition", "prompt", "embedding", wire.JUDGED)  # of a document
_DIGITS: Final = re.compile("[0-9a-f]+")  # of partitions and entries
# Redis 7 and later let such a script write where there is no room: a few bytes that say so.
_WITHOUT_ROOM: Final = "#!lua flags=allow-oom\n"

# Keys: the progress, the owner. Argument: milliseconds.
_CLAIM: Final = """
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('EXPIRE', KEYS[1], KEPT)
redis.call('SET', KEYS[2], fence, 'PX', ARGV[1])
return fence
""".replace("KEPT", str(_KEPT_S))
# Keys: the same. Arguments: the fence, milliseconds, a field, its value.
_NOTE: Final = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[1], KEPT)
return 1
""".replace("KEPT", str(_KEPT_S))
# Key: the owner. Argument: the fence.
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
# Keys: the source's document, the target's. Arguments: the vector; the field and the value of what the judge reads, if
# that is not the vector itself.
_ADD: Final = """
local left = redis.call('PTTL', KEYS[1])
if left <= 0 or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
-- Not what somebody else has written there meanwhile.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' or redis.call('HLEN', KEYS[1]) > 100 then return 0 end
local source = redis.call('HGETALL', KEYS[1])
local made = {'embedding', ARGV[1]}
if ARGV[2] then made = {'embedding', ARGV[1], ARGV[2], ARGV[3]} end
for at = 1, #source, 2 do
  if source[at] ~= 'embedding' and source[at] ~= 'JUDGED' then
    made[#made + 1] = source[at]
    made[#made + 1] = source[at + 1]
  end
end
-- At once, because the index takes in what stands after each command.
redis.call('HSET', KEYS[2], unpack(made))
redis.call('PEXPIRE', KEYS[2], left)
return 1
""".replace("JUDGED", wire.JUDGED)


class RedisReembedding:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def progress(self, target: IndexVersion) -> Progress | None:
        async with cache_faults("read progress", _DEADLINE_S):
            key, _ = wire.reembedding_keys(target.name)
            return Progress.parse(cast("bytes | None", await self._redis.hget(key, FIELD)))

    async def claim(self, target: IndexVersion) -> Claim | None:
        fence = await self._write("claim", _CLAIM, target, _TURN_MS)
        return None if fence is None else Claim(int(fence), await self.progress(target))

    async def note(self, target: IndexVersion, fence: int, progress: Progress) -> bool:
        return bool(
            await self._write("note progress", _NOTE, target, fence, _TURN_MS, FIELD, progress.encoded())
        )

    async def _write(
        self, attempted: str, script: str, target: IndexVersion, *arguments: str | int | bytes
    ) -> Any:
        keys_and_arguments = (*wire.reembedding_keys(target.name), *arguments)
        async with cache_faults(attempted, _DEADLINE_S):
            try:
                return await self._redis.eval(script, 2, *keys_and_arguments)
            except OutOfMemoryError:
                return await self._redis.eval(_WITHOUT_ROOM + script, 2, *keys_and_arguments)

    async def release(self, target: IndexVersion, fence: int) -> None:
        _, owner = wire.reembedding_keys(target.name)
        async with cache_faults("release", _DEADLINE_S):
            await self._redis.eval(_RELEASE, 1, owner, fence)

    async def beginning(self, source: IndexVersion) -> Progress:
        return Progress(source.name, await self._run_of_redis(), total=await self._count(source))

    async def scan(self, source: IndexVersion, cursor: int) -> tuple[int, Sequence[str]]:
        async with cache_faults("scan", _DEADLINE_S):
            pattern, servers = f"{wire.vector_prefix(source)}*", await primaries(self._redis)
            # Of several servers one after the other: which of them it is is a digit of the cursor.
            cursor, number = divmod(cursor, len(servers))
            cursor, keys = await servers[number].scan(cursor, pattern, _SCAN_COUNT)
            if cursor == 0:
                number = (number + 1) % len(servers)
            cursor = cursor * len(servers) + number
        places = [_place(key, source) for key in cast("list[bytes]", keys)]
        return cursor, [wire.vector_key(source, *place) for place in places if place is not None]

    async def lacking(
        self, source: IndexVersion, target: IndexVersion, keys: Sequence[str]
    ) -> Sequence[Lacking]:
        places = [wire.place_of(key) for key in keys]
        pipeline = self._redis.pipeline(transaction=False)
        for key, place in zip(keys, places, strict=True):
            pipeline.exists(wire.vector_key(target, *place))
            pipeline.hmget(key, _READ)
        async with cache_faults("read documents", _DEADLINE_S):
            replies = [_reply(each) for each in await pipeline.execute(raise_on_error=False)]
        found = []
        for place, has_it, values in zip(places, replies[::2], replies[1::2], strict=True):
            if not has_it and (each := _lacking(place, source, values)) is not None:
                found.append(each)
        return found

    async def add(self, source: IndexVersion, target: IndexVersion, lacking: Lacking, vector: Vector) -> None:
        arguments: list[str | bytes] = [encoded(vector, target.vector_type)]
        if not is_own(target.embedding):
            arguments += [wire.JUDGED, encoded(lacking.judged, VectorType.FLOAT16)]
        keys = [wire.vector_key(each, lacking.partition, lacking.entry) for each in (source, target)]
        async with cache_faults("copy a document", _DEADLINE_S):
            await self._redis.eval(_ADD, 2, *keys, *arguments)

    async def sample(self, source: IndexVersion, most: int) -> Sequence[Lacking]:
        places, parts = set[tuple[str, str]](), await self._parts(source)
        for redis, name in parts:
            places |= await self._sampled(redis, name, source, most // len(parts))
        found = [await self._document(source, place) for place in places]
        return [each for each in found if each is not None]

    async def _sampled(
        self, redis: Redis, name: str, source: IndexVersion, most: int
    ) -> set[tuple[str, str]]:
        count, places = await self._count_in(redis, name), set[tuple[str, str]]()
        firsts: Iterable[int] = range(0, count, _PAGE)
        if count > most:
            firsts = random.sample(range(count - _PAGE + 1), most // _PAGE)
        for first in firsts:
            words = ("FT.SEARCH", name, "*", "NOCONTENT", "LIMIT", first, _PAGE)
            async with cache_faults("sample", _DEADLINE_S):
                _, *keys = await redis.execute_command(*words, "DIALECT", 2)  # type: ignore[no-untyped-call]  # the library does not type it
            places |= {place for key in keys if (place := _place(key, source)) is not None}
        return places

    async def finds(
        self, source: IndexVersion, target: IndexVersion, lacking: Lacking, vector: Vector
    ) -> bool | None:
        text = f"@partition:{{{lacking.partition}}}=>[KNN {_FOUND_AMONG} @embedding $vector AS {DISTANCE}]"
        query = Query(text, encoded(vector, target.vector_type), _FOUND_AMONG)
        own = wire.vector_key(target, lacking.partition, lacking.entry)
        async with cache_faults("look for a sample", _DEADLINE_S):
            _, *reply = await search(self._redis, own, wire.index_name(target), query)
        found = zip(reply[::2], reply[1::2], strict=True)
        near = (fields for key, fields in found if key == own.encode() and fields)
        if any(float(fields[1]) <= _FARTHEST for fields in near):
            return True
        stands = await self._document(source, (lacking.partition, lacking.entry))
        return None if stands is None else False

    async def _document(self, source: IndexVersion, place: tuple[str, str]) -> Lacking | None:
        return _lacking(place, source, await self._values(wire.vector_key(source, *place), _READ))

    async def _values(self, key: str, names: Sequence[str]) -> Sequence[bytes | None]:
        """As of a document that is not there where it is none of ours."""
        try:
            async with cache_faults("look for a document", _DEADLINE_S):
                return cast("list[bytes | None]", await self._redis.hmget(key, list(names)))
        except CacheFault as fault:
            if fault.reason != CacheReason.CACHE_KEY_COLLISION:
                raise
            return [None] * len(names)

    async def _parts(self, version: IndexVersion) -> list[tuple[Redis, str]]:
        async with cache_faults("look where an index is", _DEADLINE_S):
            return await parts_of(self._redis, wire.index_name(version))

    async def _count(self, version: IndexVersion) -> int:
        return sum([await self._count_in(*part) for part in await self._parts(version)])

    async def _count_in(self, redis: Redis, name: str) -> int:
        try:
            async with cache_faults("count documents", _DEADLINE_S):
                facts = await redis.execute_command("FT.INFO", name)  # type: ignore[no-untyped-call]  # the library does not type it
        except CacheFault:
            return 0  # an index that has been lost; its documents are scanned all the same
        return int(facts[facts.index(b"num_docs") + 1])

    async def _run_of_redis(self) -> str:
        async with cache_faults("ask which run it is", _DEADLINE_S):
            servers = await primaries(self._redis)
            return " ".join([str((await each.info("server"))["run_id"]) for each in servers])


def _place(key: bytes, version: IndexVersion) -> tuple[str, str] | None:
    """None for a key that is none of ours."""
    text = key.decode("utf-8", "replace")
    place = wire.place_of(text)
    is_ours = all(map(_DIGITS.fullmatch, place)) and wire.vector_key(version, *place) == text
    return place if is_ours else None


def _reply(reply: Any) -> Any:
    """One of a pipeline's. An empty one where the key holds something else than a document. Raises ResponseError."""
    if not isinstance(reply, Exception):
        return reply
    if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
        return ()
    raise reply


def _lacking(place: tuple[str, str], source: IndexVersion, values: Sequence[bytes | None]) -> Lacking | None:
    """`values` of the fields `_READ`. None for a document that has gone meanwhile, or makes no sense, which nobody
    would be answered from.
    """
    fields = {name.encode(): value for name, value in zip(_READ, values, strict=False) if value is not None}
    try:
        if place[0] not in fields[b"partition"].decode().split(","):
            return None
        prompt = fields[b"prompt"].decode("utf-8", "surrogatepass")
        return Lacking(*place, prompt, judged_vector(source, fields))
    except (KeyError, ValueError):
        return None
