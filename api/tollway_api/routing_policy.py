"""RoutingPolicy: what happens to a request. The smallest valid one is a list of two models."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from tollway_api.conditions import CONDITIONS_SCHEMA, Conditions
from tollway_api.meta import (
    ATOMIC,
    MAP_BY_NAME,
    SET,
    DecimalString,
    Duration,
    Integer,
    LocalRef,
    ModelNameText,
    Percent,
    Ratio,
    SecretKeyRef,
    Spec,
    TenantNameText,
    Url,
    milliseconds,
    of_duration,
    rules,
)

KIND: Final = "RoutingPolicy"


class CacheMode(StrEnum):
    READ_WRITE = "ReadWrite"
    READ_ONLY = "ReadOnly"


class TimeDependent(StrEnum):
    """What becomes of questions whose answer is another one soon, such as "today" and "weather"."""

    BYPASS = "Bypass"
    CACHE = "Cache"


class Classifier(StrEnum):
    HEURISTIC = "Heuristic"
    EMBEDDING = "Embedding"


class ExplicitModel(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"


class FallbackTrigger(StrEnum):
    """What an upstream can do to make the next attempt worth it."""

    RATE_LIMIT = "RateLimit"
    TIMEOUT = "Timeout"
    SERVER_ERROR = "ServerError"
    CONNECTION = "Connection"
    CONTEXT_OVERFLOW = "ContextOverflow"


class HeaderMatch(Spec):
    name: str = Field(
        pattern=r"^[A-Za-z0-9-]{1,64}$",
        max_length=64,
        description="Name of a request header, in any letter case.",
    )
    value: str = Field(max_length=256, description="Its exact value.")


class PolicyMatch(Spec):
    """Which requests a policy governs: those that meet all of the fields given."""

    models: Annotated[list[ModelNameText], Field(max_length=64)] = Field(
        default=[], description="Requested model names. Empty: any.", json_schema_extra=SET
    )
    tenants: Annotated[list[TenantNameText], Field(max_length=256)] = Field(
        default=[],
        description="Tenants. Empty: any that this policy's namespace may govern.",
        json_schema_extra=SET,
    )
    headers: Annotated[list[HeaderMatch], Field(max_length=16)] = Field(
        default=[], description="Headers the request must carry.", json_schema_extra=MAP_BY_NAME
    )


class Cache(Spec):
    index_ref: LocalRef = Field(
        description="The SemanticCacheIndex to use. Without it requests are served, and nothing is remembered."
    )
    mode: CacheMode = Field(default=CacheMode.READ_WRITE, description="ReadOnly: never store an answer.")
    max_temperature: DecimalString = Field(
        default="1", description="Requests with a higher temperature want variety and bypass the cache."
    )
    time_dependent: TimeDependent = Field(
        default=TimeDependent.BYPASS,
        description='Prompts that ask for what is true just now, such as "today", "latest" and "weather". '
        "Bypass: always ask a model. Cache: treat them like any other.",
    )


class Pricing(Spec):
    """Overrides the catalogue's prices, all of them, in USD per million tokens, at every tier of service."""

    input: DecimalString = Field(description="USD per million prompt tokens.")
    output: DecimalString = Field(description="USD per million completion tokens.")
    cached_input: DecimalString | None = Field(
        default=None,
        description="USD per million prompt tokens that the provider read from its cache of prompts. Absent: as input.",
    )
    cache_write: DecimalString | None = Field(
        default=None,
        description="USD per million prompt tokens that it wrote to that cache. Absent: as input.",
    )
    reasoning: DecimalString | None = Field(
        default=None, description="USD per million completion tokens that were thought. Absent: as output."
    )


class Model(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.name != 'auto'",
                "name",
                "a model cannot be named auto: callers write it to let the router choose",
            ),
            (of_duration("timeout", ">= duration('100ms')"), "timeout", "timeout must be at least 100ms"),
        )
    )

    name: ModelNameText = Field(description="What this policy and its callers call the model.")
    model: ModelNameText = Field(
        description='LiteLLM model id, like "gpt-4o-mini", "anthropic/claude-haiku-4-5" or "openai/my-model".'
    )
    endpoint: Url | None = Field(default=None, description="Base URL. Default: the provider's own.")
    credentials_ref: SecretKeyRef | None = Field(
        default=None, description="The provider's API key. Absent: none."
    )
    pricing: Pricing | None = Field(default=None, description="Default: the catalogue's prices.")
    context_window: Integer | None = Field(
        default=None, ge=1, le=100_000_000, description="Tokens of prompt. Default: the catalogue's."
    )
    max_output_tokens: Integer | None = Field(
        default=None, ge=1, le=10_000_000, description="Most tokens of an answer. Default: the catalogue's."
    )
    timeout: Duration = Field(default="60s", description="For one attempt: to the answer, or between chunks.")
    quality: Ratio | None = Field(
        default=None,
        description="How good its answers are, from 0 to 1, by whatever measure the models of this policy share. The "
        "router never chooses a model that costs more than another and is said to be no better. Absent: unknown.",
    )

    @model_validator(mode="after")
    def _timeout_leaves_time(self) -> Self:
        if milliseconds(self.timeout) < 100:
            raise ValueError("timeout must be at least 100ms")
        return self


Keyword = Annotated[str, Field(min_length=1, max_length=64)]


ExamplePrompt = Annotated[str, Field(min_length=1, max_length=2_000)]


class Examples(Spec):
    """Prompts of which it is known. They count among what is like them, and hardly elsewhere."""

    simple: Annotated[list[ExamplePrompt], Field(max_length=100)] = Field(
        default=[],
        description="Prompts that the simple model answers well enough.",
        json_schema_extra=ATOMIC,
    )
    complex: Annotated[list[ExamplePrompt], Field(max_length=100)] = Field(
        default=[], description="Prompts that want the complex model.", json_schema_extra=ATOMIC
    )


_EXAMPLES = "examples are compared by embeddings, which Heuristic has none of; write classifier: Embedding"


class Complexity(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.classifier == 'Embedding' || !has(self.examples)", "examples", _EXAMPLES),
        )
    )

    classifier: Classifier = Field(
        default=Classifier.HEURISTIC,
        description="How complexity is told. Heuristic: by wordThreshold and keywords. Embedding: by a small model "
        "that says how likely the simple model's answer is good enough, or as Heuristic while it cannot.",
    )
    word_threshold: Integer = Field(
        default=50, ge=1, le=1_000_000, description="A prompt of more words is complex."
    )
    keywords: Annotated[list[Keyword], Field(max_length=256)] = Field(
        default=["analyze", "compare", "debug", "explain"],
        description="A prompt with one is complex.",
        json_schema_extra=SET,
    )
    examples: Examples | None = Field(default=None, description="Of this policy's own traffic. Absent: none.")

    @model_validator(mode="after")
    def _examples_are_embedded(self) -> Self:
        if self.examples is not None and self.classifier is not Classifier.EMBEDDING:
            raise ValueError(_EXAMPLES)
        return self


_ONE_DIAL = "quality and simpleShare are two positions of one dial; give one of them"
_DIAL = (
    "quality and simpleShare choose by a probability, which Heuristic has none of; "
    "write complexity: {classifier: Embedding}"
)
_HAS_DIAL = "has(self.quality) || has(self.simpleShare)"


class Route(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!has(self.quality) || !has(self.simpleShare)", "simpleShare", _ONE_DIAL),
            (f"self.complexity.classifier == 'Embedding' || !({_HAS_DIAL})", "complexity.classifier", _DIAL),
        )
    )

    simple_model: ModelNameText | None = Field(
        default=None, description="Default: the cheapest, of input and output at three to one."
    )
    complex_model: ModelNameText | None = Field(
        default=None,
        description="Default: the dearest that no cheaper one is said to equal (models[].quality).",
    )
    explicit_model: ExplicitModel = Field(
        default=ExplicitModel.ALLOW,
        description="Whether a caller may name one of the models instead of auto.",
    )
    complexity: Complexity = Field(default=Complexity(), description="When a prompt is complex.")
    quality: Percent | None = Field(
        default=None,
        description="Least share of the complex model's quality to keep; as much is left to the simple model as that "
        "allows. Default: 95%, with classifier Embedding, where simpleShare is absent.",
    )
    simple_share: Percent | None = Field(
        default=None,
        description="Instead: the share of prompts that the simple model is to answer. Absent: quality.",
    )

    @model_validator(mode="after")
    def _dial_has_one_position(self) -> Self:
        if self.quality is not None and self.simple_share is not None:
            raise ValueError(_ONE_DIAL)
        has_dial = self.quality is not None or self.simple_share is not None
        if has_dial and self.complexity.classifier is not Classifier.EMBEDDING:
            raise ValueError(_DIAL)
        return self


class Fallback(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            (of_duration("deadline", ">= duration('100ms')"), "deadline", "deadline must be at least 100ms")
        )
    )

    order: Annotated[list[ModelNameText], Field(max_length=16)] = Field(
        default=[],
        description="Models to try next, in order. Empty: the others, as listed.",
        json_schema_extra=ATOMIC,
    )
    max_fallbacks: Integer = Field(default=2, ge=0, le=5, description="Most attempts after the first.")
    triggers: Annotated[list[FallbackTrigger], Field(max_length=8)] = Field(
        default=list(FallbackTrigger),
        description="Failures after which to try the next model.",
        json_schema_extra=SET,
    )
    deadline: Duration = Field(default="120s", description="For all attempts together, to the first byte.")

    @model_validator(mode="after")
    def _deadline_leaves_time(self) -> Self:
        if milliseconds(self.deadline) < 100:
            raise ValueError("deadline must be at least 100ms")
        return self


class RoutingPolicySpec(Spec):
    match: PolicyMatch = Field(default=PolicyMatch(), description="Which requests. Empty: all.")
    priority: Integer = Field(
        default=0, ge=-1000, le=1000, description="Among matching policies the highest wins."
    )
    cache: Cache | None = Field(default=None, description="Where answers are cached. Absent: not at all.")
    models: Annotated[list[Model], Field(min_length=1, max_length=64)] = Field(
        description="The models that may answer.", json_schema_extra=MAP_BY_NAME
    )
    route: Route = Field(default=Route(), description="How a model is chosen.")
    fallback: Fallback = Field(default=Fallback(), description="What to do when it fails.")

    @model_validator(mode="after")
    def _model_names_differ(self) -> Self:
        names = [model.name for model in self.models]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two models are named {min(twice)!r}; give each its own name")
        if "auto" in names:
            raise ValueError('a model cannot be named "auto": callers write it to let the router choose')
        return self


class DataPlaneStatus(Spec):
    revision: str = Field(default="", max_length=64, description="The revision that holds this generation.")
    acknowledged: int = Field(default=0, ge=0, description="Ready pods that run it.")
    ready: int = Field(default=0, ge=0, description="Data-plane pods that are ready.")


class RoutingPolicyStatus(Spec):
    conditions: Conditions = Field(
        default=[], description="What is true of this policy.", json_schema_extra=CONDITIONS_SCHEMA
    )
    data_plane: DataPlaneStatus = Field(default=DataPlaneStatus(), description="Which pods run it.")
