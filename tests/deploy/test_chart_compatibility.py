"""Whoever has the chart that was promised last can upgrade to this one. That chart lies beside the golden files as it
was packed, with sets of values that it took, and changes with a release only; tests/with_cluster upgrades it.

A value that is refused fails, unless `on_purpose.yaml` names it and says why.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import yaml

from tests.charts import CHART, NAMESPACE, PRODUCTION, PROMISED, helm, objects, promised, rendered
from tools.cluster_tools import BuildError, find

ON_PURPOSE: dict[str, str] = yaml.safe_load((PROMISED / "on_purpose.yaml").read_text(encoding="utf-8"))
VALUES = {
    path.name.removesuffix(".values.yaml"): path
    for path in sorted((PROMISED / "values").glob("*.values.yaml"))
}
# Of these the API server lets nobody change it.
FIXED: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("spec", "selector"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
}

try:
    find("helm")
except BuildError as unbuilt:
    if os.environ.get("TOLLWAY_REQUIRE_CLUSTER_TOOLS"):
        raise
    pytest.skip(f"NO HELM, so nothing here was tested: {unbuilt}", allow_module_level=True)


def refusals(*options: str, given: str = "") -> list[str]:
    """What the chart of today says to values: a line for each that its schema refuses, or what a template says."""
    status, _, error = helm(
        "template", "tollway", str(CHART), "--namespace", NAMESPACE, *options, given=given
    )
    if status == 0:
        return []
    lines = [line.removeprefix("- ") for line in error.splitlines() if line.startswith("- ")]
    return lines or [" ".join(error.split())]


def unexplained(*options: str, given: str = "") -> list[str]:
    return [each for each in refusals(*options, given=given) if each not in ON_PURPOSE]


@pytest.mark.parametrize("name", VALUES)
def test_a_set_of_values_that_was_taken_is_taken(name: str) -> None:
    assert unexplained("--values", str(VALUES[name])) == []


def test_whoever_copied_all_the_values_may_say_them_still() -> None:
    status, values, error = helm("show", "values", str(promised("tollway")))
    assert status == 0, error
    assert unexplained("--values", "-", *PRODUCTION, given=values) == []


def test_every_value_that_is_refused_on_purpose_says_why() -> None:
    assert [why for why in ON_PURPOSE.values() if len(why) < 20] == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"dataplane": {"replicas": 2}}, "at '/dataplane': additional properties 'replicas' not allowed"),
        ({"imagePullPolicy": 1}, "at '/imagePullPolicy'"),
        ({"redis": {"existingSecret": ""}}, "redis.existingSecret"),
    ],
    ids=["one that is gone", "another type", "what a template refuses"],
)
def test_a_value_that_is_not_taken_any_more_is_found(values: dict[str, Any], said: str) -> None:
    (found,) = refusals("--values", "-", given=json.dumps({"redis": {"existingSecret": "r"}, **values}))
    assert said in found


@pytest.mark.parametrize("name", VALUES)
def test_what_cannot_be_changed_in_place_is_as_it_was(name: str) -> None:
    """Or Helm would end half-way through an upgrade."""
    options = ("--values", str(VALUES[name]))
    if refusals(*options):
        pytest.skip("they are refused on purpose")
    before, after = fixed(rendered(*options, chart=promised("tollway"))), fixed(rendered(*options))
    assert before
    assert {place: after[place] for place in before.keys() & after.keys()} == {
        place: what for place, what in before.items() if place in after
    }


def fixed(text: str) -> dict[tuple[str, str, str], Any]:
    return dict(_fixed(text))


def _fixed(text: str) -> Iterator[tuple[tuple[str, str, str], Any]]:
    for each in objects(text):
        metadata = each["metadata"]
        if path := FIXED.get(each["kind"]):
            found: Any = each
            for part in path:
                found = found[part]
            yield (each["kind"], metadata.get("namespace", ""), metadata["name"]), found
