"""SemanticCacheIndex: where answers are remembered, and when one may be reused."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from tollway_api.conditions import CONDITIONS_SCHEMA, Conditions, Time
from tollway_api.meta import (
    MAP_BY_NAME,
    SET,
    Duration,
    Integer,
    ModelNameText,
    Ratio,
    SecretKeyRef,
    Spec,
    Url,
    milliseconds,
    of_duration,
    rules,
)

KIND: Final = "SemanticCacheIndex"
# A version is called after its index: a namespace of 63 characters, a name of 253 and a fingerprint of 12, with dots.
_MOST_VERSION: Final = 63 + 253 + 12 + 2


class EmbeddingProvider(StrEnum):
    LOCAL = "Local"  # computed inside the data plane
    OPENAI_COMPATIBLE = "OpenAICompatible"  # asked of an endpoint that speaks OpenAI's protocol


class VectorAlgorithm(StrEnum):
    HNSW = "HNSW"
    FLAT = "Flat"


class VectorType(StrEnum):
    FLOAT32 = "Float32"
    FLOAT16 = "Float16"


class VectorMetric(StrEnum):
    COSINE = "Cosine"


class Scope(StrEnum):
    TENANT = "Tenant"
    SHARED = "Shared"


class CriticalCheck(StrEnum):
    """A comparison of two prompts that must hold before one's answer may serve the other."""

    NUMBERS = "Numbers"  # the same numbers, amounts and dates
    NEGATION = "Negation"  # the same polarity
    KEYWORDS = "Keywords"  # the same rare content words, in both directions


class DeletionPolicy(StrEnum):
    """What becomes of remembered answers when the object is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class Embedding(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.provider != 'OpenAICompatible' || has(self.endpoint)",
                "endpoint",
                "endpoint is required with provider OpenAICompatible; give its base URL",
            ),
            (
                "self.provider == 'OpenAICompatible' || !(has(self.endpoint) || has(self.credentialsRef))",
                "provider",
                "provider must be OpenAICompatible where endpoint or credentialsRef is given; or leave these out",
            ),
        )
    )

    provider: EmbeddingProvider = Field(
        default=EmbeddingProvider.LOCAL, description="Who turns a prompt into a vector."
    )
    model: ModelNameText = Field(default="all-MiniLM-L6-v2", description="Name of the embedding model.")
    dimensions: Integer = Field(
        default=384, ge=1, le=8192, description="Length of its vectors, as it makes them by itself."
    )
    endpoint: Url | None = Field(
        default=None,
        description='Base URL, as "https://api.openai.com/v1"; required with OpenAICompatible. Absent: none.',
    )
    credentials_ref: SecretKeyRef | None = Field(default=None, description="Its API key. Absent: none.")

    @model_validator(mode="after")
    def _endpoint_belongs_to_its_provider(self) -> Self:
        if self.provider is EmbeddingProvider.OPENAI_COMPATIBLE:
            if self.endpoint is None:
                raise ValueError("endpoint is required with provider OpenAICompatible; give its base URL")
        elif self.endpoint is not None or self.credentials_ref is not None:
            raise ValueError(
                "provider must be OpenAICompatible where endpoint or credentialsRef is given; or leave these out"
            )
        return self


class Vector(Spec):
    """Parameters of the vector index, named as in HNSW (Malkov and Yashunin, arXiv 1603.09320)."""

    algorithm: VectorAlgorithm = Field(default=VectorAlgorithm.HNSW, description="HNSW, or exhaustive Flat.")
    type: VectorType = Field(default=VectorType.FLOAT32, description="How one component is stored.")
    metric: VectorMetric = Field(default=VectorMetric.COSINE, description="How closeness is measured.")
    m: Integer = Field(default=16, ge=2, le=512, description="HNSW: edges a node keeps per layer.")
    ef_construction: Integer = Field(
        default=200, ge=2, le=4096, description="HNSW: candidates examined while inserting."
    )
    initial_capacity: Integer = Field(
        default=10_000, ge=1, le=10_000_000, description="Entries to allocate memory for at first."
    )


class Match(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "double(self.threshold) < double(self.strictThreshold)",
                "threshold",
                "threshold must be below strictThreshold; lower the one or raise the other",
            )
        )
    )

    threshold: Ratio = Field(
        default="0.95", description="Least probability, as the judge sees it, that an answer may be reused."
    )
    strict_threshold: Ratio = Field(
        default="0.98",
        description="The same where either prompt has numbers, amounts or dates. Must be above threshold.",
    )
    checks: Annotated[list[CriticalCheck], Field(max_length=8)] = Field(
        default=list(CriticalCheck),
        description="Facts on which both prompts must agree.",
        json_schema_extra=SET,
    )


class Migration(Spec):
    """What changing the embedding may cost."""

    reembed_per_second: Integer = Field(
        default=50,
        ge=1,
        le=10_000,
        description="Most remembered prompts that are embedded anew in a second, over all data planes.",
    )


class SemanticCacheIndexSpec(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules((of_duration("ttl", ">= duration('1s')"), "ttl", "ttl must be at least 1s"))
    )

    embedding: Embedding = Field(default=Embedding(), description="How prompts become vectors.")
    vector: Vector = Field(default=Vector(), description="How vectors are stored and searched.")
    ttl: Duration = Field(default="24h", description="How long an answer is remembered.")
    scope: Scope = Field(
        default=Scope.TENANT, description="Tenant: nobody sees another's answers. Shared: all do."
    )
    match: Match = Field(default=Match(), description="When a remembered answer may be reused.")
    migration: Migration = Field(
        default=Migration(),
        description="How prompts are embedded anew when embedding or vector.type changes.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.DELETE,
        description="When this object is deleted: Delete what it remembers, or Retain it in Redis. Where Redis is gone "
        "for good, the annotation tollway.dev/abandon, of any value, lets the object go at once.",
    )

    @model_validator(mode="after")
    def _ttl_is_time(self) -> Self:
        if milliseconds(self.ttl) < 1_000:
            raise ValueError("ttl must be at least 1s")
        return self


class VersionState(StrEnum):
    BUILDING = "Building"
    ACTIVE = "Active"
    DRAINING = "Draining"


class VersionStatus(Spec):
    """One index version in Redis: vectors of one embedding fingerprint."""

    name: str = Field(
        max_length=_MOST_VERSION, description="The version's name, which is its index's in Redis."
    )
    fingerprint: str = Field(max_length=64, description="Names the embedding space.")
    dimensions: int = Field(ge=1, description="Length of its vectors.")
    state: VersionState = Field(
        description="Building: being filled. Active: lookups use it. Draining: about to be dropped."
    )
    progress: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="How much is embedded anew, in percent. Absent: it is not being filled.",
    )
    entries: int = Field(default=0, ge=0, description="Vectors in it.")
    memory_bytes: int = Field(default=0, ge=0, description="What its index takes in Redis, in bytes.")


class PurgeStatus(Spec):
    """A purge that was asked for at a data plane's admin port."""

    at: Time = Field(description="When; what was remembered before is served by nobody who knows.")
    tenant: str = Field(default="", max_length=63, description="Of whom; of everybody where it is empty.")
    forgotten: int = Field(default=0, ge=0, description="Ready pods that say that they have forgotten it.")
    ready: int = Field(
        default=0,
        ge=0,
        description="Ready pods. One that cannot be told serves nothing from memory after five seconds.",
    )
    waiting_for: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=16)] = Field(
        default=[], description="The first of those that have not said so.", json_schema_extra=SET
    )


class SemanticCacheIndexStatus(Spec):
    conditions: Conditions = Field(
        default=[], description="What is true of this index.", json_schema_extra=CONDITIONS_SCHEMA
    )
    active_version: str = Field(
        default="", max_length=_MOST_VERSION, description="The version that lookups use."
    )
    versions: Annotated[list[VersionStatus], Field(max_length=16)] = Field(
        default=[], description="The versions in Redis.", json_schema_extra=MAP_BY_NAME
    )
    hit_ratio: str = Field(
        default="", max_length=8, description="Share of lookups answered from it, over all ready pods."
    )
    last_purge: PurgeStatus | None = Field(
        default=None, description="The latest purge of it, or of a tenant in it."
    )
