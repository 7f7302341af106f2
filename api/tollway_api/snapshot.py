"""What a data plane must do, compiled: the only thing the two planes exchange. Encoding is canonical, so the
same input gives the same bytes and the digest names the content.

Made by `compiler`; read by every data-plane module. Free of Kubernetes. Holds provider keys, so an encoded
snapshot is a secret; API keys are in it as digests only.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Final, TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json

from tollway_api.error_control import Bound
from tollway_api.meta import ModelName, TenantName
from tollway_api.route import Classifier
from tollway_api.routing_policy import (
    CacheMode,
    Capability,
    FallbackTrigger,
    TimeDependent,
    UnknownParameters,
)
from tollway_api.semantic_cache_index import (
    CriticalCheck,
    EmbeddingProvider,
    JudgeType,
    Scope,
    VectorAlgorithm,
    VectorMetric,
    VectorType,
)
from tollway_api.tenant_budget import CalendarPeriod, ExceededAction, LedgerUnavailable, Unit

_KeyT = TypeVar("_KeyT", bound=str)
_ValueT = TypeVar("_ValueT")

SCHEMA_VERSION: Final = 4  # raised whenever an older version cannot read what is encoded

# Integer scales: a USD limit counts nano-USD; a price is pico-USD per token.
NANO_PER_USD: Final = 10**9
PICO_PER_NANO: Final = 1_000


class SnapshotError(Exception):
    """The bytes are not a snapshot this version can run."""


class Protocol(StrEnum):
    """How an upstream is spoken to."""

    OPENAI = "OpenAI"  # directly over HTTP
    LITELLM = "LiteLLM"  # through the library


@dataclass(frozen=True, slots=True)
class Price:
    """Pico-USD per token. What is None costs as much as the rest of the prompt, or of the answer."""

    input: int
    output: int
    cached_input: int | None = None  # read from the provider's cache of prompts
    cache_write: int | None = None  # written to it
    cache_write_hour: int | None = None  # and kept there for an hour; None: as what is kept for less
    reasoning: int | None = None  # thought
    variants: tuple["Variant", ...] = ()

    @property
    def blended(self) -> int:
        """What models are ordered by: three tokens of prompt for one of answer, as in most chats."""
        return 3 * self.input + self.output


@dataclass(frozen=True, slots=True)
class Variant:
    """A price that holds instead."""

    tier: str  # of service, as the provider calls it; "" is any
    above: int  # tokens that the prompt must have more than
    price: Price


@dataclass(frozen=True, slots=True)
class ExtraHeader:
    """Sent with every request to a model."""

    name: str  # lower case
    value: str = field(repr=False)
    value_from: str = ""  # where it stands: "Secret's name/key"; "" where it is no secret


@dataclass(frozen=True, slots=True)
class Aws:
    """Where on AWS a model is. Requests are signed where there are keys for it."""

    region: str
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    keys_from: str = ""  # the Secret's name


# What a Secret calls them, as AWS's own credentials file does.
ACCESS_KEY_ID: Final = "aws_access_key_id"
SECRET_ACCESS_KEY: Final = "aws_secret_access_key"  # noqa: S105 - a name
SESSION_TOKEN: Final = "aws_session_token"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Model:
    name: ModelName
    upstream_id: str  # what the provider, or LiteLLM, calls it
    protocol: Protocol
    endpoint: str | None  # None: LiteLLM knows the provider's own
    api_key: str | None = field(repr=False)
    price: Price
    context_window: int  # tokens
    max_output_tokens: int
    timeout_ms: int
    api_key_from: str = ""  # where its key stands: "Secret's name/key"
    lacks: tuple[Capability, ...] = ()  # what it surely cannot
    unproven: tuple[Capability, ...] = ()  # what nobody says it can, of models of which much is said
    first_token_ms: int | None = None  # of a stream; None: as suits the model and the request
    endpoints: tuple[str, ...] = ()  # more than the first
    api_version: str | None = None  # Azure's; None: LiteLLM knows one
    aws: Aws | None = None
    extra_headers: tuple[ExtraHeader, ...] = ()
    extra_body: dict[str, JsonValue] = field(default_factory=dict)
    unknown_parameters: UnknownParameters = UnknownParameters.DROP

    @property
    def secrets(self) -> Mapping[str, str]:
        """All that it is told of Secrets, by where that stands: "Secret's name/key"."""
        found = {self.api_key_from: self.api_key or ""}
        found |= {each.value_from: each.value for each in self.extra_headers if each.value_from}
        if (aws := self.aws) is not None:
            found[f"{aws.keys_from}/{ACCESS_KEY_ID}"] = aws.access_key_id
            found[f"{aws.keys_from}/{SECRET_ACCESS_KEY}"] = aws.secret_access_key
            found[f"{aws.keys_from}/{SESSION_TOKEN}"] = aws.session_token
        return {place: value for place, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Header:
    name: str  # lower case
    value: str


@dataclass(frozen=True, slots=True)
class Match:
    models: tuple[ModelName, ...]
    tenants: tuple[TenantName, ...]
    headers: tuple[Header, ...]

    @property
    def specificity(self) -> int:
        """How many of the three dimensions are narrowed, headers counted one by one."""
        return bool(self.models) + bool(self.tenants) + len(self.headers)


@dataclass(frozen=True, slots=True)
class CacheUse:
    index: str  # key of Snapshot.indexes
    mode: CacheMode
    max_temperature: float
    time_dependent: TimeDependent = TimeDependent.BYPASS
    stale_if_error_ms: int | None = None  # None: nothing stale is served


@dataclass(frozen=True, slots=True)
class Alias:
    """What callers may write for a model, or for "auto"."""

    name: ModelName
    model: ModelName


@dataclass(frozen=True, slots=True)
class Canary:
    """A model that is tried out on a share of another one's conversations."""

    model: ModelName
    of: ModelName
    share: float  # from 0 to 1


@dataclass(frozen=True, slots=True)
class Step:
    """One of more than two models that are chosen from; the complex one comes after the last."""

    model: ModelName
    shortfall: float  # how much it has of the simple model's, measured by the complex one
    reach: float  # how doubtful its prompts may be, measured by the last step's


@dataclass(frozen=True, slots=True)
class ErrorControl:
    """How often what is served may be wrong, and how that is watched."""

    bound: Bound
    sample_rate: float
    judge: JudgeType
    judge_model: ModelName | None
    window_ms: int


@dataclass(frozen=True, slots=True)
class Route:
    simple: ModelName
    complex: ModelName
    allow_explicit_model: bool
    word_threshold: int
    keywords: tuple[str, ...]
    aliases: tuple[Alias, ...] = ()
    canaries: tuple[Canary, ...] = ()
    sticky: bool = True  # whether a chat that became complex stays so
    classifier: Classifier = Classifier.HEURISTIC
    # The least share of the complex model's quality to keep, or the share of prompts that the simple one is to have:
    # one of them where the classifier gives a probability, none otherwise. Where the simple model's answers are judged,
    # its share, until labels show more.
    quality: float | None = None
    simple_share: float | None = None
    simple_examples: tuple[str, ...] = field(default=(), repr=False)
    complex_examples: tuple[str, ...] = field(default=(), repr=False)
    # Of the policy's own labels; "": none. An older data plane does not see them, and reads the shipped model's dial.
    weights: str = field(default="", repr=False)
    steps: tuple[Step, ...] = ()  # the simple model first; () where there are two models to choose from
    min_quality: ErrorControl | None = None


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    failure_share: float
    window_ms: int
    min_requests: int
    open_for_ms: int
    half_open_probes: int


@dataclass(frozen=True, slots=True)
class Fallback:
    order: tuple[ModelName, ...]
    max_fallbacks: int
    triggers: tuple[FallbackTrigger, ...]
    deadline_ms: int
    breaker: CircuitBreaker
    max_cooldown_ms: int


@dataclass(frozen=True, slots=True)
class Policy:
    namespace: str
    name: str
    match: Match
    priority: int
    cache: CacheUse | None
    models: dict[ModelName, Model]
    route: Route
    fallback: Fallback

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Rolling:
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Calendar:
    period: CalendarPeriod
    time_zone: str


@dataclass(frozen=True, slots=True)
class Limit:
    name: str
    unit: Unit
    amount: int  # nano-USD, tokens or requests
    window: Rolling | Calendar

    @property
    def title(self) -> str:
        """What callers and metrics call it: the name alone of a tenant's own, with its budget's of a shared one."""
        return self.name


@dataclass(frozen=True, slots=True)
class OnExceeded:
    action: ExceededAction
    message: str
    model: ModelName | None


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What is known of an API key besides its digest."""

    name: str = ""  # "" where it has none
    expires_ms: int | None = None  # since the epoch


@dataclass(frozen=True, slots=True)
class Tenant:
    name: TenantName
    namespace: str
    key_digests: dict[str, str]  # SHA-256 in lower-case hex, by where each key stands: "Secret's name/key"
    limits: tuple[Limit, ...]
    alert_threshold_percent: int
    on_exceeded: OnExceeded
    preferred_model: ModelName  # or "auto"
    on_ledger_unavailable: LedgerUnavailable  # the strictest word of all budgets that count its requests
    lease_percent: int = 1  # of each limit of its own, by each data plane
    shared: tuple[str, ...] = ()  # keys of Snapshot.shared: the budgets that count its requests as well
    key_facts: dict[str, KeyFacts] = field(default_factory=dict)  # by where it stands, of keys that have any

    @property
    def account(self) -> str:
        """Where the ledger counts its own limits."""
        return self.name


@dataclass(frozen=True, slots=True)
class SharedBudget:
    """Counts the requests of several tenants together."""

    namespace: str
    name: str
    limits: tuple[Limit, ...]
    alert_threshold_percent: int
    on_exceeded: OnExceeded
    on_ledger_unavailable: LedgerUnavailable
    lease_percent: int = 1  # of each limit, by each data plane for all tenants together

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def account(self) -> str:
        """Where the ledger counts its limits."""
        return self.id


@dataclass(frozen=True, slots=True)
class SharedLimit(Limit):
    """A limit of a shared budget, as it stands among those of a tenant. Never encoded: `Snapshot.shared` is."""

    budget: SharedBudget
    among: int  # how many tenants

    @property
    def title(self) -> str:
        return f"{self.budget.id}/{self.name}"


@dataclass(frozen=True, slots=True)
class Embedding:
    """Who turns a prompt into a vector, and what that is like."""

    provider: EmbeddingProvider
    model: str
    dimensions: int
    endpoint: str = ""  # base URL of who computes it outside; "" where that is the data plane itself
    api_key: str | None = field(default=None, repr=False)
    api_key_from: str = ""  # where its key stands: "Secret's name/key"
    price: int = 0  # pico-USD per token


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """Vectors of one embedding space. Those of two versions are never compared."""

    name: str  # in Redis; changes with the fingerprint
    embedding: Embedding
    algorithm: VectorAlgorithm
    vector_type: VectorType
    metric: VectorMetric
    m: int
    ef_construction: int
    initial_capacity: int


class Stage(StrEnum):
    """What the version beside the one that lookups ask is there for. Both are written in every stage."""

    JOINING = "Joining"  # it takes what is new, until every pod writes it
    FILLING = "Filling"  # and what was remembered before is embedded anew for it
    LEAVING = "Leaving"  # lookups do not ask it any more; it stays complete until no pod does


@dataclass(frozen=True, slots=True)
class Beside:
    version: IndexVersion
    stage: Stage


@dataclass(frozen=True, slots=True)
class Index:
    namespace: str
    name: str
    version: IndexVersion  # the one that lookups ask
    ttl_ms: int
    scope: Scope
    threshold: float
    strict_threshold: float
    checks: tuple[CriticalCheck, ...]
    reembed_per_second: int
    beside: Beside | None = None  # while its embedding is being changed
    accuracy: ErrorControl | None = None

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def versions(self) -> tuple[IndexVersion, ...]:
        """All that are written, the one that lookups ask first."""
        return (self.version,) if self.beside is None else (self.version, self.beside.version)


@dataclass(frozen=True, slots=True)
class Source:
    """An object, and the generation of it, that this snapshot was compiled from."""

    kind: str
    namespace: str
    name: str
    generation: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    installation_namespace: str
    schema_version: int = SCHEMA_VERSION
    tenants: dict[TenantName, Tenant] = field(default_factory=dict)
    shared: dict[str, SharedBudget] = field(default_factory=dict)
    policies: tuple[Policy, ...] = ()  # the one to prefer first
    indexes: dict[str, Index] = field(default_factory=dict)
    # Indexes that are left out for a mistake, as they were run last, but for their keys. Nobody asks or writes them;
    # once they are mended they go on from there.
    left_out: dict[str, Index] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()

    @property
    def budgets(self) -> tuple[Tenant | SharedBudget, ...]:
        """Whoever has limits, of tenants and shared."""
        return (*self.tenants.values(), *self.shared.values())

    def covered(self) -> Mapping[str, int]:
        """How many tenants share a budget, by its id."""
        return Counter(budget_id for tenant in self.tenants.values() for budget_id in tenant.shared)

    def limits_of_shared(self) -> Mapping[str, tuple[SharedLimit, ...]]:
        """By shared budgets' ids."""
        covered = self.covered()
        return {
            budget.id: tuple(
                SharedLimit(each.name, each.unit, each.amount, each.window, budget, covered[budget.id])
                for each in budget.limits
            )
            for budget in self.shared.values()
        }


@dataclass(frozen=True, slots=True)
class _Made:
    """What every schema version has, and all that is looked at of another one's."""

    schema_version: int


_ADAPTER: Final = TypeAdapter(Snapshot)
_TENANTS: Final = TypeAdapter(dict[TenantName, Tenant])
_TENANTS_AT_ONCE: Final = 32
_MADE: Final = TypeAdapter(_Made)


def encode(snapshot: Snapshot) -> bytes:
    """Canonical JSON: fields as they are declared, maps by key, no blanks."""
    # Not as Python's own dicts first: of thousands of tenants they would be the operator's peak of memory.
    return _ADAPTER.dump_json(
        replace(
            snapshot,
            tenants=_by_key(snapshot.tenants),
            shared=_by_key(snapshot.shared),
            policies=tuple(replace(policy, models=_by_key(policy.models)) for policy in snapshot.policies),
            indexes=_by_key(snapshot.indexes),
            left_out=_by_key(snapshot.left_out),
        )
    )


def _by_key(items: Mapping[_KeyT, _ValueT]) -> dict[_KeyT, _ValueT]:
    return dict(sorted(items.items()))


def decode(data: bytes) -> Snapshot:
    """The snapshot in `data`, whole and of this schema version.

    Raises SnapshotError, whose message never repeats values, because they may be keys.
    """
    try:
        raw = from_json(data)
        # Before its shape, which may be another for that very reason.
        made = _MADE.validate_python(raw)
        if made.schema_version != SCHEMA_VERSION:
            raise SnapshotError(
                f"made by another version of Tollway: the snapshot has schema version {made.schema_version}, "
                f"and this one reads {SCHEMA_VERSION}"
            )
        # A few tenants at a time, because each validation keeps all other threads from going on: of thousands at once
        # it would stall the data plane's event loop.
        tenants = raw.pop("tenants", {})
        if not isinstance(tenants, dict):
            raise SnapshotError("not a snapshot: tenants: they are no object")
        whole = _ADAPTER.validate_python(raw)
        while tenants:
            few = {name: tenants.pop(name) for name in tuple(islice(tenants, _TENANTS_AT_ONCE))}
            whole.tenants.update(_TENANTS.validate_python(few))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise SnapshotError(f"not a snapshot: {place}: {first['msg']}") from None
    except ValueError:
        raise SnapshotError("not a snapshot: it is not JSON") from None
    return whole


def digest(encoded: bytes) -> str:
    """SHA-256 of an encoded snapshot, in hex."""
    return hashlib.sha256(encoded).hexdigest()


def revision(encoded: bytes) -> str:
    """The digest's first twelve digits: what people and headers call a snapshot."""
    return digest(encoded)[:12]
