"""What an object as it came is news of."""

from typing import Any

import pytest

from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import inventory_of
from tollway_api.meta import Resource
from tollway_api.problems import Severity
from tollway_operator.objects import News, Objects

BODY: dict[str, Any] = {
    "apiVersion": "tollway.dev/v1alpha1",
    "kind": "SemanticCacheIndex",
    "metadata": {
        "name": "answers",
        "namespace": "default",
        "uid": "u-1",
        "resourceVersion": "10",
        "generation": 1,
    },
    "spec": {},
}


def later(status: dict[str, Any] | None = None, **metadata: object) -> dict[str, Any]:
    return {
        **BODY,
        "metadata": {**BODY["metadata"], "resourceVersion": "11", **metadata},
        "status": status or {},
    }


@pytest.mark.parametrize(
    ("body", "news"),
    [
        (BODY, News.NOTHING),
        (later(resourceVersion="9"), News.NOTHING),
        (later({"conditions": []}), News.BESIDE),
        (later(labels={"team": "search"}), News.BESIDE),
        (later(annotations={"team": "search"}), News.BESIDE),
        (later(generation=2), News.WANTED),
        (later(uid="u-2"), News.WANTED),
        (later(finalizers=["tollway.dev/index"]), News.WANTED),
        (later(deletionTimestamp="2026-01-01T00:00:00Z"), News.WANTED),
        (later(annotations={"tollway.dev/abandon": ""}), News.WANTED),
        (later(annotations={"tollway.dev/rebuild": ""}), News.WANTED),
    ],
)
def test_only_what_is_wanted_is_compiled_again(body: dict[str, Any], news: News) -> None:
    objects = Objects()
    assert objects.put(BODY) is News.WANTED
    revision = objects.revision
    assert objects.put(body) is news
    assert (objects.revision > revision) is (news is News.WANTED)


def test_labels_are_wanted_of_the_kind_that_is_picked_by_them() -> None:
    def budget(version: str, **labels: str) -> dict[str, Any]:
        metadata = {**BODY["metadata"], "resourceVersion": version, "labels": labels}
        spec = {"apiKeys": [{"secretRef": {"name": "key"}}]}
        return {**BODY, "kind": "TenantBudget", "metadata": metadata, "spec": spec}

    objects = Objects()
    objects.put(budget("10", team="search"))
    assert objects.put(budget("11", team="search")) is News.BESIDE
    edition = next(iter(objects)).edition
    assert objects.put(budget("12", team="ads")) is News.WANTED
    (held,) = objects
    assert isinstance(held.parsed, Resource)
    assert held.parsed.labels == {"team": "ads"}
    assert held.edition == edition, "its spec is what it was"


def test_an_index_is_rebuilt_when_its_annotation_comes_changes_or_goes_and_not_otherwise() -> None:
    objects = Objects()
    version = 10
    for value, news in (
        ("1", News.WANTED),
        ("1", News.BESIDE),
        ("2", News.WANTED),
        (None, News.WANTED),
        (None, News.BESIDE),
    ):
        annotations = {"tollway.dev/rebuild": value} if value else {}
        version += 1
        assert objects.put(later(resourceVersion=str(version), annotations=annotations)) is news
        (held,) = objects
        assert isinstance(held.parsed, Resource)
        assert held.parsed.annotations == annotations


def test_what_is_gone_is_dropped_unless_another_has_its_name() -> None:
    objects = Objects()
    objects.put(later(uid="u-2"))
    objects.drop(BODY)
    assert len(objects) == 1
    objects.drop(later(uid="u-2"))
    assert len(objects) == 0


def test_what_a_list_of_one_namespace_does_not_have_is_gone_from_there_and_from_nowhere_else() -> None:
    objects = Objects()
    for number, (namespace, name) in enumerate([("a", "left"), ("a", "gone"), ("b", "elsewhere")]):
        objects.put(later(uid=f"u-{number}", namespace=namespace, name=name))
    objects.put_all(BODY["kind"], "a", [later(uid="u-0", namespace="a", name="left", resourceVersion="12")])
    assert {(each.identity.name, each.resource_version) for each in objects} == {
        ("left", "12"),
        ("elsewhere", "11"),
    }
    revision = objects.revision
    objects.put_all(BODY["kind"], "c", [])
    assert objects.revision == revision
    objects.put_all(BODY["kind"], "a", [])
    assert [each.identity.name for each in objects] == ["elsewhere"]
    assert objects.revision > revision


def test_fields_of_a_newer_kind_are_gone_without_and_said() -> None:
    """Kinds are upgraded before operators, and not taken back with them; a new field may be there by default."""
    spec: dict[str, Any] = {
        "models": [
            {"name": "cheap", "model": "gpt-4o-mini", "novelty": {"a": 1}},
            {"name": "best", "model": "gpt-4o"},
        ],
        "route": {"complexity": {"newer": True}},
        "newest": [],
    }
    objects = Objects()
    objects.put({**BODY, "kind": "RoutingPolicy", "spec": spec})
    (held,) = objects
    assert isinstance(held.parsed, Resource)
    compilation = compile_snapshot(inventory_of([held.parsed], {}, ()), bundled())
    assert [policy.name for policy in compilation.snapshot.policies] == ["answers"]
    assert [(each.field, each.severity) for each in compilation.problems] == [
        ("spec.models[0].novelty", Severity.WARNING),
        ("spec.newest", Severity.WARNING),
        ("spec.route.complexity.newer", Severity.WARNING),
    ]
    assert "novelty" in spec["models"][0], "what the API has told is left as it is"


def test_what_is_wrong_beside_a_field_of_a_newer_kind_is_still_wrong() -> None:
    objects = Objects()
    objects.put({**BODY, "kind": "RoutingPolicy", "spec": {"models": [], "newest": 1}})
    (held,) = objects
    assert isinstance(held.parsed, tuple)
    assert [each.field for each in held.parsed] == ["spec.models"]
