"""Remembers answers in Redis: one hash per answer, and one per vector in a RediSearch index. Whatever Redis does,
the caller gets an answer within the deadline or a CacheFault with a reason to count.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

import numpy as np
import orjson
from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ResponseError

from tollway_api import wire
from tollway_api.semantic_cache_index import VectorType
from tollway_api.snapshot import IndexVersion
from tollway_dataplane.adapters.redis_client import REDIS_ERRORS
from tollway_dataplane.core.completions import text_of
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.judge import View, is_own
from tollway_dataplane.core.reading import WordVectors
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import FoundBy, Neighbour, Place, Remembered, Vector

_DTYPES: Final = {VectorType.FLOAT16: np.float16, VectorType.FLOAT32: np.float32}
_FIELDS: Final = ("body", "model", "cost_nano", "expires_at")
_MODEL: Final = re.compile(r"[!-~]{1,256}")  # goes into a header
_MOST_COST_NANO: Final = 10**15  # a million dollars


class RedisAnswerCache:
    """Deadlines are seconds for one call, waiting for a connection included."""

    def __init__(self, redis: Redis, write_deadline_s: float, judged_dimensions: int) -> None:
        self._redis = redis
        self._write_deadline_s = write_deadline_s
        self._judged_dimensions = judged_dimensions  # of the vectors that the judge reads

    async def get(self, place: Place, within_s: float) -> Remembered | None:
        key = wire.entry_key(place.partition, place.entry)
        async with _faults("get", within_s):
            values = cast("list[bytes | None]", await self._redis.hmget(key, list(_FIELDS)))
        body, model, cost, expires_at = values
        if body is None or model is None:
            return None
        try:
            answer = Remembered(body, model.decode(), int(cost or 0), float(expires_at or 0))
            completion = orjson.loads(body)
        except ValueError as exc:
            raise CacheFault(CacheReason.CACHE_KEY_COLLISION, "get") from exc
        # What somebody else has written there is nobody's answer.
        ours = isinstance(completion, dict) and text_of(completion) and _MODEL.fullmatch(answer.model)
        if not ours or not 0 <= answer.cost_nano <= _MOST_COST_NANO:
            raise CacheFault(CacheReason.CACHE_KEY_COLLISION, "get")
        return answer

    async def nearest(self, place: Place, vector: Vector, count: int, within_s: float) -> Sequence[Neighbour]:
        """The closest entries of the partition. Only documents of the version that lookups ask are seen."""
        version = place.index.version
        query = f"@partition:{{{place.partition}}}=>[KNN {count} @embedding $vector AS distance]"
        async with _faults("search", within_s):
            reply = await self._redis.execute_command(  # type: ignore[no-untyped-call]  # the library does not type it
                "FT.SEARCH", wire.index_name(version), query,
                "PARAMS", 2, "vector", encoded(vector, version.vector_type),
                "SORTBY", "distance", "RETURN", 4, "distance", "prompt", wire.WORDS, _judged_in(version),
                "LIMIT", 0, count, "DIALECT", 2,
            )  # fmt: skip
        return _neighbours(reply, version, self._judged_dimensions)

    async def put(self, place: Place, found_by: FoundBy | None, answer: Remembered) -> None:
        entry_key = wire.entry_key(place.partition, place.entry)
        fields = {name: getattr(answer, name) for name in _FIELDS}
        async with _faults("put", self._write_deadline_s):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hset(entry_key, mapping=fields)  # type: ignore[arg-type]  # values may be bytes
            pipeline.pexpire(entry_key, place.index.ttl_ms)
            if found_by is not None:
                for version, vector in found_by.vectors:
                    vector_key = wire.vector_key(version, place.partition, place.entry)
                    document = _document(place.partition, found_by.view, version, vector)
                    pipeline.hset(vector_key, mapping=document)  # type: ignore[arg-type]  # the library forgets that values may be bytes
                    pipeline.pexpire(vector_key, place.index.ttl_ms)
            await pipeline.execute()


def _document(partition: str, view: View, version: IndexVersion, vector: Vector) -> dict[str, str | bytes]:
    document: dict[str, str | bytes] = {
        "partition": partition,
        "prompt": view.reading.text,
        "embedding": encoded(vector, version.vector_type),
        wire.WORDS: view.words.tobytes(),
    }
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
    were encoded otherwise, of which there is nothing to judge by.
    """
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        prompt, distance, packed = values[b"prompt"], values[b"distance"], values[wire.WORDS.encode()]
        vector = judged_vector(version, values)
    except KeyError:
        return None
    words: WordVectors = np.frombuffer(packed, np.int8).reshape(-1, dimensions)
    if vector.shape != (dimensions,):
        return None
    return Neighbour(
        key.decode().rpartition(":")[2],
        1.0 - float(distance),
        prompt.decode("utf-8", "surrogatepass"),
        vector,
        words,
    )


@asynccontextmanager
async def _faults(attempted: str, deadline_s: float) -> AsyncIterator[None]:
    """The deadline, and the third party's exceptions as ours."""
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except TimeoutError as exc:
        raise CacheFault(CacheReason.CACHE_TIMEOUT, attempted) from exc
    except OutOfMemoryError as exc:
        raise CacheFault(CacheReason.CACHE_OUT_OF_MEMORY, attempted) from exc
    except BusyLoadingError as exc:
        raise CacheFault(CacheReason.CACHE_UNAVAILABLE, attempted) from exc
    except ResponseError as exc:
        raise CacheFault(_reason_of(str(exc)), attempted) from exc
    except REDIS_ERRORS as exc:
        raise CacheFault(CacheReason.CACHE_UNAVAILABLE, attempted) from exc


def _reason_of(message: str) -> CacheReason:
    """What Redis complains of. A transaction reports the first failed command's complaint."""
    if "WRONGTYPE" in message:
        return CacheReason.CACHE_KEY_COLLISION
    if "OOM" in message:
        return CacheReason.CACHE_OUT_OF_MEMORY
    if "vector" in message.lower() and ("size" in message.lower() or "blob" in message.lower()):
        return CacheReason.CACHE_WRONG_DIMENSION
    return CacheReason.CACHE_UNAVAILABLE
