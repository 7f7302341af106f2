"""TenantBudget: who a caller is, and what it may spend; or what several callers may spend together."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from tollway_api.conditions import CONDITIONS_SCHEMA, Conditions, Time
from tollway_api.meta import (
    ATOMIC,
    MAP_BY_NAME,
    DecimalString,
    Duration,
    Integer,
    Label,
    ModelNameText,
    SecretKeyRef,
    Spec,
    TenantNameText,
    Timestamp,
    milliseconds,
    of_duration,
    rules,
    text,
)

KIND: Final = "TenantBudget"
AUTO: Final = "auto"


class Unit(StrEnum):
    USD = "USD"
    TOKENS = "Tokens"
    REQUESTS = "Requests"

    @property
    def noun(self) -> str:
        """As it is written behind an amount."""
        return self.value if self is Unit.USD else self.value.lower()


class CalendarPeriod(StrEnum):
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


class ExceededAction(StrEnum):
    REJECT = "Reject"
    DEGRADE = "Degrade"


class BudgetScope(StrEnum):
    """Whose requests a budget's limits count."""

    TENANT = "Tenant"  # the caller's that it names
    NAMESPACE = "Namespace"  # those of all tenants whose budgets are in its namespace
    INSTALLATION = "Installation"  # those of all tenants


class LedgerUnavailable(StrEnum):
    """What to do with a request that cannot be counted."""

    LEASE = "Lease"
    DENY = "Deny"
    ALLOW = "Allow"


_check_label_value, _label_value_schema = text(
    r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?",
    "a label's value: at most 63 letters, digits and . _ -, starting and ending with a letter or digit",
    maxLength=63,
)
LabelValue = Annotated[str, AfterValidator(_check_label_value), WithJsonSchema(_label_value_schema)]


_check_time_zone, _time_zone_schema = text(
    r"[A-Za-z][A-Za-z0-9_+/-]*", 'an IANA time zone; write it like "UTC" or "Europe/Berlin"', maxLength=64
)
TimeZone = Annotated[str, AfterValidator(_check_time_zone), WithJsonSchema(_time_zone_schema)]


_LEAST_ROLLING: Final = ">= duration('1s')"
_MOST_ROLLING: Final = "<= duration('8784h')"


class Window(Spec):
    """The stretch of time over which a limit counts: exactly one of its two fields."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.rolling) != has(self.calendar)",
                "rolling",
                'give exactly one of rolling (like "24h") and calendar (like "Day")',
            ),
            (
                f"!has(self.rolling) || {of_duration('rolling', _LEAST_ROLLING)}",
                "rolling",
                "rolling must be at least 1s",
            ),
            (
                f"!has(self.rolling) || {of_duration('rolling', _MOST_ROLLING)}",
                "rolling",
                "rolling must be at most 8784h (366 days)",
            ),
        )
    )

    rolling: Duration | None = Field(
        default=None, description='The last so-and-so long, like "24h". Absent: see calendar.'
    )
    calendar: CalendarPeriod | None = Field(
        default=None, description="The current hour, day, week or month. Absent: see rolling."
    )
    time_zone: TimeZone = Field(default="UTC", description="Where a calendar window's day begins.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.rolling is None) == (self.calendar is None):
            raise ValueError('give exactly one of rolling (like "24h") and calendar (like "Day")')
        if self.rolling is not None and not 1_000 <= milliseconds(self.rolling) <= 366 * 86_400_000:
            raise ValueError("rolling must be from 1s to 8784h (366 days)")
        return self


class Limit(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.unit == 'USD' || !self.amount.contains('.')",
                "amount",
                "amount must be a whole number of tokens or requests",
            ),
            (
                "self.unit != 'USD' || double(self.amount) <= 9000000.0",
                "amount",
                "amount must be at most 9000000 USD; split the budget or shorten its window",
            ),
        )
    )

    name: Label = Field(description="Shown to the caller when this limit refuses a request.")
    unit: Unit = Field(default=Unit.USD, description="What is counted.")
    amount: DecimalString = Field(
        description='How much may be used within the window, as a decimal in quotes, like "25.00".'
    )
    window: Window = Field(default=Window(calendar=CalendarPeriod.DAY), description="Over which time.")

    @model_validator(mode="after")
    def _countable(self) -> Self:
        if self.unit is not Unit.USD and "." in self.amount:
            raise ValueError(f"amount must be a whole number of {self.unit.noun}")
        # The ledger counts nano-USD in doubles inside Redis, which are exact up to 2^53.
        if self.unit is Unit.USD and Decimal(self.amount) > 9_000_000:
            raise ValueError("amount must be at most 9000000 USD; split the budget or shorten its window")
        return self


class OnExceeded(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(self.action == 'Degrade') == has(self.model)",
                "model",
                "Degrade needs model, and Reject takes none: give action and model together",
            )
        )
    )

    action: ExceededAction = Field(
        default=ExceededAction.REJECT, description="Reject with 429, or Degrade to a cheaper model."
    )
    message: str = Field(
        default="Your budget is used up for now. Please try again later.",
        max_length=500,
        description="What a rejected caller reads.",
    )
    model: ModelNameText | None = Field(
        default=None,
        description="Degrade: a model of the governing policy to use instead; one that costs money only beside a "
        "limit in USD. Absent: Reject.",
    )

    @model_validator(mode="after")
    def _degrade_names_a_model(self) -> Self:
        if (self.action is ExceededAction.DEGRADE) != (self.model is not None):
            raise ValueError("Degrade needs model, and Reject takes none: give action and model together")
        return self


class ApiKey(Spec):
    secret_ref: SecretKeyRef = Field(
        description='Where the key is; the Secret may hold "sha256:<hex>" of it instead.'
    )
    name: Label | None = Field(
        default=None,
        description="Who has it, such as a team: shown in the log of requests. Absent: where the key is.",
    )
    expires_at: Timestamp | None = Field(
        default=None,
        description="From when on it is refused, by the data planes' clocks. The operator warns a week before. Absent: "
        "never.",
    )


class BudgetSelector(Spec):
    """Picks budgets of scope Tenant by the labels of their objects."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=16)] = Field(
        description="Labels that a TenantBudget must have, all of them."
    )


_NEEDS_KEYS: Final = (
    "apiKeys is required: name the Secret with the caller's key, "
    "or set scope: Namespace for a budget that counts the requests of others"
)
_NO_KEYS: Final = "a shared budget has no callers of its own; leave apiKeys out, or set scope: Tenant"
_NO_NAME: Final = "a shared budget names no tenant; leave tenant out, or set scope: Tenant"
_NO_MODEL: Final = (
    "a shared budget prefers no model; leave preferredModel to the tenants' own budgets, or set scope: Tenant"
)
_NEEDS_LIMITS: Final = (
    "a shared budget needs limits, for it does nothing else; give one, or delete the budget"
)
_NO_SELECTOR: Final = "selector is for shared budgets; leave it out, or set scope: Namespace"


class Lease(Spec):
    percent: Integer = Field(
        default=1,
        ge=1,
        le=10,
        description="What each data plane sets aside of each limit, in percent, rounded down. Where that is nothing of "
        "some limit, nothing is set aside.",
    )


class TenantBudgetSpec(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.scope != 'Tenant' || size(self.apiKeys) > 0", "apiKeys", _NEEDS_KEYS),
            ("self.scope == 'Tenant' || size(self.apiKeys) == 0", "apiKeys", _NO_KEYS),
            ("self.scope == 'Tenant' || !has(self.tenant)", "tenant", _NO_NAME),
            (f"self.scope == 'Tenant' || self.preferredModel == '{AUTO}'", "preferredModel", _NO_MODEL),
            ("self.scope == 'Tenant' || size(self.limits) > 0", "limits", _NEEDS_LIMITS),
            ("self.scope != 'Tenant' || !has(self.selector)", "selector", _NO_SELECTOR),
        )
    )

    scope: BudgetScope = Field(
        default=BudgetScope.TENANT,
        description="Whose requests count. Tenant: those of the caller with apiKeys. The others are shared: Namespace "
        "counts those of every tenant whose budget is in this namespace; Installation, in the operator's own namespace "
        "alone, those of every tenant.",
    )
    selector: BudgetSelector | None = Field(
        default=None, description="Of a shared budget, which tenants it covers. Absent: all of its scope."
    )
    tenant: TenantNameText | None = Field(
        default=None, description="The caller's name, unique in the installation. Default: the object's name."
    )
    api_keys: Annotated[list[ApiKey], Field(max_length=64)] = Field(
        default=[],
        description="Keys by which the caller is known, at least one. Several are valid at once, for rotation.",
        json_schema_extra=ATOMIC,
    )
    limits: Annotated[list[Limit], Field(max_length=16)] = Field(
        default=[],
        description="What may be spent. Without limits the caller is accounted, and refused only by budgets it shares.",
        json_schema_extra=MAP_BY_NAME,
    )
    alert_threshold_percent: Integer = Field(
        default=80, ge=1, le=100, description="Usage of any limit, in percent, from which to warn."
    )
    on_exceeded: OnExceeded = Field(default=OnExceeded(), description="What happens when a limit is reached.")
    preferred_model: ModelNameText = Field(
        default=AUTO, description='The model for requests that ask for "auto"; "auto" lets the router choose.'
    )
    on_ledger_unavailable: LedgerUnavailable = Field(
        default=LedgerUnavailable.LEASE,
        description="What to do while spending cannot be counted: spend what was set aside for that, refuse, or go on "
        "without counting. Of all budgets that count a request, the strictest holds: Deny, Lease, Allow.",
    )
    lease: Lease = Field(default=Lease(), description="What is set aside where onLedgerUnavailable is Lease.")

    @property
    def is_shared(self) -> bool:
        return self.scope is not BudgetScope.TENANT

    @model_validator(mode="after")
    def _fits_its_scope(self) -> Self:
        shared = self.is_shared
        for is_wrong, message in (
            (not shared and not self.api_keys, _NEEDS_KEYS),
            (shared and bool(self.api_keys), _NO_KEYS),
            (shared and self.tenant is not None, _NO_NAME),
            (shared and self.preferred_model != AUTO, _NO_MODEL),
            (shared and not self.limits, _NEEDS_LIMITS),
            (not shared and self.selector is not None, _NO_SELECTOR),
        ):
            if is_wrong:
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _limit_names_differ(self) -> Self:
        names = [limit.name for limit in self.limits]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two limits are named {min(twice)!r}; give each its own name")
        return self


class LimitStatus(Spec):
    """One limit as the ledger sees it. Amounts are decimals in the limit's unit."""

    name: Label = Field(description="The limit's name.")
    unit: Unit = Field(description="What is counted.")
    used: str = Field(max_length=32, description="Spent within the window.")
    held: str = Field(
        max_length=32, description="Reserved by requests under way, and set aside by data planes."
    )
    remaining: str = Field(max_length=32, description="What may still be spent.")
    percent: int = Field(ge=0, description="Used and held, in percent of the amount.")
    resets_at: Time | None = Field(default=None, description="When a calendar window ends.")
    exposure: str = Field(
        default="",
        max_length=32,
        description="The most that all data planes can spend together while the ledger is away. Empty while it is not "
        "known how many there are, or without bound.",
    )


class TenantBudgetStatus(Spec):
    conditions: Conditions = Field(
        default=[], description="What is true of this budget.", json_schema_extra=CONDITIONS_SCHEMA
    )
    tenant: str = Field(
        default="", max_length=253, description="The tenant's name as it is used; none of a shared budget."
    )
    covers: int | None = Field(
        default=None, ge=0, description="Of a shared budget, how many tenants it covers."
    )
    percent: int | None = Field(default=None, ge=0, description="The fullest limit, in percent.")
    fullest: LimitStatus | None = Field(default=None, description="That limit. Absent: there is none.")
    limits: Annotated[list[LimitStatus], Field(max_length=16)] = Field(
        default=[], description="Each limit's use.", json_schema_extra=MAP_BY_NAME
    )
