"""RoutingPolicy: what happens to a request. The smallest valid one is a list of two models."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, WithJsonSchema, model_validator

from tollway_api.conditions import CONDITIONS_SCHEMA, Conditions
from tollway_api.meta import (
    ATOMIC,
    LEAST_PERIOD,
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
    at_least,
    check_at_least,
    rules,
)
from tollway_api.quality import QualityStatus
from tollway_api.route import Route
from tollway_api.tenant_budget import AUTO

KIND: Final = "RoutingPolicy"
_ENDPOINT_FIRST: Final = "endpoint is the first of several; write the others into endpoints"
_LEAST_TIMEOUT: Final = "100ms"


class CacheMode(StrEnum):
    READ_WRITE = "ReadWrite"
    READ_ONLY = "ReadOnly"


class TimeDependent(StrEnum):
    """What becomes of questions whose answer is another one soon, such as "today" and "weather"."""

    BYPASS = "Bypass"
    CACHE = "Cache"


class Capability(StrEnum):
    """What a request may need of a model besides reading and writing text."""

    TOOLS = "Tools"
    VISION = "Vision"
    AUDIO = "Audio"
    JSON_MODE = "JSONMode"
    JSON_SCHEMA = "JSONSchema"
    LOGPROBS = "Logprobs"


class FallbackTrigger(StrEnum):
    """What an upstream can do to make the next attempt worth it."""

    RATE_LIMIT = "RateLimit"
    TIMEOUT = "Timeout"
    SERVER_ERROR = "ServerError"
    CONNECTION = "Connection"
    CONTEXT_OVERFLOW = "ContextOverflow"
    CONTENT_FILTER = "ContentFilter"
    EMPTY_ANSWER = "EmptyAnswer"
    INVALID_JSON = "InvalidJSON"


class ModelState(StrEnum):
    """Whether a model is asked, by how it has answered lately, the best first."""

    HEALTHY = "Healthy"
    RECOVERING = "Recovering"
    HALF_OPEN = "HalfOpen"
    COOLING_DOWN = "CoolingDown"
    OPEN = "Open"


class UnknownParameters(StrEnum):
    """What becomes of a caller's parameters that a model is known not to know."""

    DROP = "Drop"
    REFUSE = "Refuse"
    PASS = "Pass"  # noqa: S105 - a word, not a password


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
    stale_if_error: Duration | None = Field(
        default=None,
        description="When every attempt has failed, what is remembered is served although it expired, no longer ago "
        "than this, or is rather right than wrong and no more; it is marked as stale. Absent: never.",
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


class Canary(Spec):
    """Makes a model one that is tried out. Nothing else is sent to it but what names it."""

    of: ModelNameText = Field(description="The model whose requests it takes a share of.")
    share: Percent = Field(
        description='How many of its conversations, like "5%". A caller who names that model itself stays with it.'
    )


# What the connection itself is made of, and bodies are read by.
RESERVED_HEADERS: Final = (
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)


class ExtraHeader(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!has(self.secretRef) || self.value == ''", "value", "give either value or secretRef"),
            (
                f"!(self.name in {list(RESERVED_HEADERS)})",
                "name",
                "this header belongs to the connection; leave it out",
            ),
        )
    )

    name: str = Field(
        pattern=r"^[a-z0-9-]{1,64}$", max_length=64, description="Name of the header, in lower case."
    )
    value: str = Field(
        default="",
        pattern=r"^[ -~]*$",
        max_length=1024,
        description="What it says, for all to read.",
    )
    secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="Where that stands in a Secret, such as a key. Absent: value is what it says.",
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.value and self.secret_ref is not None:
            raise ValueError("give either value or secretRef")
        if self.name in RESERVED_HEADERS:
            raise ValueError(f"{self.name} belongs to the connection; leave it out")
        return self


# What an answer may cost hangs on these: who is asked what, for how many answers, of how many tokens at most. Under
# the names that providers have for it at the top of a request.
BUDGETED_FIELDS: Final = frozenset(
    (
        "best_of candidate_count contents generationConfig generation_config inferenceConfig inference_config input "
        "max_completion_tokens max_gen_len max_new_tokens max_output_tokens max_tokens max_tokens_to_sample maxTokens "
        "messages model modelId n num_predict options prompt stream stream_options system systemInstruction "
        "system_instruction"
    ).split()
)
MOST_EXTRA_BYTES: Final = 8_192


def _check_extra_body(fields: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    if reserved := sorted(BUDGETED_FIELDS & fields.keys()):
        message = f"cannot set {', '.join(reserved)}, which Tollway sets itself, because budgets rely on it"
        raise ValueError(message)
    if len(json.dumps(fields).encode()) > MOST_EXTRA_BYTES:
        raise ValueError(f"is longer than {MOST_EXTRA_BYTES} bytes of JSON")
    return fields


_extra_body_schema: Final = {
    "type": "object",
    "maxProperties": 32,
    "x-kubernetes-preserve-unknown-fields": True,
}
ExtraBody = Annotated[
    dict[str, JsonValue],
    Field(max_length=32),
    AfterValidator(_check_extra_body),
    WithJsonSchema(_extra_body_schema),
]


class Aws(Spec):
    """Where on AWS a model is, and who asks it."""

    region: str = Field(
        pattern=r"^[a-z0-9-]{1,32}$",
        max_length=32,
        description='The region, like "eu-central-1".',
    )
    credentials_ref: LocalRef | None = Field(
        default=None,
        description="A Secret with aws_access_key_id, aws_secret_access_key and, of temporary ones, aws_session_token, "
        "by which requests are signed. Absent: credentialsRef is a Bedrock API key.",
    )


class Model(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.name != 'auto'",
                "name",
                "a model cannot be named auto: callers write it to let the router choose",
            ),
            at_least("timeout", _LEAST_TIMEOUT),
            ("size(self.endpoints) == 0 || has(self.endpoint)", "endpoint", _ENDPOINT_FIRST),
            at_least("firstTokenTimeout", _LEAST_TIMEOUT, optional=True),
            (
                "!has(self.credentialsRef) || !has(self.aws) || !has(self.aws.credentialsRef)",
                "credentialsRef",
                "give either credentialsRef or aws.credentialsRef",
            ),
            (
                "!has(self.credentialsRef) || self.extraHeaders.all(h, h.name != 'authorization')",
                "credentialsRef",
                "give either credentialsRef or an extra header authorization",
            ),
        )
    )

    name: ModelNameText = Field(description="What this policy and its callers call the model.")
    model: ModelNameText = Field(
        description='LiteLLM model id, like "gpt-4o-mini", "anthropic/claude-haiku-4-5" or "openai/my-model".'
    )
    endpoint: Url | None = Field(default=None, description="Base URL. Default: the provider's own.")
    endpoints: Annotated[list[Url], Field(max_length=16)] = Field(
        default=[],
        description="More base URLs of the same model, such as replicas or regions, with the same key. A request goes "
        "where the fewest are under way; where one fails, another is asked before another model.",
        json_schema_extra=SET,
    )
    credentials_ref: SecretKeyRef | None = Field(
        default=None, description="The provider's API key. Absent: none."
    )
    api_version: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.-]{1,32}$",
        max_length=32,
        description='Azure\'s api-version, like "2024-10-21". Absent: 2025-02-01-preview.',
    )
    aws: Aws | None = Field(
        default=None, description="Where a model on Amazon Bedrock is. Absent: it is not there."
    )
    extra_headers: Annotated[list[ExtraHeader], Field(max_length=16)] = Field(
        default=[],
        description="Headers that every request to the model carries; callers cannot change them.",
        json_schema_extra=MAP_BY_NAME,
    )
    extra_body: ExtraBody | None = Field(
        default=None,
        description="Fields of every request's body, instead of callers' own. What budgets rely on cannot be set, such "
        "as max_tokens, nor more than 8 KiB. Absent: none.",
    )
    unknown_parameters: UnknownParameters = Field(
        default=UnknownParameters.DROP,
        description="What becomes of a caller's parameters that the model is known not to know. Drop: they are left "
        "out, and named in x-tollway-dropped-parameters. Refuse: the caller is told to leave them out. Pass: OpenAI's "
        "parameters are sent as they are; others still only where the provider speaks OpenAI's format.",
    )
    pricing: Pricing | None = Field(default=None, description="Default: the catalogue's prices.")
    context_window: Integer | None = Field(
        default=None, ge=1, le=100_000_000, description="Tokens of prompt. Default: the catalogue's."
    )
    max_output_tokens: Integer | None = Field(
        default=None, ge=1, le=10_000_000, description="Most tokens of an answer. Default: the catalogue's."
    )
    timeout: Duration = Field(default="60s", description="For one attempt: to the answer, or between chunks.")
    capabilities: Annotated[list[Capability], Field(max_length=8)] | None = Field(
        default=None,
        description="All that it can besides text. Absent: what the catalogue says, and of a model that is not in it "
        "everything.",
        json_schema_extra=SET,
    )
    canary: Canary | None = Field(
        default=None, description="Tried out on a share of another model's conversations. Absent: it is not."
    )
    first_token_timeout: Duration | None = Field(
        default=None,
        description="For one attempt at a stream, until it begins to say something, and no longer than timeout. "
        "Absent: 30s, and timeout for models and requests that think in secret.",
    )
    quality: Ratio | None = Field(
        default=None,
        description="How good its answers are, from 0 to 1, by whatever measure the models of this policy share. The "
        "router never chooses a model that costs more than another and is said to be no better. Absent: unknown.",
    )

    @model_validator(mode="after")
    def _timeouts_leave_time(self) -> Self:
        check_at_least("timeout", self.timeout, _LEAST_TIMEOUT)
        check_at_least("firstTokenTimeout", self.first_token_timeout, _LEAST_TIMEOUT)
        return self

    @model_validator(mode="after")
    def _endpoints_have_a_first(self) -> Self:
        if self.endpoints and self.endpoint is None:
            raise ValueError(_ENDPOINT_FIRST)
        return self

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        names = [header.name for header in self.extra_headers]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two of extraHeaders are named {min(twice)!r}")
        if self.credentials_ref is not None and "authorization" in names:
            raise ValueError("give either credentialsRef or an extra header authorization")
        if self.credentials_ref is not None and self.aws is not None and self.aws.credentials_ref is not None:
            raise ValueError("give either credentialsRef or aws.credentialsRef")
        return self


class CircuitBreaker(Spec):
    """When a model is passed over without being asked. Each model of each policy has one for every endpoint."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            at_least("window", LEAST_PERIOD),
            at_least("openFor", LEAST_PERIOD),
        )
    )

    failure_share: Percent = Field(
        default="50%", description="It opens when this share of the requests in the window has failed."
    )
    window: Duration = Field(default="30s", description="How far back a data plane looks.")
    min_requests: Integer = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="Fewer requests in the window say nothing. It also opens when as many have failed one after "
        "another, for a second or longer, whatever else is in the window.",
    )
    open_for: Duration = Field(
        default="30s",
        description="How long nobody asks the model then; up to four times as long when it does not recover.",
    )
    half_open_probes: Integer = Field(
        default=3,
        ge=1,
        le=100,
        description="Requests that must be answered after that before all others follow.",
    )

    @model_validator(mode="after")
    def _times_are_no_moments(self) -> Self:
        check_at_least("window", self.window, LEAST_PERIOD)
        check_at_least("openFor", self.open_for, LEAST_PERIOD)
        return self


class Fallback(Spec):
    model_config = ConfigDict(json_schema_extra=rules(at_least("deadline", _LEAST_TIMEOUT)))

    order: Annotated[list[ModelNameText], Field(max_length=16)] = Field(
        default=[],
        description="Models to try next, in order. Empty: the others, as listed.",
        json_schema_extra=ATOMIC,
    )
    max_fallbacks: Integer = Field(default=2, ge=0, le=5, description="Most attempts after the first.")
    triggers: Annotated[list[FallbackTrigger], Field(max_length=8)] = Field(
        default=[each for each in FallbackTrigger if each is not FallbackTrigger.CONTENT_FILTER],
        description="Failures after which to try the next model; docs/fallback.md says what each of them is.",
        json_schema_extra=SET,
    )
    deadline: Duration = Field(
        default="120s",
        description="For all attempts together, to the first byte. Each has its share of what is left.",
    )
    circuit_breaker: CircuitBreaker = Field(
        default=CircuitBreaker(), description="When a model is passed over that fails often."
    )
    max_cooldown: Duration = Field(
        default="5m",
        description="The longest that a model is passed over because it asks for it (Retry-After).",
    )

    @model_validator(mode="after")
    def _deadline_leaves_time(self) -> Self:
        check_at_least("deadline", self.deadline, _LEAST_TIMEOUT)
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
        if AUTO in names:
            raise ValueError('a model cannot be named "auto": callers write it to let the router choose')
        aliases = [alias.name for alias in self.route.aliases]
        if twice := {name for name in aliases if aliases.count(name) > 1}:
            raise ValueError(f"two aliases are named {min(twice)!r}; give each its own name")
        if AUTO in aliases:
            raise ValueError('an alias cannot be named "auto": that is what it may stand for')
        return self


class DataPlaneStatus(Spec):
    revision: str = Field(default="", max_length=64, description="The revision that holds this generation.")
    acknowledged: int = Field(default=0, ge=0, description="Ready pods that run it.")
    ready: int = Field(default=0, ge=0, description="Data-plane pods that are ready.")


class ModelStatus(Spec):
    name: str = Field(max_length=128, description="The model's name in this policy.")
    state: ModelState = Field(
        description="Healthy: it is asked. Recovering: with a part of the requests. HalfOpen: with a few, to see. "
        "CoolingDown: its provider wants to be left alone. Open: it has failed too often, and nobody asks it."
    )
    seen_by: int = Field(default=0, ge=0, description="How many of the ready data planes see it so.")


class RoutingPolicyStatus(Spec):
    conditions: Conditions = Field(
        default=[], description="What is true of this policy.", json_schema_extra=CONDITIONS_SCHEMA
    )
    data_plane: DataPlaneStatus = Field(default=DataPlaneStatus(), description="Which pods run it.")
    models: Annotated[list[ModelStatus], Field(max_length=64)] = Field(
        default=[],
        description="How its models are, as the data plane sees it that sees it worst.",
        json_schema_extra=MAP_BY_NAME,
    )
    quality: QualityStatus | None = Field(
        default=None, description="What labels say of the simple model's answers (route.minQuality)."
    )
