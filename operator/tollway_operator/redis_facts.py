"""What there is in Redis, as its replies say: how a server is set up, and which index versions stand. Pure.
`redis_store` asks; what only decides by it, as `migration` and `index_status` do, needs no door to Redis.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tollway_api import wire
from tollway_api.semantic_cache_index import VectorAlgorithm
from tollway_api.snapshot import IndexVersion


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """What decides which vectors an index of ours takes, and how it finds them."""

    algorithm: str  # "" where nodes search in different ways
    type: str
    dimensions: int
    metric: str
    m: int | None = None  # of HNSW alone; None also where the server does not tell
    ef_construction: int | None = None

    def takes_the_same_as(self, other: "IndexSchema") -> bool:
        """Whether the vectors of one can be those of the other; how they are searched may differ."""
        return (self.type, self.dimensions, self.metric) == (other.type, other.dimensions, other.metric)

    def is_as(self, wanted: "IndexSchema") -> bool:
        """Whether it need not be made anew, as far as is told."""
        m = wanted.m if self.m is None else self.m
        ef_construction = wanted.ef_construction if self.ef_construction is None else self.ef_construction
        return replace(self, m=m, ef_construction=ef_construction) == wanted

    @classmethod
    def of(cls, version: IndexVersion) -> "IndexSchema":
        is_hnsw = version.algorithm is VectorAlgorithm.HNSW
        return cls(
            algorithm=version.algorithm.upper(),
            type=version.vector_type.upper(),
            dimensions=version.embedding.dimensions,
            metric=version.metric.upper(),
            m=version.m if is_hnsw else None,
            ef_construction=version.ef_construction if is_hnsw else None,
        )


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """How a Redis is set up, as it says itself."""

    version: str
    search_module: int | None  # its version number; None when it is not loaded
    max_memory: int  # bytes; 0 is no bound
    eviction: str
    append_only: bool

    @property
    def soundness(self) -> tuple[bool, bool, bool, bool]:
        """Sorts the worst set-up first."""
        return (
            self.search_module is not None,
            self.max_memory > 0,
            self.eviction == "allkeys-lru",
            self.append_only,
        )


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """One index in Redis, over all nodes. `schema` is None when it is not one that we make, or nodes take different
    vectors.
    """

    schema: IndexSchema | None
    entries: int
    memory_bytes: int
    being_dropped: bool = False  # once begun it is gone through with; the index itself may be gone already


def server_facts(info: Mapping[str, Any]) -> ServerFacts:
    """From INFO alone, because managed servers forbid CONFIG and MODULE."""
    versions = {str(module["name"]): int(module["ver"]) for module in info.get("modules", ())}
    return ServerFacts(
        version=str(info["redis_version"]),
        search_module=versions.get("search"),
        max_memory=int(info["maxmemory"]),
        eviction=str(info["maxmemory_policy"]),
        append_only=bool(info["aof_enabled"]),
    )


def index_facts(name: str, info: list[Any]) -> IndexFacts:
    """Of one server, by its FT.INFO."""
    facts = _pairs(info)
    memory = sum(
        float(value) * 1_048_576
        for name, value in facts.items()
        if name.endswith(b"_sz_mb") and name != b"total_index_memory_sz_mb"
    )
    return IndexFacts(_schema(name, facts), int(facts.get(b"num_docs", 0)), int(memory))


def together(one: IndexFacts, other: IndexFacts) -> IndexFacts:
    """Of two servers that have a part each."""
    schema = one.schema
    if schema is None or other.schema is None or not schema.takes_the_same_as(other.schema):
        schema = None
    elif schema != other.schema:
        schema = replace(schema, algorithm="")  # as where somebody has died while it was made anew
    return IndexFacts(schema, one.entries + other.entries, one.memory_bytes + other.memory_bytes)


def _schema(name: str, facts: Mapping[bytes, Any]) -> IndexSchema | None:
    """What FT.INFO says; None unless it has the fields that ours have, and takes what is for an index of its name."""
    definition = _pairs(facts.get(b"index_definition", []))
    prefixes = definition.get(b"prefixes") or []
    fields = {_pairs(each).get(b"identifier"): each for each in facts.get(b"attributes", [])}
    if (
        fields.keys() != {b"partition", b"embedding"}
        or definition.get(b"key_type") != b"HASH"
        or list(map(text, prefixes)) != [wire.prefix_of_vectors(name)]
        or b"filter" in definition
    ):
        return None
    partition, embedding = _pairs(fields[b"partition"]), _pairs(fields[b"embedding"])
    if partition.get(b"type") != b"TAG" or b"CASESENSITIVE" not in fields[b"partition"]:
        return None
    return IndexSchema(
        algorithm=text(embedding.get(b"algorithm", b"")),
        type=text(embedding.get(b"data_type", b"")),
        dimensions=int(embedding.get(b"dim", 0)),
        metric=text(embedding.get(b"distance_metric", b"")),
        m=int(embedding[b"M"]) if b"M" in embedding else None,
        ef_construction=int(embedding[b"ef_construction"]) if b"ef_construction" in embedding else None,
    )


def _pairs(flat: Any) -> dict[Any, Any]:
    """A reply of alternating names and values; some versions put single words between them at the end."""
    if isinstance(flat, dict):
        return {name.encode() if isinstance(name, str) else name: value for name, value in flat.items()}
    return dict(zip(flat[::2], flat[1::2], strict=False))


def text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
