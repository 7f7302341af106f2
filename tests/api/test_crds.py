"""What every schema of ours must be, by the Kubernetes API conventions; no published linter reads generated YAML."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tollway_api.crds import DEFINITIONS, Definition, custom_resource_definition, walk

JsonSchema = dict[str, Any]
COMMITTED = Path(__file__).parents[2] / "deploy" / "crds"
CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*")

each_kind = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)


def version_of(definition: Definition) -> JsonSchema:
    (version,) = custom_resource_definition(definition)["spec"]["versions"]
    assert isinstance(version, dict)
    return version


def fields_of(definition: Definition) -> list[tuple[str, JsonSchema]]:
    """All but the spec and the status themselves."""
    properties = version_of(definition)["schema"]["openAPIV3Schema"]["properties"]
    roots = (".spec", ".status")
    found = [*walk(properties["spec"], ".spec"), *walk(properties["status"], ".status")]
    return [(path, schema) for path, schema in found if path not in roots]


def spec_of(definition: Definition) -> list[tuple[str, JsonSchema]]:
    return [*walk(version_of(definition)["schema"]["openAPIV3Schema"]["properties"]["spec"], ".spec")]


@each_kind
def test_every_field_has_a_type_and_every_property_a_description(definition: Definition) -> None:
    found = fields_of(definition)
    assert [path for path, schema in found if "type" not in schema] == []
    named = [(path, schema) for path, schema in found if not path.endswith("[]")]
    assert [path for path, schema in named if len(schema.get("description", "")) < 10] == []


@each_kind
def test_every_field_is_bounded(definition: Definition) -> None:
    def is_bounded(schema: JsonSchema) -> bool:
        match schema["type"]:
            case "string":
                return "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time"
            case "array":
                return "maxItems" in schema
            case "object":
                return "properties" in schema or "maxProperties" in schema
            case "integer":
                return {"minimum", "maximum"} <= schema.keys()
        return False

    # What counts things in the world has no upper bound.
    found = [(path, each) for path, each in fields_of(definition) if not is_bounded(each)]
    assert [path for path, each in found if each["type"] != "integer" or path.startswith(".spec")] == []


@each_kind
def test_there_are_no_floats_and_no_booleans(definition: Definition) -> None:
    found = [path for path, schema in fields_of(definition) if schema["type"] in {"number", "boolean"}]
    assert found == []


@each_kind
def test_enums_are_camel_case(definition: Definition) -> None:
    values = [value for _, schema in fields_of(definition) for value in schema.get("enum", [])]
    assert values
    assert [value for value in values if not CAMEL.fullmatch(value)] == []


@each_kind
def test_every_list_says_how_it_merges(definition: Definition) -> None:
    lists = [(path, schema) for path, schema in fields_of(definition) if schema["type"] == "array"]
    for path, schema in lists:
        kind = schema.get("x-kubernetes-list-type")
        assert kind in {"atomic", "map", "set"}, path
        if kind == "map":
            for key in schema["x-kubernetes-list-map-keys"]:
                assert key in schema["items"]["required"], f"{path} is merged by {key}"
        if kind == "set":
            assert schema["items"]["type"] == "string", path


@each_kind
def test_a_list_whose_items_must_have_names_is_merged_by_them(definition: Definition) -> None:
    for path, schema in fields_of(definition):
        if schema["type"] == "array" and "name" in schema["items"].get("required", ()):
            assert schema["x-kubernetes-list-map-keys"] == ["name"], path


@each_kind
def test_what_may_be_left_out_has_a_default_or_says_what_that_means(definition: Definition) -> None:
    for path, schema in spec_of(definition):
        for name, child in schema.get("properties", {}).items():
            said = re.search(r"Default: |Absent: ", child["description"])
            optional = name not in schema.get("required", [])
            assert not optional or "default" in child or said, f"{path}.{name}: {child['description']}"


@each_kind
def test_a_parents_default_is_what_its_childrens_are(definition: Definition) -> None:
    """So that leaving it out and leaving it empty are the same; the API server holds a default against the rules as it
    stands, so it cannot be `{}`.
    """
    for path, schema in spec_of(definition):
        if schema["type"] == "object" and "default" in schema:
            of_children = {
                name: child["default"] for name, child in schema["properties"].items() if "default" in child
            }
            # A window is one of two, so it has a default only as a whole.
            extra = {"calendar": "Day"} if path.endswith(".window") else {}
            assert schema["default"] == {**of_children, **extra}, path


DURATION = re.compile(r"[0-9]+(ms|s|m|h)")
DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")


@each_kind
def test_durations_ratios_and_money_are_texts_with_a_pattern_and_percentages_integers(
    definition: Definition,
) -> None:
    for path, schema in fields_of(definition):
        name = path.rpartition(".")[2]
        if DURATION.fullmatch(str(schema.get("default", ""))) or name in {"rolling", "ttl", "timeout"}:
            assert schema["pattern"] == "^([0-9]{1,6}(ms|s|m)|[0-9]{1,5}h)+$", path
        if schema["type"] == "string" and DECIMAL.fullmatch(str(schema.get("default", ""))):
            assert "pattern" in schema, path
        if path.startswith(".spec") and re.search(
            r"amount$|(match|strict).*hreshold$|atio$|Temperature$", path
        ):
            assert schema["type"] == "string", path
            assert "pattern" in schema, path
        if re.search(r"[Pp]ercent", name):
            assert schema["type"] == "integer", path
        assert not re.search(r"(Seconds|Millis|Minutes|Hours|Ms)$", name), f"{path} should be a duration"


@each_kind
def test_references_are_named_so_and_stay_in_their_namespace(definition: Definition) -> None:
    for path, schema in fields_of(definition):
        properties = set(schema.get("properties", {}))
        is_reference = bool(properties) and properties <= {"name", "key", "kind", "group", "namespace"}
        assert is_reference == path.endswith("Ref"), path
        if is_reference:
            assert "namespace" not in properties, path
            assert "name" in schema["required"], path


@each_kind
def test_a_status_has_no_phase_and_no_list_of_pods(definition: Definition) -> None:
    found = [path for path, _ in fields_of(definition) if path.startswith(".status")]
    assert found
    assert [path for path in found if re.search(r"(?i)phase|\.pods|nodes", path)] == []


@each_kind
def test_there_is_one_version_and_nothing_to_call(definition: Definition) -> None:
    whole = custom_resource_definition(definition)
    assert whole["apiVersion"] == "apiextensions.k8s.io/v1"
    assert whole["spec"]["conversion"] == {"strategy": "None"}
    assert whole["spec"]["scope"] == "Namespaced"
    version = version_of(definition)
    assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
    assert "webhook" not in str(whole).lower()


@each_kind
def test_the_schema_is_structural_and_lets_nothing_unknown_pass(definition: Definition) -> None:
    loose = {
        "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string", "x-kubernetes-embedded-resource",
        "nullable", "anyOf", "oneOf", "allOf", "not", "$ref",
    }  # fmt: skip
    found = [path for path, schema in fields_of(definition) if loose & schema.keys()]
    # Which is a provider's own format.
    assert [path for path in found if not path.endswith(".extraBody")] == []
    maps = [(path, schema) for path, schema in fields_of(definition) if "additionalProperties" in schema]
    for path, schema in maps:
        assert path.endswith(".matchLabels"), "whose keys are the user's"
        assert schema["additionalProperties"].keys() == {"type", "pattern", "maxLength"}
        assert "properties" not in schema


@each_kind
def test_conditions_have_the_standard_shape(definition: Definition) -> None:
    found = dict(fields_of(definition))
    assert found[".status.conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert set(found[".status.conditions[]"]["required"]) == {
        "type", "status", "observedGeneration", "lastTransitionTime", "reason", "message",
    }  # fmt: skip


@each_kind
def test_every_rule_says_how_to_mend_what_it_refuses(definition: Definition) -> None:
    schema = version_of(definition)["schema"]["openAPIV3Schema"]
    rules = [
        rule
        for _, each in [("", schema), *fields_of(definition)]
        for rule in each.get("x-kubernetes-validations", [])
    ]
    assert rules
    assert [rule for rule in rules if len(rule["message"]) < 20] == []
    assert [rule for rule in rules if rule["reason"] != "FieldValueInvalid"] == []


@each_kind
def test_every_rule_blames_a_field_that_is_there(definition: Definition) -> None:
    schema = version_of(definition)["schema"]["openAPIV3Schema"]
    for _, each in [("", schema), *fields_of(definition)]:
        for rule in each.get("x-kubernetes-validations", []):
            blamed = each
            for name in rule["fieldPath"][1:].split("."):
                blamed = blamed["properties"][name]


@each_kind
def test_kubectl_get_shows_ready_programmed_and_age(definition: Definition) -> None:
    version = version_of(definition)
    names = [column["name"] for column in version["additionalPrinterColumns"]]
    assert names[:2] == ["Ready", "Programmed"]
    assert names[-1] == "Age"
    assert all(column["description"] for column in version["additionalPrinterColumns"])
    assert version["subresources"] == {"status": {}}
    assert version["selectableFields"]


@each_kind
def test_the_names_are_short_and_in_one_category(definition: Definition) -> None:
    names = custom_resource_definition(definition)["spec"]["names"]
    assert names["categories"] == ["tollway"]
    assert names["shortNames"]


def test_a_status_has_no_defaults() -> None:
    found = [path for each in DEFINITIONS for path, schema in fields_of(each) if "default" in schema]
    assert found
    assert [path for path in found if path.startswith(".status")] == []


def test_the_committed_files_are_what_the_models_say() -> None:
    committed = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in COMMITTED.glob("*")}
    assert committed == {each.plural: custom_resource_definition(each) for each in DEFINITIONS}
