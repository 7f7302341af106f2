"""The CustomResourceDefinitions of the three kinds, built from the typed models, so that a mistake is rejected at apply
time by the same rules by which a file is. `make crds` writes them to `deploy/crds/`.

A schema is made structural: references are put in their places, `X | None` becomes an optional X, and defaults stand
where they belong, on the field that has one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tollway_api import routing_policy, semantic_cache_index, tenant_budget
from tollway_api.meta import GROUP, VERSION, Spec, rules
from tollway_api.routing_policy import RoutingPolicySpec, RoutingPolicyStatus
from tollway_api.semantic_cache_index import SemanticCacheIndexSpec, SemanticCacheIndexStatus
from tollway_api.tenant_budget import TenantBudgetSpec, TenantBudgetStatus

JsonSchema = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """What `kubectl get` shows. Priority 1 is shown with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Definition:
    """A kind, and what Kubernetes is told about it besides its schema."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    description: str
    spec: type[Spec]
    status: type[Spec]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    rules: tuple[tuple[str, str, str], ...] = ()  # over the whole object

    @property
    def name(self) -> str:
        return f"{self.plural}.{GROUP}"


def _condition(type_: str, priority: int = 0, field: str = "status") -> Column:
    name = type_ if field == "status" else field.capitalize()
    path = f'.status.conditions[?(@.type=="{type_}")].{field}'
    return Column(
        name, path, description=f"{field.capitalize()} of the condition {type_}.", priority=priority
    )


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "date", "Since when it is there.")

DEFINITIONS: Final = (
    Definition(
        kind=routing_policy.KIND,
        plural="routingpolicies",
        short_names=("rp",),
        description="What happens to a request: which models may answer, from which cache, and what to do on failure.",
        spec=RoutingPolicySpec,
        status=RoutingPolicyStatus,
        columns=(
            _condition("Ready"),
            _condition("Programmed"),
            Column("Acknowledged", ".status.dataPlane.acknowledged", "integer", "Ready pods that run it."),
            Column("Pods", ".status.dataPlane.ready", "integer", "Data-plane pods that are ready."),
            Column("Index", ".spec.cache.indexRef.name", description="Its cache.", priority=1),
            Column("Revision", ".status.dataPlane.revision", description="What pods run.", priority=1),
            _condition("Ready", 1, "message"),
            _AGE,
        ),
        selectable=(".spec.cache.indexRef.name",),
    ),
    Definition(
        kind=semantic_cache_index.KIND,
        plural="semanticcacheindexes",
        short_names=("sci",),
        description="Where answers are remembered, and when one may be reused.",
        spec=SemanticCacheIndexSpec,
        status=SemanticCacheIndexStatus,
        columns=(
            _condition("Ready"),
            _condition("Programmed"),
            Column("Version", ".status.activeVersion", description="The version that lookups use."),
            Column("Hits", ".status.hitRatio", description="Share of lookups answered from it."),
            Column("Dimensions", ".spec.embedding.dimensions", "integer", "Length of its vectors.", 1),
            _condition("Ready", 1, "message"),
            _AGE,
        ),
        selectable=(".spec.embedding.model",),
    ),
    Definition(
        kind=tenant_budget.KIND,
        plural="tenantbudgets",
        short_names=("tb",),
        description="Who a caller is, and what it may spend; or what several callers may spend together.",
        spec=TenantBudgetSpec,
        status=TenantBudgetStatus,
        columns=(
            _condition("Ready"),
            _condition("Programmed"),
            Column("Scope", ".spec.scope", description="Whose requests it counts."),
            Column("Used", ".status.percent", "integer", "The fullest limit, in percent."),
            Column("Limit", ".status.fullest.name", description="The fullest limit."),
            Column("Spent", ".status.fullest.used", description="What is used of it, in its unit."),
            Column("Remaining", ".status.fullest.remaining", description="What may still be used of it."),
            Column("Resets", ".status.fullest.resetsAt", "string", "When its window ends, where it does."),
            Column("Tenant", ".status.tenant", description="The caller's name.", priority=1),
            Column("Covers", ".status.covers", "integer", "Tenants that a shared budget covers.", 1),
            _condition("Ready", 1, "message"),
            _AGE,
        ),
        selectable=(".spec.tenant", ".spec.scope"),
        rules=(
            (
                "self.spec.scope != 'Tenant' || has(self.spec.tenant) || size(self.metadata.name) <= 63",
                "spec.tenant",
                "the object's name is longer than a tenant's may be (63); shorten it, or give spec.tenant",
            ),
        ),
    ),
)


def custom_resource_definition(definition: Definition) -> JsonSchema:
    """The whole object, as `kubectl apply` takes it."""
    schema: JsonSchema = {
        "description": definition.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            # What the API server says of these three in `kubectl explain`, since it does not know it by itself.
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": definition.kind},
            "metadata": {"type": "object"},
            "spec": {"description": "What is wanted.", **structural_schema(definition.spec)},
            "status": {"description": "What is.", **without_defaults(structural_schema(definition.status))},
        },
    }
    if definition.rules:
        schema |= rules(*definition.rules)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": definition.name, "labels": {"app.kubernetes.io/part-of": "tollway"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "conversion": {"strategy": "None"},
            "names": {
                "kind": definition.kind,
                "listKind": f"{definition.kind}List",
                "plural": definition.plural,
                "singular": definition.kind.lower(),
                "shortNames": list(definition.short_names),
                "categories": ["tollway"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_printer_column(column) for column in definition.columns],
                    "selectableFields": [{"jsonPath": path} for path in definition.selectable],
                }
            ],
        },
    }


def structural_schema(model: type[Spec]) -> JsonSchema:
    """The model's JSON schema in the form that Kubernetes takes."""
    schema = model.model_json_schema(by_alias=True)
    return _structural(schema, schema.get("$defs", {}))


def walk(schema: JsonSchema, path: str = "") -> Iterator[tuple[str, JsonSchema]]:
    """A schema and every one below it, by a path such as `limits[].name`."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


def without_defaults(schema: JsonSchema) -> JsonSchema:
    """A status is what its writer says and nothing besides."""
    kept = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in kept:
        kept["properties"] = {name: without_defaults(child) for name, child in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = without_defaults(kept["items"])
    return kept


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> JsonSchema:
    """Depth first; what a field says of itself stands before what the type it refers to says."""
    if "$ref" in node:
        referred = definitions[node["$ref"].rpartition("/")[2]]
        node = {**referred, **{key: value for key, value in node.items() if key != "$ref"}}
    if "anyOf" in node:
        (present,) = [each for each in node["anyOf"] if each.get("type") != "null"]
        node = {**present, **{key: value for key, value in node.items() if key != "anyOf"}}
        return _structural(node, definitions)
    kept = {key: value for key, value in node.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if kept.get("type") == "integer":
        kept["format"] = "int32" if kept.get("maximum", 2**31) < 2**31 else "int64"
    if "required" in kept:
        kept["required"] = list(kept["required"])  # of its own, or YAML would refer to another's
    if "properties" in kept:
        kept["properties"] = {
            name: _structural(child, definitions) for name, child in kept["properties"].items()
        }
    if "items" in kept:
        kept["items"] = _structural(kept["items"], definitions)
    if isinstance(
        node.get("additionalProperties"), dict
    ):  # of a map, and not the word that there are no others
        kept["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "default" in kept:
        default = kept.pop("default")
        if default is not None:
            kept["default"] = _present(default)
    return kept


_KEPT: Final = frozenset(
    "type description enum pattern format minimum maximum minLength maxLength minItems maxItems maxProperties "
    "required default properties items".split()
)


def _present(default: Any) -> Any:
    """A parent's default in full but for what is absent: the API server holds it against the rules as it stands."""
    if not isinstance(default, dict):
        return default
    return {name: _present(value) for name, value in default.items() if value is not None}


def _printer_column(column: Column) -> JsonSchema:
    shown: JsonSchema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        shown["description"] = column.description
    if column.priority:
        shown["priority"] = column.priority
    return shown
