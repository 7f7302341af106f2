"""SemanticCacheIndex: where answers are remembered, and when one may be reused."""

import re
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from tollway_api.conditions import CONDITIONS_SCHEMA, Conditions, Time
from tollway_api.meta import (
    LEAST_PERIOD,
    MAP_BY_NAME,
    SET,
    DecimalString,
    Duration,
    Integer,
    ModelNameText,
    NoisePercent,
    Percent,
    Ratio,
    SecretKeyRef,
    Spec,
    Url,
    at_least,
    check_at_least,
    rules,
)

KIND: Final = "SemanticCacheIndex"
# Set on one, or given another value, to have what it remembers embedded anew into a version of its own.
REBUILD_ANNOTATION: Final = "tollway.dev/rebuild"
# A version is called after its index: a namespace of 63 characters, a name of 253 and a fingerprint of 12, with dots.
_MOST_VERSION: Final = 63 + 253 + 12 + 2
_POSITIVE: Final = "maxErrorRate must be above 0%: no number of labels proves that nothing is ever wrong"
_LABELS_TIGHTEN: Final = (
    "with judge type Labels, onBreach must be Tighten: users can only judge what is served to them"
)
_MODEL_BELONGS: Final = (
    "model is needed with type Model, may be given with Cascade, and with no other; give it, or leave it out"
)


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


class JudgeType(StrEnum):
    """Who says whether an answer that was served was right."""

    CASCADE = "Cascade"  # the cache's own judge compares it with a live answer, and a model what that doubts
    EMBEDDING = "Embedding"  # the cache's own judge alone
    MODEL = "Model"  # a model of the policy compares them
    LABELS = "Labels"  # only users do


class OnBreach(StrEnum):
    """What is served by meaning while the bound is not shown to hold anywhere."""

    BYPASS = "Bypass"  # nothing
    TIGHTEN = "Tighten"  # that of which the cache's judge promises it itself, until labels speak against that


class EmbeddingPricing(Spec):
    """Overrides the catalogue's price."""

    input: DecimalString = Field(description="USD per million tokens.")


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
    pricing: EmbeddingPricing | None = Field(
        default=None,
        description="What it costs. Absent: the catalogue's price of the model, and of one that it does not know "
        "nothing.",
    )

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


class LabelJudge(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.type == 'Cascade' || (self.type == 'Model') == has(self.model)",
                "model",
                _MODEL_BELONGS,
            )
        )
    )

    type: JudgeType = Field(
        default=JudgeType.CASCADE,
        description="Who judges sampled hits. Cascade: the cache's own judge compares the remembered answer with a "
        "live one, and where it does not find them the same, a model of the policy does. Embedding: the cache's own "
        "judge alone, which calls many right answers wrong. Model: a model alone. Labels: nobody but users, who post "
        "labels.",
    )
    model: ModelNameText | None = Field(
        default=None,
        description="What the policies that use this index call the model; needed with type Model. Absent: with type "
        "Cascade each policy's route.complexModel, else none. No other model stands in for it: while it is away, "
        "nothing is judged that it would be asked about.",
    )
    error_rate: NoisePercent = Field(
        default="0%",
        description="How often the judge is known to be wrong, either way; taken out of the estimate. Say no more than "
        "has been measured: what is said too much makes the bound too lax. A judge of which 0% is said, and that calls "
        "more right answers wrong than maxErrorRate allows, keeps everything from being served by meaning.",
    )

    @model_validator(mode="after")
    def _model_belongs_to_its_type(self) -> Self:
        if self.type is not JudgeType.CASCADE and (self.model is not None) != (self.type is JudgeType.MODEL):
            raise ValueError(_MODEL_BELONGS)
        return self


class Accuracy(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.maxErrorRate.matches('[1-9]')", "maxErrorRate", _POSITIVE),
            ("self.judge.type != 'Labels' || self.onBreach == 'Tighten'", "onBreach", _LABELS_TIGHTEN),
            at_least("window", LEAST_PERIOD),
        )
    )

    max_error_rate: Percent = Field(description="Most answers served by meaning that may be wrong.")
    sample_rate: Percent = Field(
        default="2%",
        description="Share of hits by meaning that are also answered live, behind the reply and within the tenant's "
        "budget, and judged.",
    )
    judge: LabelJudge = Field(default=LabelJudge(), description="Who says what was right.")
    on_breach: OnBreach = Field(
        default=OnBreach.BYPASS,
        description="While the bound is not shown to hold. Bypass: nothing is served by meaning. Tighten: only that of "
        "which the cache's judge promises it itself, until labels speak against that.",
    )
    min_threshold: Ratio | None = Field(
        default=None,
        description="The loosest probability that match.threshold may be moved to where the bound is shown to hold. "
        "Default: match.threshold, so that it only becomes stricter.",
    )
    window: Duration = Field(
        default="168h", description="How long a label counts. Shorter forgets sooner, and proves less."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not re.search("[1-9]", self.max_error_rate):
            raise ValueError(_POSITIVE)
        if self.judge.type is JudgeType.LABELS and self.on_breach is not OnBreach.TIGHTEN:
            raise ValueError(_LABELS_TIGHTEN)
        check_at_least("window", self.window, LEAST_PERIOD)
        return self


class SemanticCacheIndexSpec(Spec):
    model_config = ConfigDict(json_schema_extra=rules(at_least("ttl", LEAST_PERIOD)))

    embedding: Embedding = Field(default=Embedding(), description="How prompts become vectors.")
    vector: Vector = Field(default=Vector(), description="How vectors are stored and searched.")
    ttl: Duration = Field(default="24h", description="How long an answer is remembered.")
    scope: Scope = Field(
        default=Scope.TENANT, description="Tenant: nobody sees another's answers. Shared: all do."
    )
    match: Match = Field(default=Match(), description="When a remembered answer may be reused.")
    migration: Migration = Field(
        default=Migration(),
        description="How prompts are embedded anew when embedding or vector.type changes, or the annotation "
        "tollway.dev/rebuild, of any value, is set or given another one.",
    )
    accuracy: Accuracy | None = Field(
        default=None,
        description="How often an answer served by meaning may be wrong, and how that is watched. Absent: "
        "match.threshold is all there is.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.DELETE,
        description="When this object is deleted: Delete what it remembers, or Retain it in Redis. Where Redis is gone "
        "for good, the annotation tollway.dev/abandon, of any value, lets the object go at once.",
    )

    @model_validator(mode="after")
    def _ttl_is_time(self) -> Self:
        check_at_least("ttl", self.ttl, LEAST_PERIOD)
        return self


class VersionState(StrEnum):
    BUILDING = "Building"
    ACTIVE = "Active"
    DRAINING = "Draining"
    KEPT = "Kept"


class VersionStatus(Spec):
    """One index version in Redis: vectors of one embedding fingerprint."""

    name: str = Field(
        max_length=_MOST_VERSION, description="The version's name, which is its index's in Redis."
    )
    fingerprint: str = Field(max_length=64, description="Names the embedding space.")
    dimensions: int = Field(ge=1, description="Length of its vectors.")
    state: VersionState = Field(
        description="Building: being filled. Active: lookups use it. Draining: about to be dropped. Kept: used again "
        "once the object, which is left out of what is published, is not any more."
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


class AccuracyStatus(Spec):
    """Of what is served by meaning now, or of what would be served first. Shares of 1."""

    error_rate: str = Field(max_length=8, description="Share of judged hits that were wrong.")
    lower: str = Field(
        max_length=8,
        description="It is hardly smaller than this, whatever those are that nobody could judge.",
    )
    upper: str = Field(
        max_length=8, description="It is hardly larger than this, whatever those are that nobody could judge."
    )
    labels: int = Field(ge=0, description="Judged hits in the window.")
    threshold: str = Field(
        default="", max_length=8, description="Least probability that is served now. Empty: nothing is."
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
    accuracy: AccuracyStatus | None = Field(default=None, description="What labels say of the error rate.")
