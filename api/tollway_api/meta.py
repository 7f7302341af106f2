"""What the three kinds share: group and version, the base of every spec, and the scalar types with their
bounds. Each scalar says in its error what it accepts, because that sentence is what a user reads.

Called by the kind modules and by the compiler; imports nothing of ours.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Generic, NewType, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

GROUP: Final = "tollway.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

TenantName = NewType("TenantName", str)
ModelName = NewType("ModelName", str)


_NONE: Final[set[str]] = set()  # copied by who copies a model


class Spec(BaseModel):
    """The base of everything a user writes: camelCase names, no unknown fields, immutable once read."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    def model_post_init(self, _: object) -> None:
        """Nobody asks which fields were written, and of ten thousand objects the sets of those are 13 MB."""
        object.__setattr__(self, "__pydantic_fields_set__", _NONE)


# YAML's `true` and `"5"` are no numbers, here as in the API server.
Integer = Annotated[int, Strict()]


def rules(*triples: tuple[str, str, str]) -> JsonDict:
    """The schema extra of a spec whose fields depend on each other: CEL expressions over `self`, each with the field to
    blame and the message that says how to mend it. What is said here is checked by the API server; a validator beside
    it says the same for files.
    """
    return {
        "x-kubernetes-validations": [
            {"rule": rule, "message": message, "reason": "FieldValueInvalid", "fieldPath": f".{field}"}
            for rule, field, message in triples
        ]
    }


# With so many hours as fit into the length, the sum still fits into the nanoseconds that a Go duration counts.
_DURATION: Final = "([0-9]{1,6}(ms|s|m)|[0-9]{1,5}h)+"


def of_duration(field: str, comparison: str) -> str:
    """A rule over a duration, of which nothing is said when it is none, since its pattern has said that."""
    return f"!self.{field}.matches('^{_DURATION}$') || duration(self.{field}) {comparison}"


LEAST_PERIOD: Final = "1s"  # of what is counted, or lasts, for a while


def at_least(field: str, least: str, *, optional: bool = False) -> tuple[str, str, str]:
    """One of the triples of `rules`: a duration is not shorter. `check_at_least` says the same for files."""
    rule = of_duration(field, f">= duration('{least}')")
    return f"!has(self.{field}) || {rule}" if optional else rule, field, _too_short(field, least)


def check_at_least(field: str, duration: str | None, least: str) -> None:
    """Raises ValueError where it is shorter."""
    if duration is not None and milliseconds(duration) < milliseconds(least):
        raise ValueError(_too_short(field, least))


def _too_short(field: str, least: str) -> str:
    return f"{field} must be at least {least}"


# How Kubernetes merges a list: by a key of its items, as a set, or as a whole.
MAP_BY_NAME: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
SET: Final[JsonDict] = {"x-kubernetes-list-type": "set"}
ATOMIC: Final[JsonDict] = {"x-kubernetes-list-type": "atomic"}


SpecT_co = TypeVar("SpecT_co", bound=Spec, covariant=True)


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """Names one object: `RoutingPolicy team-a/chat`."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"

    @property
    def path(self) -> str:
        """As people write it; what is in no namespace, like a file, is its name alone."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Resource(Generic[SpecT_co]):
    """A typed object: its identity, what orders it among its peers, and its spec."""

    identity: Identity
    generation: int
    created: str  # RFC 3339 in UTC, so that text order is time order; "" when it was read from a file
    spec: SpecT_co
    labels: Mapping[str, str] = field(default_factory=dict)  # of kinds that are picked by them; else none
    annotations: Mapping[str, str] = field(default_factory=dict)  # those that a snapshot depends on
    unknown: tuple[str, ...] = ()  # paths of what a newer version of the kind has, and we go without

    @property
    def seniority(self) -> tuple[str, str, str]:
        """Sorts the older object first; equal ages by namespace and name, so that the order is total."""
        return (self.created, self.identity.namespace, self.identity.name)


def text(pattern: str, accepts: str, **schema: str | int) -> tuple[Callable[[str], str], dict[str, object]]:
    """A validator for text and the JSON schema that says the same."""
    compiled = re.compile(pattern)

    longest = schema.get("maxLength")

    def check(value: str) -> str:
        if not compiled.fullmatch(value) or (isinstance(longest, int) and len(value) > longest):
            raise ValueError(f"{value!r} is not {accepts}")
        return value

    return check, {"type": "string", "pattern": f"^{pattern}$", **schema}


_check_duration, _duration_schema = text(
    _DURATION, 'a duration; write it like "500ms", "30s", "1h30m" or "24h"', maxLength=32
)
Duration = Annotated[str, AfterValidator(_check_duration), WithJsonSchema(_duration_schema)]

_check_decimal, _decimal_schema = text(
    r"[0-9]{1,9}(\.[0-9]{1,9})?",
    'a decimal number that is not negative; write it in quotes, like "12.50"',
    maxLength=19,
)
DecimalString = Annotated[str, AfterValidator(_check_decimal), WithJsonSchema(_decimal_schema)]

_check_ratio, _ratio_schema = text(
    r"(0(\.[0-9]{1,6})?|1(\.0{1,6})?)", 'a ratio from 0 to 1; write it in quotes, like "0.95"', maxLength=8
)
Ratio = Annotated[str, AfterValidator(_check_ratio), WithJsonSchema(_ratio_schema)]

_check_percent, _percent_schema = text(
    r"([0-9]{1,2}(\.[0-9]{1,4})?|100)%", 'a percentage; write it in quotes, like "1%" or "0.5%"', maxLength=8
)
Percent = Annotated[str, AfterValidator(_check_percent), WithJsonSchema(_percent_schema)]

# Of something that says yes or no: at a half it would say nothing.
_check_noise, _noise_schema = text(
    r"[0-4]?[0-9](\.[0-9]{1,4})?%", 'a percentage below 50; write it in quotes, like "5%"', maxLength=8
)
NoisePercent = Annotated[str, AfterValidator(_check_noise), WithJsonSchema(_noise_schema)]

_check_label, _label_schema = text(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    "a name of at most 63 lower-case letters, digits and '-', starting and ending with a letter or digit",
    maxLength=63,
)
Label = Annotated[str, AfterValidator(_check_label), WithJsonSchema(_label_schema)]

# What Kubernetes lets Secrets and custom resources be called (RFC 1123).
_check_object_name, _object_name_schema = text(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*",
    "an object's name: lower-case letters, digits, '-' and '.', starting and ending with a letter or digit",
    maxLength=253,
)
ObjectName = Annotated[str, AfterValidator(_check_object_name), WithJsonSchema(_object_name_schema)]

# A model's name may carry what providers' names carry; "auto" is left to the router.
_check_model_name, _model_name_schema = text(
    r"[A-Za-z0-9]([A-Za-z0-9._:/-]{0,126}[A-Za-z0-9])?",
    "a model name of at most 128 letters, digits and . _ : / -",
    maxLength=128,
)
ModelNameText = Annotated[str, AfterValidator(_check_model_name), WithJsonSchema(_model_name_schema)]

# A tenant's name becomes a Redis hash tag and a metric label, so it may hold no braces and no blanks.
_check_tenant, _tenant_schema = text(
    r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
    "a tenant name of at most 63 letters, digits and . _ -, starting and ending with a letter or digit",
    maxLength=63,
)
TenantNameText = Annotated[str, AfterValidator(_check_tenant), WithJsonSchema(_tenant_schema)]

# Printable ASCII but `?` and `#`; not `\s`, of which Python and the API server think differently.
_check_url, _url_schema = text(
    r'https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!"$->@-~]*)?',
    'an http or https URL without query or fragment, like "https://api.example.com/v1"',
    maxLength=512,
)
Url = Annotated[str, AfterValidator(_check_url), WithJsonSchema(_url_schema)]


# RFC 3339, which is what Kubernetes calls a date-time.
_check_time, _time_schema = text(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
    'a time; write it like "2027-01-31T18:00:00Z"',
    maxLength=35,
)


def _check_moment(value: str) -> str:
    _check_time(value)
    try:
        epoch_ms(value)
    except ValueError:
        raise ValueError(f"{value!r} is no time there is; check its month, day and hour") from None
    return value


Timestamp = Annotated[
    str, AfterValidator(_check_moment), WithJsonSchema({**_time_schema, "format": "date-time"})
]


class LocalRef(Spec):
    """Names an object in the same namespace; references never cross namespaces."""

    name: ObjectName = Field(description="Name of the object, in this object's namespace.")


class SecretKeyRef(Spec):
    """Names one key of a Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret, in this object's namespace.")
    key: str = Field(
        default="api-key", min_length=1, max_length=253, description="Which of the Secret's keys to read."
    )

    @property
    def place(self) -> str:
        """Within the namespace: "name/key"."""
        return f"{self.name}/{self.key}"


_UNIT_MILLISECONDS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


def milliseconds(duration: str) -> int:
    """The length of a Go-style duration, in milliseconds. The text must have passed `Duration`."""
    parts = re.findall(r"([0-9]+)(ms|s|m|h)", duration)
    return sum(int(count) * _UNIT_MILLISECONDS[unit] for count, unit in parts)


def epoch_ms(timestamp: str) -> int:
    """Milliseconds since the epoch of a time in RFC 3339. Raises ValueError where there is no such time."""
    return int(datetime.fromisoformat(timestamp).timestamp() * 1_000)


def share(percent: str) -> float:
    """What a percentage is of 1. The text must have passed `Percent`."""
    return float(percent.removesuffix("%")) / 100


def scaled(decimal: str, factor: int) -> int:
    """`decimal` times `factor`, rounded half to even to an integer; exact, because money is never a float."""
    return int((Decimal(decimal) * factor).to_integral_value())
