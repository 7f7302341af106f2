"""The operator's one door to Redis: which index versions exist, creating and dropping them, and how the server is set
up. No call waits longer than its deadline, and none is retried here: the reconcile loop does that.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from tollway_api import wire
from tollway_api.semantic_cache_index import VectorAlgorithm
from tollway_api.snapshot import Index
from tollway_operator.errors import StoreFault

_DEADLINE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """What decides which vectors an index takes and finds."""

    prefix: str
    algorithm: str
    type: str
    dimensions: int
    metric: str

    @classmethod
    def of(cls, index: Index) -> "IndexSchema":
        return cls(
            prefix=wire.vector_prefix(index),
            algorithm=index.algorithm.upper(),
            type=index.vector_type.upper(),
            dimensions=index.dimensions,
            metric=index.metric.upper(),
        )


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """How a Redis is set up, as it says itself."""

    version: str
    search_module: int | None  # its version number; None when it is not loaded
    max_memory: int  # bytes; 0 is no bound
    eviction: str
    append_only: bool


class RedisStore:
    """Make one with `open_store`."""

    def __init__(self, redis: Redis, role: str) -> None:
        self._redis = redis
        self._role = role

    async def facts(self) -> ServerFacts:
        """Raises StoreFault."""
        async with self._faults("read its configuration"):
            server = await self._redis.info("server")
            config = await self._redis.config_get("maxmemory*", "appendonly")
            modules = await self._redis.module_list()
        versions = {_text(module[b"name"]): int(module[b"ver"]) for module in map(_pairs, modules)}
        return ServerFacts(
            version=str(server["redis_version"]),
            search_module=versions.get("search"),
            max_memory=int(config["maxmemory"] or 0),
            eviction=str(config["maxmemory-policy"]),
            append_only=config["appendonly"] == "yes",
        )

    async def schemas(self) -> dict[str, IndexSchema | None]:
        """Our indexes by name. None is an index of our name whose schema we do not know. Raises StoreFault."""
        async with self._faults("list its indexes"):
            names = [_text(name) for name in await self._command("FT._LIST")]
            ours = [name for name in names if name.startswith(wire.INDEX_PREFIX)]
            return {name: _schema(await self._command("FT.INFO", name)) for name in ours}

    async def create(self, index: Index) -> None:
        """Raises StoreFault."""
        parameters: list[str | int] = [
            *("TYPE", index.vector_type.upper(), "DIM", index.dimensions),
            *("DISTANCE_METRIC", index.metric.upper(), "INITIAL_CAP", index.initial_capacity),
        ]
        if index.algorithm is VectorAlgorithm.HNSW:
            parameters += ["M", index.m, "EF_CONSTRUCTION", index.ef_construction]
        async with self._faults(f"create index version {index.version}"):
            await self._command(
                *("FT.CREATE", wire.index_name(index), "ON", "HASH", "PREFIX", 1, wire.vector_prefix(index)),
                *("SCHEMA", "partition", "TAG", "CASESENSITIVE"),
                *("embedding", "VECTOR", index.algorithm.upper(), len(parameters), *parameters),
            )

    async def drop(self, name: str, *, with_vectors: bool) -> None:
        """Raises StoreFault. `with_vectors` also deletes what is indexed."""
        async with self._faults(f"drop index {name}"):
            await self._command("FT.DROPINDEX", name, *(("DD",) if with_vectors else ()))

    async def _command(self, *words: str | int) -> Any:
        return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]

    @asynccontextmanager
    async def _faults(self, attempted: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                yield
        except ResponseError as exc:
            raise StoreFault(f"the {self._role} Redis would not {attempted}: {exc}") from exc
        except (RedisError, OSError, TimeoutError) as exc:
            message = f"could not reach the {self._role} Redis to {attempted}: {type(exc).__name__}"
            raise StoreFault(message) from exc


@asynccontextmanager
async def open_store(url: str, role: str) -> AsyncIterator[RedisStore]:
    redis = Redis.from_url(
        url,
        protocol=2,
        socket_timeout=_DEADLINE_S,
        socket_connect_timeout=_DEADLINE_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield RedisStore(redis, role)
    finally:
        await redis.aclose()


def _schema(info: list[Any]) -> IndexSchema | None:
    """What FT.INFO says of our one vector field."""
    facts = _pairs(info)
    definition = _pairs(facts.get(b"index_definition", []))
    prefixes = definition.get(b"prefixes") or [b""]
    for attribute in facts.get(b"attributes", []):
        field = _pairs(attribute)
        if field.get(b"identifier") == b"embedding":
            return IndexSchema(
                prefix=_text(prefixes[0]),
                algorithm=_text(field.get(b"algorithm", b"")),
                type=_text(field.get(b"data_type", b"")),
                dimensions=int(field.get(b"dim", 0)),
                metric=_text(field.get(b"distance_metric", b"")),
            )
    return None


def _pairs(flat: Any) -> dict[Any, Any]:
    """A reply of alternating names and values; some versions put single words between them at the end."""
    if isinstance(flat, dict):
        return {name.encode() if isinstance(name, str) else name: value for name, value in flat.items()}
    return dict(zip(flat[::2], flat[1::2], strict=False))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
