"""RoutingPolicy: what happens to a request. The smallest valid one is a list of two models."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from tollway_api.meta import (
    DecimalString,
    Duration,
    Integer,
    LocalRef,
    ModelNameText,
    SecretKeyRef,
    Spec,
    TenantNameText,
    Url,
    milliseconds,
)

KIND: Final = "RoutingPolicy"


class CacheMode(StrEnum):
    READ_WRITE = "ReadWrite"
    READ_ONLY = "ReadOnly"


class Classifier(StrEnum):
    HEURISTIC = "Heuristic"


class FallbackTrigger(StrEnum):
    """What an upstream can do to make the next attempt worth it."""

    RATE_LIMIT = "RateLimit"
    TIMEOUT = "Timeout"
    SERVER_ERROR = "ServerError"
    CONNECTION = "Connection"
    CONTEXT_OVERFLOW = "ContextOverflow"


class HeaderMatch(Spec):
    name: str = Field(
        pattern=r"^[A-Za-z0-9-]{1,64}$", description="Name of a request header, in any letter case."
    )
    value: str = Field(max_length=256, description="Its exact value.")


class PolicyMatch(Spec):
    """Which requests a policy governs: those that meet all of the fields given."""

    models: Annotated[list[ModelNameText], Field(max_length=64)] = Field(
        default=[], description="Requested model names. Empty: any."
    )
    tenants: Annotated[list[TenantNameText], Field(max_length=256)] = Field(
        default=[], description="Tenants. Empty: any that this policy's namespace may govern."
    )
    headers: Annotated[list[HeaderMatch], Field(max_length=16)] = Field(
        default=[], description="Headers the request must carry."
    )


class Cache(Spec):
    index_ref: LocalRef = Field(description="The SemanticCacheIndex to use.")
    mode: CacheMode = Field(default=CacheMode.READ_WRITE, description="ReadOnly: never store an answer.")
    max_temperature: DecimalString = Field(
        default="1", description="Requests with a higher temperature want variety and bypass the cache."
    )


class Pricing(Spec):
    """Overrides the catalogue's prices, in USD per million tokens."""

    input: DecimalString = Field(description="USD per million prompt tokens.")
    output: DecimalString = Field(description="USD per million completion tokens.")


class Model(Spec):
    name: ModelNameText = Field(description="What this policy and its callers call the model.")
    model: ModelNameText = Field(
        description='LiteLLM model id, like "gpt-4o-mini", "anthropic/claude-haiku-4-5" or "openai/my-model".'
    )
    endpoint: Url | None = Field(default=None, description="Base URL. Default: the provider's own.")
    credentials_ref: SecretKeyRef | None = Field(default=None, description="The provider's API key.")
    pricing: Pricing | None = Field(default=None, description="Default: the catalogue's prices.")
    context_window: Integer | None = Field(
        default=None, ge=1, le=100_000_000, description="Tokens of prompt. Default: the catalogue's."
    )
    max_output_tokens: Integer | None = Field(
        default=None, ge=1, le=10_000_000, description="Most tokens of an answer. Default: the catalogue's."
    )
    timeout: Duration = Field(default="60s", description="For one attempt: to the answer, or between chunks.")

    @model_validator(mode="after")
    def _timeout_leaves_time(self) -> Self:
        if milliseconds(self.timeout) < 100:
            raise ValueError("timeout must be at least 100ms")
        return self


class Complexity(Spec):
    classifier: Classifier = Field(default=Classifier.HEURISTIC, description="How complexity is told.")
    word_threshold: Integer = Field(
        default=50, ge=1, le=1_000_000, description="A prompt of more words is complex."
    )
    keywords: Annotated[list[str], Field(max_length=256)] = Field(
        default=["analyze", "compare", "debug", "explain"],
        description="A prompt with one is complex.",
    )


class Route(Spec):
    simple_model: ModelNameText | None = Field(default=None, description="Default: the cheapest.")
    complex_model: ModelNameText | None = Field(default=None, description="Default: the dearest.")
    allow_explicit_model: bool = Field(
        default=True, description="Whether a caller may name one of the models instead of auto."
    )
    complexity: Complexity = Field(default=Complexity(), description="When a prompt is complex.")


class Fallback(Spec):
    order: Annotated[list[ModelNameText], Field(max_length=16)] = Field(
        default=[], description="Models to try next, in order. Empty: the others, as listed."
    )
    max_fallbacks: Integer = Field(default=2, ge=0, le=5, description="Most attempts after the first.")
    triggers: Annotated[list[FallbackTrigger], Field(max_length=8)] = Field(
        default=list(FallbackTrigger), description="Failures after which to try the next model."
    )
    deadline: Duration = Field(default="120s", description="For all attempts together, to the first byte.")


class RoutingPolicySpec(Spec):
    match: PolicyMatch = Field(default=PolicyMatch(), description="Which requests. Empty: all.")
    priority: Integer = Field(
        default=0, ge=-1000, le=1000, description="Among matching policies the highest wins."
    )
    cache: Cache | None = Field(default=None, description="Where answers are cached. Absent: not at all.")
    models: Annotated[list[Model], Field(min_length=1, max_length=64)] = Field(
        description="The models that may answer."
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

    @model_validator(mode="after")
    def _deadline_leaves_time(self) -> Self:
        if milliseconds(self.fallback.deadline) < 100:
            raise ValueError("fallback.deadline must be at least 100ms")
        return self
