"""deploy/argocd by Argo CD's own code: the health of live manifests that tests/with_apiserver/test_argocd.py has taken
from a real API server, what can be done to them, and Applications that say what is there.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import argocd
from tests.charts import helm
from tools import generate_argocd
from tools.cluster_tools import BuildError, find

ROOT = Path(__file__).parents[2]
APPLICATIONS = [
    yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((argocd.FOLDER / "applications").glob("*.yaml"))
]
TAKEN = {path.stem: path for path in sorted(argocd.GOLDEN.glob("*.yaml"))}

try:
    find("argocd", "helm")
except BuildError as unbuilt:
    if os.environ.get("TOLLWAY_REQUIRE_CLUSTER_TOOLS"):
        raise
    pytest.skip(f"NO ARGO CD, so nothing here was tested: {unbuilt}", allow_module_level=True)


def taken(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(TAKEN[name].read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", TAKEN)
def test_health_is_as_it_should_be(name: str) -> None:
    found = taken(name)
    assert argocd.health(found["object"]) == found["health"]


def test_there_is_one_of_each_kind_and_of_each_health() -> None:
    found = [taken(name) for name in TAKEN]
    kinds = {"RoutingPolicy", "TenantBudget", "SemanticCacheIndex"}
    assert {each["object"]["kind"] for each in found if each["health"]["status"] == "Healthy"} == kinds
    assert {each["object"]["kind"] for each in found if each["health"]["status"] == "Degraded"} == kinds
    assert {each["health"]["status"] for each in found} == {"Healthy", "Degraded", "Progressing"}


@pytest.mark.parametrize("kind", ["RoutingPolicy", "TenantBudget", "SemanticCacheIndex"])
@pytest.mark.parametrize(
    "status", [None, {}, {"conditions": []}, {"conditions": [{"type": "Ready", "status": "True"}]}]
)
def test_of_what_nothing_is_known_yet_it_is_progressing(kind: str, status: dict[str, Any] | None) -> None:
    found: dict[str, Any] = {"apiVersion": "tollway.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}}
    found["metadata"]["generation"] = 1
    if status is not None:
        found["status"] = status
    assert argocd.health(found)["status"] == "Progressing"


@pytest.mark.parametrize("status", ["Healthy", "Degraded", "Progressing"])
def test_an_application_is_as_well_as_what_is_in_it(status: str) -> None:
    """Without which the waves of Applications would not wait for one another."""
    application = {**APPLICATIONS[0], "status": {"health": {"status": status}}}
    assert argocd.health(application)["status"] == status
    assert argocd.health(APPLICATIONS[0])["status"] == "Progressing"


def test_an_index_that_waits_for_its_redis_can_be_let_go() -> None:
    index = taken("index-going")["object"]
    assert argocd.actions(index) == ["abandon"]
    patched = argocd.acted(index, "abandon")
    assert patched["metadata"].pop("annotations")["tollway.dev/abandon"] == "true"
    index["metadata"].pop("annotations", None)
    assert patched == index, "and nothing else is changed"


@pytest.mark.parametrize(
    ("action", "annotation"), [("purge", "tollway.dev/purge-before"), ("rebuild", "tollway.dev/rebuild")]
)
def test_one_that_does_not_go_can_be_purged_and_rebuilt(action: str, annotation: str) -> None:
    index = taken("index-healthy")["object"]
    assert sorted(argocd.actions(index)) == ["purge", "rebuild"]
    time = argocd.acted(index, action)["metadata"]["annotations"][annotation]
    assert 0 <= datetime.now(UTC).timestamp() - datetime.fromisoformat(time).timestamp() < 60


def test_the_config_map_is_what_the_lua_says() -> None:
    for path, text in generate_argocd.generate().items():
        assert path.read_text(encoding="utf-8") == text


def test_applications_come_in_waves_and_say_what_is_there() -> None:
    root = yaml.safe_load((argocd.FOLDER / "tollway.yaml").read_text(encoding="utf-8"))
    assert (ROOT / root["spec"]["source"]["path"]).resolve() == argocd.FOLDER / "applications"
    waves = [int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for each in APPLICATIONS]
    assert waves == [-2, -1, 0]
    for each in APPLICATIONS:
        assert (ROOT / each["spec"]["source"]["path"]).is_dir()
        assert "ignoreDifferences" not in each["spec"], "there are none"
        assert "ServerSideApply=true" in each["spec"]["syncPolicy"]["syncOptions"]
    assert "finalizers" not in APPLICATIONS[0]["metadata"], "the kinds stay when their Application goes"


def test_the_charts_take_the_values_of_the_applications() -> None:
    for each in APPLICATIONS[:2]:
        source = each["spec"]["source"]
        values = yaml.safe_dump(source.get("helm", {}).get("valuesObject", {}))
        namespace = each["spec"]["destination"]["namespace"]
        chart = str(ROOT / source["path"])
        status, _, error = helm("template", "x", chart, "-n", namespace, "-f", "-", given=values)
        assert status == 0, error


def test_the_lua_reads_conditions_that_there_are() -> None:
    page = (ROOT / "docs" / "conditions.md").read_text(encoding="utf-8")
    lua = (argocd.FOLDER / "lua" / "health.lua").read_text(encoding="utf-8")
    (reasons,) = re.findall(r"mended_by_people = \{(.*?)\}", lua, flags=re.DOTALL)
    for name in re.findall(r'"([A-Z]\w+)"', lua[: lua.index("local function")]) + re.findall(
        r"\w+(?= =)", reasons
    ):
        assert f"| `{name}` |" in page
