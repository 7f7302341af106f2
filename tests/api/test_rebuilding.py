"""Which version an index is of: its name is what stands in people's Redis, so it is written out here."""

from typing import Any

import pytest

from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import parse_inventory
from tollway_api.reach import OWN

ELSEWHERE = {
    "provider": "OpenAICompatible",
    "model": "m",
    "dimensions": 8,
    "endpoint": "http://127.0.0.1:9/v1",
}


def version_of(spec: dict[str, Any], **annotations: str) -> str:
    metadata = {"name": "answers", "namespace": "default", "annotations": annotations}
    written = {
        "apiVersion": "tollway.dev/v1alpha1", "kind": "SemanticCacheIndex", "metadata": metadata, "spec": spec,
    }  # fmt: skip
    inventory, problems = parse_inventory([written])
    assert problems == ()
    return compile_snapshot(inventory, bundled(), reach=OWN).snapshot.indexes["default/answers"].version.name


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({}, "default.answers.d476a41c6989"),
        ({"embedding": ELSEWHERE}, "default.answers.3437fa8e0db5"),
        ({"vector": {"type": "Float16"}}, "default.answers.108723ec6f40"),
    ],
)
def test_without_the_annotation_the_name_is_what_it_has_always_been(spec: dict[str, Any], name: str) -> None:
    assert version_of(spec) == version_of(spec, team="search") == name


@pytest.mark.parametrize("spec", [{}, {"embedding": ELSEWHERE}])
def test_each_value_of_the_annotation_is_a_version_of_its_own(spec: dict[str, Any]) -> None:
    values = ("", "1", "2", "2026-11-27T18:00:00Z")
    names = {version_of(spec, **{"tollway.dev/rebuild": value}) for value in values}
    assert len(names) == len(values)
    assert version_of(spec) not in names
