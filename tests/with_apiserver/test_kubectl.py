"""What a person sees who has only kubectl."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.dataplanes import Setup, manifest
from tests.installation import NAMESPACE, Installation
from tests.processes import wait_for
from tollway_api.crds import DEFINITIONS, Definition, custom_resource_definition

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")


def parents(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    """Every field with fields of its own, as `kubectl explain` names it."""
    inner = schema.get("items", schema)
    found = [(path, inner)] if "properties" in inner else []
    for name, child in inner.get("properties", {}).items():
        found += parents(child, f"{path}.{name}")
    return found


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)
def test_every_field_is_explained(installation: Installation, definition: Definition) -> None:
    (version,) = custom_resource_definition(definition)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]

    def unexplained(parent: tuple[str, dict[str, Any]]) -> list[str]:
        path, fields = parent
        text = " ".join(installation.kubectl("explain", path).split())
        described = {
            name: " ".join(child.get("description", "").split())
            for name, child in fields["properties"].items()
            if name != "apiVersion"  # the API server has its own words for it
        }
        return [
            f"{path}.{name}" for name, words in described.items() if name not in text or words not in text
        ]

    asked = parents(schema, definition.plural)
    with ThreadPoolExecutor(4) as pool:
        assert [each for found in pool.map(unexplained, asked) for each in found] == []
    assert len(asked) > 5


def test_objects_are_selected_by_each_field_that_may_select(installation: Installation) -> None:
    other = {
        "provider": "OpenAICompatible",
        "model": "m",
        "endpoint": "http://127.0.0.1:9/v1",
        "dimensions": 8,
    }
    policy = {"cache": {"indexRef": {"name": "other"}}, "models": SETUP.models(), "priority": 1}
    installation.apply(
        *SETUP.objects(),
        manifest("SemanticCacheIndex", "other", {"embedding": other}),
        manifest("RoutingPolicy", "other", policy),
        manifest("TenantBudget", "other", {"tenant": "t", "apiKeys": [{"secretRef": {"name": "acme"}}]}),
        manifest("TenantBudget", "all", {"scope": "Namespace", "limits": [{"name": "a", "amount": "1"}]}),
    )
    values = {
        ".spec.cache.indexRef.name": ("other", "other"),
        ".spec.embedding.model": ("m", "other"),
        ".spec.tenant": ("t", "other"),
        ".spec.scope": ("Namespace", "all"),
    }
    asked = {path: each for each in DEFINITIONS for path in each.selectable}
    assert asked.keys() == values.keys()
    for path, definition in asked.items():
        value, name = values[path]
        selector = f"{path.removeprefix('.')}={value}"
        found = installation.kubectl("get", definition.plural, "--field-selector", selector, "-o", "name")
        assert found.split() == [f"{definition.kind.lower()}.tollway.dev/{name}"]


def test_describe_says_what_is_wrong_and_how_to_mend_it(installation: Installation) -> None:
    with installation.light_pod("dp-1"), installation.operator():
        lost = {"models": [{"name": "a", "model": "gpt-4o", "credentialsRef": {"name": "openai"}}]}
        costly = {"apiKeys": [{"secretRef": {"name": "absent"}}], "preferredModel": "no-such"}
        installation.apply(*SETUP.objects())
        installation.apply(
            manifest("RoutingPolicy", "lost", lost),
            manifest("TenantBudget", "costly", costly),
            manifest("SemanticCacheIndex", "long", {"embedding": {"dimensions": 512}}),
        )
        installation.until("RoutingPolicy", "lost", "ResolvedRefs", "MissingSecret")
        installation.until("TenantBudget", "costly", "ResolvedRefs", "MissingSecret")
        installation.until("SemanticCacheIndex", "long", "Accepted", "Invalid")
        for kind, name, words in (
            (
                "rp",
                "lost",
                "no Secret 'openai' in namespace 'default'; create it",
            ),
            ("tb", "costly", "no Secret 'absent' in namespace 'default'; create it"),
            ("sci", "long", "384"),
        ):
            described = " ".join(installation.kubectl("describe", kind, name).split())
            assert words in described
            assert "Warning" in described, "an event says so as well"


def events(installation: Installation, name: str) -> list[tuple[str, str]]:
    found = installation.kubectl(
        "get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "json"
    )
    return sorted((each["type"], each["reason"]) for each in json.loads(found)["items"])


@pytest.mark.long
def test_events_tell_of_transitions_and_not_of_repeats(installation: Installation) -> None:
    installation.kubectl("delete", "events", "--all")
    with installation.light_pod("dp-1"):
        with installation.operator("op-1"):
            installation.apply(*SETUP.objects())
            installation.apply(
                manifest("TenantBudget", "keyless", {"apiKeys": [{"secretRef": {"name": "absent"}}]})
            )
            installation.until("TenantBudget", "acme", "Ready", "Ready")
            installation.until("TenantBudget", "keyless", "ResolvedRefs", "MissingSecret")
            time.sleep(1)
            ready, missing = events(installation, "acme"), events(installation, "keyless")
            assert ready.count(("Normal", "Ready")) == 1
            assert missing.count(("Warning", "MissingSecret")) == 1
            time.sleep(3)  # it looks at everything every two seconds
        with installation.operator("op-2") as two:
            installation.apply(*SETUP.but(beta={"alertThresholdPercent": 50}).objects())
            installation.until("TenantBudget", "beta", "Ready", "Ready")
            wait_for(lambda: "tollway_operator_leads 1.0" in two.metrics(), "it says that it leads")
            assert events(installation, "acme") == ready
            assert events(installation, "keyless") == missing
            assert installation.kubectl("get", "events", "-n", NAMESPACE, "-o", "name") == "", (
                "none of kopf's"
            )
