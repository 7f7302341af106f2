"""Raw objects, as YAML or the Kubernetes API gives them, to typed resources and problems. An object that does
not parse becomes a problem and is left out; the others go on.

Called by the operator and by `tollway serve` and `validate`, before the compiler.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, cast, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tollway_api import routing_policy, semantic_cache_index, tenant_budget
from tollway_api.meta import API_VERSION, GROUP, Identity, ObjectName, Resource, Spec
from tollway_api.problems import Problem, ProblemReason
from tollway_api.routing_policy import RoutingPolicySpec
from tollway_api.semantic_cache_index import SemanticCacheIndexSpec
from tollway_api.tenant_budget import TenantBudgetSpec

RawObject = Mapping[str, object]
SecretKey = tuple[str, str]  # namespace, name
Secrets = Mapping[SecretKey, Mapping[str, str]]

_NAME: Final[TypeAdapter[str]] = TypeAdapter(ObjectName)

SPEC_OF_KIND: Final[Mapping[str, type[Spec]]] = {
    semantic_cache_index.KIND: SemanticCacheIndexSpec,
    tenant_budget.KIND: TenantBudgetSpec,
    routing_policy.KIND: RoutingPolicySpec,
}


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything the compiler looks at. Resources are in no particular order."""

    indexes: tuple[Resource[SemanticCacheIndexSpec], ...] = ()
    budgets: tuple[Resource[TenantBudgetSpec], ...] = ()
    policies: tuple[Resource[RoutingPolicySpec], ...] = ()
    secrets: Secrets = field(default_factory=dict)
    unparsed: frozenset[Identity] = frozenset()  # objects that are there, but say nothing we can use
    # Of Secrets that may be there: why nobody knows.
    unreadable: Mapping[SecretKey, str] = field(default_factory=dict)


def parse_inventory(
    objects: Sequence[RawObject], default_namespace: str = "default"
) -> tuple[Inventory, tuple[Problem, ...]]:
    """Types every Tollway object and reads every Secret; objects of other APIs are none of our business."""
    resources: dict[Identity, Resource[Spec]] = {}
    secrets: dict[SecretKey, Mapping[str, str]] = {}
    unparsed: set[Identity] = set()
    secret_identities: set[Identity] = set()
    problems: list[Problem] = []
    for raw in objects:
        identity = identify(raw, default_namespace)
        if identity.kind == "Secret" and raw.get("apiVersion") in {"v1", None}:
            values, found = _parse_secret(identity, raw)
            problems += found
            if found:
                continue
            if identity in secret_identities:
                problems.append(_twice(identity))
            else:
                secret_identities.add(identity)
                secrets[identity.namespace, identity.name] = values
        elif str(raw.get("apiVersion", "")).partition("/")[0] == GROUP or identity.kind in SPEC_OF_KIND:
            parsed = parse_resource(identity, raw)
            if isinstance(parsed, tuple):
                problems += parsed
                unparsed.add(identity)
            elif identity in resources:
                problems.append(_twice(identity))
            else:
                resources[identity] = parsed
    return inventory_of(resources.values(), secrets, unparsed), tuple(problems)


def identify(raw: RawObject, default_namespace: str = "default") -> Identity:
    """Who an object is, as far as it says."""
    metadata = _mapping(raw.get("metadata"))
    namespace = metadata.get("namespace") or default_namespace
    return Identity(
        str(raw.get("kind") or "object"), str(namespace), str(metadata.get("name") or "(unnamed)")
    )


def inventory_of(
    resources: Iterable[Resource[Spec]],
    secrets: Mapping[SecretKey, Mapping[str, str]],
    unparsed: Iterable[Identity],
    unreadable: Mapping[SecretKey, str] | None = None,
) -> Inventory:
    """Resources sorted by kind, with what they may refer to."""
    indexes: list[Resource[SemanticCacheIndexSpec]] = []
    budgets: list[Resource[TenantBudgetSpec]] = []
    policies: list[Resource[RoutingPolicySpec]] = []
    for found in resources:
        # Its type goes by what its spec is, which a generic class cannot be narrowed by.
        match found.spec:
            case SemanticCacheIndexSpec():
                indexes.append(cast("Resource[SemanticCacheIndexSpec]", found))
            case TenantBudgetSpec():
                budgets.append(cast("Resource[TenantBudgetSpec]", found))
            case RoutingPolicySpec():
                policies.append(cast("Resource[RoutingPolicySpec]", found))
    return Inventory(
        tuple(indexes), tuple(budgets), tuple(policies), secrets, frozenset(unparsed), unreadable or {}
    )


def parse_resource(
    identity: Identity, raw: RawObject, *, is_pruned: bool = False
) -> Resource[Spec] | tuple[Problem, ...]:
    """One object, or what is wrong with it. `is_pruned`: the API server has taken out what the kind does not have, so a
    field that we do not know is no slip of the pen but of a newer version of the kind, and may be there by default.
    """
    kind_problem = _check_kind(identity, raw)
    if kind_problem is not None:
        return (kind_problem,)
    if problems := tuple(_check_metadata(identity, raw)):
        return problems
    spec_type = SPEC_OF_KIND[identity.kind]
    written = raw.get("spec")
    try:
        spec, newer = _read(spec_type, {} if written is None else written, is_pruned=is_pruned)
    except ValidationError as error:
        return tuple(_explain(identity, spec_type, details) for details in error.errors())
    metadata = _mapping(raw.get("metadata"))
    generation = metadata.get("generation")
    return Resource(
        identity=identity,
        generation=generation if isinstance(generation, int) else 1,
        created=str(metadata.get("creationTimestamp") or ""),
        spec=spec,
        labels=labels_of(identity, raw),
        annotations=annotations_of(identity, raw),
        unknown=tuple(_path(each) for each in newer),
    )


def _read(
    spec_type: type[Spec], written: object, *, is_pruned: bool
) -> tuple[Spec, Sequence[Sequence[int | str]]]:
    """The spec, and where it had what it was read without. Raises ValidationError."""
    try:
        return spec_type.model_validate(written), ()
    except ValidationError as error:
        newer = [each["loc"] for each in error.errors() if each["type"] == "extra_forbidden"]
        if not (is_pruned and newer):
            raise
    return spec_type.model_validate(_without(written, newer)), newer


def _without(written: object, locations: Sequence[Sequence[int | str]]) -> object:
    """What was written but for what is at those places, which is left as it is."""
    left = deepcopy(written)
    for *outside, name in locations:
        inside: Any = left
        for part in outside:
            inside = inside[part]
        del inside[name]
    return left


def labels_of(identity: Identity, raw: RawObject) -> Mapping[str, str]:
    """Those that a snapshot may depend on: TenantBudgets are picked by theirs."""
    if identity.kind != tenant_budget.KIND:
        return {}
    labels = _mapping(_mapping(raw.get("metadata")).get("labels"))
    return {name: value for name, value in labels.items() if isinstance(value, str)}


def annotations_of(identity: Identity, raw: RawObject) -> Mapping[str, str]:
    """Those that a snapshot depends on: a SemanticCacheIndex is rebuilt by one."""
    if identity.kind != semantic_cache_index.KIND:
        return {}
    annotations = _mapping(_mapping(raw.get("metadata")).get("annotations"))
    value = annotations.get(semantic_cache_index.REBUILD_ANNOTATION)
    return {semantic_cache_index.REBUILD_ANNOTATION: value} if isinstance(value, str) else {}


def _check_metadata(identity: Identity, raw: RawObject) -> Iterator[Problem]:
    """What the API server checks of every object: its names end up in Redis keys, headers and labels."""
    metadata = raw.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        yield Problem(identity, "metadata", ProblemReason.INVALID, "must be a mapping with a name")
        return
    metadata = _mapping(metadata)
    if metadata.get("name") is None:
        message = "is required; every object needs a name"
        yield Problem(identity, "metadata.name", ProblemReason.INVALID, message)
        return
    for part in ("labels", "annotations"):
        texts = metadata.get(part)
        if texts is not None and not (
            isinstance(texts, Mapping) and all(isinstance(value, str) for value in texts.values())
        ):
            message = "must be a mapping of names to text; put the values in quotes"
            yield Problem(identity, f"metadata.{part}", ProblemReason.INVALID, message)
    for name, default in (("name", None), ("namespace", "default")):
        value = metadata.get(name) or default
        try:
            _NAME.validate_python(value)
        except ValidationError as error:
            message = str(error.errors()[0].get("ctx", {}).get("error", f"must be text, not {value!r}"))
            yield Problem(identity, f"metadata.{name}", ProblemReason.INVALID, message)


def _check_kind(identity: Identity, raw: RawObject) -> Problem | None:
    if raw.get("kind") is None:
        known = ", ".join(sorted(SPEC_OF_KIND))
        return Problem(identity, "kind", ProblemReason.UNREADABLE, f"is required; one of: {known}")
    if identity.kind not in SPEC_OF_KIND:
        close = get_close_matches(identity.kind, SPEC_OF_KIND, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known kinds: {', '.join(sorted(SPEC_OF_KIND))}"
        return Problem(identity, "kind", ProblemReason.UNREADABLE, f"unknown kind {identity.kind!r}; {hint}")
    if raw.get("apiVersion") != API_VERSION:
        given = raw.get("apiVersion")
        message = (
            f"unknown version {given!r}; write {API_VERSION}" if given else f"is required: {API_VERSION}"
        )
        return Problem(identity, "apiVersion", ProblemReason.UNREADABLE, message)
    return None


def _parse_secret(identity: Identity, raw: RawObject) -> tuple[Mapping[str, str], tuple[Problem, ...]]:
    values: dict[str, str] = {}
    problems = [] if raw.get("apiVersion") == "v1" else [_no_version(identity)]
    problems += [
        Problem(identity, part, ProblemReason.INVALID, "must be a mapping of keys to text")
        for part in ("data", "stringData")
        if raw.get(part) is not None and not isinstance(raw[part], Mapping)
    ]
    for key, encoded in _mapping(raw.get("data")).items():
        try:
            values[key] = base64.b64decode(str(encoded), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            message = "is not base64 of UTF-8 text; encode it, or move it to stringData as plain text"
            problems.append(Problem(identity, f"data.{key}", ProblemReason.INVALID, message))
    for key, value in _mapping(raw.get("stringData")).items():
        if isinstance(value, str) and isinstance(key, str):
            values[key] = value
        else:
            message = "must be text, and its name too; put it in quotes"
            problems.append(Problem(identity, f"stringData.{key}", ProblemReason.INVALID, message))
    return values, tuple(problems)


def _no_version(identity: Identity) -> Problem:
    return Problem(identity, "apiVersion", ProblemReason.UNREADABLE, "is required: v1")


def _twice(identity: Identity) -> Problem:
    message = "is defined twice; the first definition holds. Rename or remove one of them"
    return Problem(identity, "metadata.name", ProblemReason.CONFLICT, message)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


# Who writes a key where a reference to it belongs, or a password into a URL, shall not find it in logs and statuses.
_SECRETIVE: Final = frozenset({"apiKeys", "credentialsRef", "endpoint"})


def _explain(identity: Identity, spec_type: type[Spec], details: ErrorDetails) -> Problem:
    """One of pydantic's errors in words that say how to mend it."""
    location = details["loc"]
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            message = "is required"
        case "extra_forbidden":
            message = _unknown_field(spec_type, location)
        case "enum" | "literal_error":
            message = f"is {details['input']!r}, but must be one of {context['expected']}"
        case "string_type":
            message = f'must be text; put it in quotes: "{details["input"]}"'
        case "value_error":
            message = str(context["error"])
            _, found, wanted = message.rpartition(" is not ")
            if found and not _SECRETIVE.isdisjoint(location):
                message = f"is not {wanted}"
        case _:
            message = _lower_first(details["msg"])
            if _SECRETIVE.isdisjoint(location):
                message += f" (it is {_short(details['input'])})"
    return Problem(identity, _path(location), ProblemReason.INVALID, message)


def _path(location: Sequence[int | str]) -> str:
    """`("models", 0, "name")` as a person writes it: `spec.models[0].name`."""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _unknown_field(spec_type: type[Spec], location: Sequence[int | str]) -> str:
    known = sorted(_fields_at(spec_type, location[:-1]))
    close = get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
    return (
        f"unknown field; did you mean {close[0]!r}?" if close else f"unknown field; known: {', '.join(known)}"
    )


def _fields_at(model: type[BaseModel], location: Sequence[int | str]) -> Iterator[str]:
    """Names of the fields that may stand at a place inside a spec."""
    for part in location:
        for known in model.model_fields.values():
            if known.alias == part and (inner := _model_in(known.annotation)) is not None:
                model = inner
                break
    return (known.alias or name for name, known in model.model_fields.items())


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model inside `X`, `X | None` or `list[X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := _model_in(part)) is not None), None)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
