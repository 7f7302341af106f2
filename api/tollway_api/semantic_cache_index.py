"""SemanticCacheIndex: where answers are remembered, and when one may be reused."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from tollway_api.meta import Duration, Integer, ModelNameText, Ratio, Spec, milliseconds

KIND: Final = "SemanticCacheIndex"


class EmbeddingProvider(StrEnum):
    LOCAL = "Local"  # computed inside the data plane


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


class Embedding(Spec):
    provider: EmbeddingProvider = Field(
        default=EmbeddingProvider.LOCAL, description="Who turns a prompt into a vector."
    )
    model: ModelNameText = Field(default="all-MiniLM-L6-v2", description="Name of the embedding model.")
    dimensions: Integer = Field(default=384, ge=1, le=8192, description="Length of its vectors.")


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
    threshold: Ratio = Field(
        default="0.95", description="Least cosine similarity at which an answer may be reused."
    )
    strict_threshold: Ratio = Field(
        default="0.98",
        description="The same where either prompt has numbers, amounts or dates. Must be above threshold.",
    )
    checks: Annotated[list[CriticalCheck], Field(max_length=8)] = Field(
        default=list(CriticalCheck), description="Facts on which both prompts must agree."
    )


class SemanticCacheIndexSpec(Spec):
    embedding: Embedding = Field(default=Embedding(), description="How prompts become vectors.")
    vector: Vector = Field(default=Vector(), description="How vectors are stored and searched.")
    ttl: Duration = Field(default="24h", description="How long an answer is remembered.")
    scope: Scope = Field(
        default=Scope.TENANT, description="Tenant: nobody sees another's answers. Shared: all do."
    )
    match: Match = Field(default=Match(), description="When a remembered answer may be reused.")

    @model_validator(mode="after")
    def _ttl_is_time(self) -> Self:
        if milliseconds(self.ttl) < 1_000:
            raise ValueError("ttl must be at least 1s")
        return self
