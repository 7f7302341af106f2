"""Remembers answers in Redis: one hash per answer, and one per vector in a RediSearch index. Whatever Redis does,
the caller gets an answer within the deadline or a CacheFault with a reason to count.
"""

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from time import monotonic, time
from typing import Any, Final

import numpy as np
import orjson
from redis.asyncio import Redis

from tollway_api import wire
from tollway_api.semantic_cache_index import VectorAlgorithm, VectorType
from tollway_api.snapshot import IndexVersion
from tollway_dataplane.adapters.redis_batch import Command, StepBatch
from tollway_dataplane.adapters.redis_claims import RedisClaims
from tollway_dataplane.adapters.redis_faults import cache_faults
from tollway_dataplane.adapters.turns_encoding import packed, unpacked
from tollway_dataplane.core.completions import text_of
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.judgement.conversation import matters
from tollway_dataplane.judgement.judge import View, is_own
from tollway_dataplane.ports import MOST_ANSWER_BYTES, FoundBy, Neighbour, Place, Remembered, Vector
from tollway_dataplane.prompts.reading import WordVectors
from tollway_redis.cluster import DISTANCE, ClusterRedis, Query, search

_DTYPES: Final = {VectorType.FLOAT16: np.float16, VectorType.FLOAT32: np.float32}
_FIELDS: Final = ("body", "model", "cost_nano", "expires_at")
# From 750,000 vectors on RediSearch looks for fewer than eight neighbours by way of the whole graph, however small the
# partition (VecSim's `preferAdHocSearch`): half a second where comparing a hundred vectors takes a millisecond.
_LEAST_ASKED: Final = 8
# How many candidates of the graph are examined, where it is used at all: in partitions of tens of thousands. With the
# server's ten, every other nearest one is overlooked there.
_EFFORT: Final = 200
_REPLICA_RESTS_S: Final = 1.0
_LEAST_PACKED_BYTES: Final = 512
_ZLIB: Final = b"\x78"
_MODEL: Final = re.compile(r"[!-~]{1,256}")  # goes into a header
# Keys: the answer's, the vectors'. In one step, as an answer is put with its vectors.
_UNLINK_GHOST: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
return redis.call('UNLINK', unpack(KEYS, 2))
"""
_MOST_COST_NANO: Final = 10**15  # a million dollars

_Ask = Callable[[Redis], Awaitable[Any]]


class RedisAnswerCache:
    """Deadlines are seconds for one call, waiting for a connection included. Where there is a replica it is read, and
    the primary when the replica does not answer; what a replica that is behind has not got is not near.
    """

    def __init__(
        self, redis: Redis, write_deadline_s: float, judged_dimensions: int, replica: Redis | None = None
    ) -> None:
        self.claims = RedisClaims(redis, write_deadline_s)
        self._redis = redis
        self._steps = None if isinstance(redis, ClusterRedis) else StepBatch(redis, write_deadline_s)
        self._write_deadline_s = write_deadline_s
        self._judged_dimensions = judged_dimensions  # of the vectors that the judge reads
        self._replica = replica
        self._replica_rests_until = 0.0

    async def get(self, place: Place, within_s: float, *, expired: bool = False) -> Remembered | None:
        values = await self._read("get", within_s, _command("HMGET", place.key, *_FIELDS))
        return _remembered(values, expired=expired)

    async def claim(self, place: Place, within_s: float) -> tuple[bool, Remembered | None]:
        async with cache_faults("claim", within_s):
            # In this order: what another was asking for may come in between.
            asked = [self.claims.asked(place), ("HMGET", place.key, *_FIELDS)]
            is_ours, values = await self._run(asked)
        if is_ours:
            self.claims.taken(place)
        return bool(is_ours), _remembered(values)

    async def nearest(
        self, place: Place, vector: Vector, count: int, within_s: float, about: Sequence[str] = ()
    ) -> Sequence[Neighbour]:
        """The closest entries of the partition. Only documents of the version that lookups ask are seen."""
        version, asked = place.index.version, max(count, _LEAST_ASKED)
        tags = "|".join(_tags(place.partition, about) or [place.partition])
        effort = f"EF_RUNTIME {_EFFORT} " if version.algorithm is VectorAlgorithm.HNSW else ""
        query = Query(
            f"@partition:{{{tags}}}=>[KNN {asked} @embedding $vector {effort}AS {DISTANCE}]",
            encoded(vector, version.vector_type),
            count,
            ("prompt", wire.WORDS, wire.TURNS, _judged_in(version)),
        )

        async def ask(redis: Redis) -> Any:
            return await search(redis, place.key, wire.index_name(version), query)

        reply = await self._read("search", within_s, ask)
        return _neighbours(reply, version, self._judged_dimensions)

    async def _read(self, attempted: str, within_s: float, ask: _Ask) -> Any:
        if self._replica is not None and monotonic() >= self._replica_rests_until:
            began, within_s = monotonic(), within_s / 2
            try:
                async with cache_faults(attempted, within_s):
                    return await ask(self._replica)
            except CacheFault:
                # So that not every request waits for what hangs.
                self._replica_rests_until = monotonic() + _REPLICA_RESTS_S
                within_s = max(0.0, 2 * within_s - (monotonic() - began))
        async with cache_faults(attempted, within_s):
            return await ask(self._redis)

    async def put(self, place: Place, found_by: FoundBy | None, answer: Remembered) -> None:
        entry_key, ttl_ms = place.key, place.index.ttl_ms
        body, expires_at = _packed(answer.body), repr(answer.expires_at)
        values: tuple[str | int | bytes, ...] = body, answer.model, answer.cost_nano, expires_at
        fields = dict(zip(_FIELDS, values, strict=True))
        async with cache_faults("put", self._write_deadline_s):
            commands: list[Command] = [
                ("HSET", entry_key, *chain.from_iterable(fields.items())),
                # What it is found by by meaning goes when it expires; in its grace the very same prompt alone finds it.
                ("PEXPIRE", entry_key, ttl_ms + answer.grace_ms),
            ]
            if found_by is not None:
                partitions = await _partitions(place.partition, found_by.view)
                for version, vector in found_by.vectors:
                    vector_key = wire.vector_key(version, place.partition, place.entry)
                    document = _document(partitions, found_by.view, version, vector)
                    commands.append(("HSET", vector_key, *chain.from_iterable(document.items())))
                    commands.append(("PEXPIRE", vector_key, ttl_ms))
            # In one step, so that who waits finds the claim or the answer.
            commands.append(("DEL", place.claim_key))
            await self._run(commands, in_one_step=True)

    async def _run(self, commands: Sequence[Command], *, in_one_step: bool = False) -> Sequence[Any]:
        """Their replies. Raises what the first of them has raised."""
        if self._steps is not None:
            return await self._steps.run(commands, in_one_step=in_one_step)
        pipeline = self._redis.pipeline(transaction=in_one_step)
        for words in commands:
            pipeline.execute_command(*words)
        return await pipeline.execute()

    async def unlink_orphan(self, place: Place) -> None:
        keys = [wire.vector_key(each, place.partition, place.entry) for each in place.index.versions]
        async with cache_faults("unlink", self._write_deadline_s):
            await self._redis.eval(_UNLINK_GHOST, 1 + len(keys), place.key, *keys)


def _command(*words: str) -> _Ask:
    async def ask(redis: Redis) -> Any:
        return await redis.execute_command(*words)  # type: ignore[no-untyped-call]  # the library does not type it

    return ask


def _remembered(values: Sequence[Any], *, expired: bool = False) -> Remembered | None:
    """Of the `_FIELDS` of a key. Raises CacheFault."""
    packed, model, cost, expires_at = values
    if packed is None or model is None:
        return None
    try:
        body = _unpacked(packed)
        answer = Remembered(body, model.decode(), int(cost or 0), float(expires_at or 0))
        completion = orjson.loads(body)
    except (ValueError, zlib.error) as exc:
        raise CacheFault(CacheReason.CACHE_KEY_COLLISION, "get") from exc
    # What somebody else has written there is nobody's answer.
    ours = isinstance(completion, dict) and text_of(completion) and _MODEL.fullmatch(answer.model)
    if not ours or not 0 <= answer.cost_nano <= _MOST_COST_NANO:
        raise CacheFault(CacheReason.CACHE_KEY_COLLISION, "get")
    return answer if expired or answer.expires_at > time() else None


def _packed(body: bytes) -> bytes:
    """Compressed where it is worth while: a usual answer to half its size in 50 µs, behind the reply; back in 10."""
    return zlib.compress(body, 1) if len(body) >= _LEAST_PACKED_BYTES else body


def _unpacked(packed: bytes) -> bytes:
    """Raises ValueError or zlib.error for what we have not written. JSON never begins as zlib's format does."""
    if packed[:1] != _ZLIB:
        return packed
    unpacking = zlib.decompressobj()
    body = unpacking.decompress(packed, MOST_ANSWER_BYTES)
    if not unpacking.eof:
        raise ValueError("broken off, or larger than any answer of ours")
    return body


async def _partitions(partition: str, view: View) -> str:
    """What a document's partition field says: of a chat also the tags of what it is about."""
    if not view.turns:
        return partition
    return ",".join([partition, *_tags(partition, await asyncio.to_thread(matters, view.turns))])


def _tags(partition: str, about: Sequence[str]) -> list[str]:
    return [wire.matter_tag(partition, word) for word in about]


def _document(partitions: str, view: View, version: IndexVersion, vector: Vector) -> dict[str, str | bytes]:
    document: dict[str, str | bytes] = {
        "partition": partitions,
        "prompt": view.reading.text,
        "embedding": encoded(vector, version.vector_type),
        wire.WORDS: view.words.tobytes(),
    }
    if view.turns:
        document[wire.TURNS] = packed(view.turns)
    if not is_own(version.embedding):
        document[wire.JUDGED] = encoded(view.vector, VectorType.FLOAT16)
    return document


def encoded(vector: Vector, vector_type: VectorType) -> bytes:
    return vector.astype(_DTYPES[vector_type]).tobytes()


def decoded(data: bytes, vector_type: VectorType) -> Vector:
    """Raises ValueError."""
    return np.frombuffer(data, _DTYPES[vector_type]).astype(np.float32)


def _judged_in(version: IndexVersion) -> str:
    """The field with the vector that the judge reads."""
    return "embedding" if is_own(version.embedding) else wire.JUDGED


def judged_vector(version: IndexVersion, fields: Mapping[bytes, bytes]) -> Vector:
    """What the judge reads, of a document's fields. Raises KeyError and ValueError."""
    own = is_own(version.embedding)
    return decoded(fields[_judged_in(version).encode()], version.vector_type if own else VectorType.FLOAT16)


def _neighbours(reply: object, version: IndexVersion, dimensions: int) -> list[Neighbour]:
    """RediSearch's flat reply: a count, then a key and its fields for each document. Of one that has expired, and is
    not swept up yet, there is nil in their place.
    """
    if not isinstance(reply, list):
        raise CacheFault(CacheReason.CACHE_UNAVAILABLE, f"search: unexpected {type(reply).__name__}")
    try:
        documents = zip(reply[1::2], reply[2::2], strict=True)
        found = [_neighbour(key, fields, version, dimensions) for key, fields in documents if fields]
    except (ValueError, TypeError, AttributeError) as exc:
        raise CacheFault(CacheReason.CACHE_UNAVAILABLE, "search: a reply that makes no sense") from exc
    return [each for each in found if each is not None]


def _neighbour(key: bytes, fields: list[bytes], version: IndexVersion, dimensions: int) -> Neighbour | None:
    """None for an entry that has expired meanwhile, and lacks what was in it, and for one that was written when words
    were encoded otherwise, or turns by somebody else, of which there is nothing to judge by.
    """
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        prompt, distance, vectors = values[b"prompt"], values[b"distance"], values[wire.WORDS.encode()]
        vector = judged_vector(version, values)
    except KeyError:
        return None
    words: WordVectors = np.frombuffer(vectors, np.int8).reshape(-1, dimensions)
    if vector.shape != (dimensions,):
        return None
    try:
        turns = unpacked(values[wire.TURNS.encode()]) if wire.TURNS.encode() in values else ()
    except ValueError:
        return None
    return Neighbour(
        key.decode().rpartition(":")[2],
        1.0 - float(distance),
        prompt.decode("utf-8", "surrogatepass"),
        vector,
        words,
        turns,
    )
