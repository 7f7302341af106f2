"""The real API server takes what the charts render: every field is known, pods are as restricted as can be, and nothing
is changed on the way in that Argo CD would take for a drift.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.apiserver import ApiServer
from tests.charts import CHART, CHARTS, PROMISED, TRIAL, helm, objects, promised, rendered
from tests.kubectl import Kubectl

GOLDEN = Path(__file__).parents[1] / "golden" / "charts"
SETS = {
    **{
        path.name.removesuffix(".values.yaml"): ("--values", str(path))
        for path in sorted(GOLDEN.glob("*.values.yaml"))
    },
    "trial": TRIAL,
}
APPLY = ("apply", "--server-side", "--validate=strict", "--warnings-as-errors", "-f", "-")
NOT_INSTALLED = {"PodMonitor", "PrometheusRule"}


@pytest.fixture(scope="module")
def restricted(cluster: ApiServer, admin: httpx.Client) -> Iterator[Kubectl]:
    """The namespaces warn of what they would refuse, so that a Deployment is judged by its pods."""
    kubectl = Kubectl(cluster.kubeconfig())
    kubectl(
        "label", "namespace", "tollway-system", "pod-security.kubernetes.io/warn=restricted", "--overwrite"
    )
    for team in ("team-a", "team-b"):
        kubectl("create", "namespace", team)
    yield kubectl
    kubectl("label", "namespace", "tollway-system", "pod-security.kubernetes.io/warn-")
    kubectl("delete", "namespace", "team-a", "team-b")


@pytest.mark.parametrize("name", SETS)
def test_every_field_is_known_and_none_is_changed_and_pods_are_restricted(
    restricted: Kubectl, name: str
) -> None:
    wanted = [each for each in objects(rendered(*SETS[name])) if each["kind"] not in NOT_INSTALLED]
    said = restricted(*APPLY, "--dry-run=server", "--output=yaml", given=yaml.safe_dump_all(wanted))
    taken = yaml.safe_load(said)["items"]
    assert len(taken) == len(wanted)
    for ours, theirs in zip(wanted, taken, strict=True):
        assert list(changed(ours, theirs, ours["kind"])) == []


def changed(ours: Any, theirs: Any, path: str) -> Iterator[str]:
    """Where what we say is not what stands; what we do not say is the API server's to say."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            # A Secret's texts are written as data.
            if key != "stringData":
                yield from changed(value, theirs.get(key), f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (value, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from changed(value, other, f"{path}[{number}]")
    elif ours != theirs:
        yield f"{path}: {ours!r}, and stands as {theirs!r}"


def test_pods_that_are_not_restricted_would_have_been_seen(restricted: Kubectl) -> None:
    (deployment,) = [
        each
        for each in objects(rendered(*TRIAL))
        if each["metadata"]["name"] == "tollway-cache" and each["kind"] == "Deployment"
    ]
    del deployment["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
    said = restricted(*APPLY, "--dry-run=server", given=yaml.safe_dump(deployment), check=False)
    assert "would violate PodSecurity" in said
    assert "1 warning received" in said


def test_budgets_are_written_by_those_who_may(restricted: Kubectl) -> None:
    values = ("--values", str(GOLDEN / "listed-namespaces.values.yaml"))
    policy = [each for each in objects(rendered(*values)) if each["kind"].startswith("Validating")]
    budget: dict[str, Any] = {
        "apiVersion": "tollway.dev/v1alpha1",
        "kind": "TenantBudget",
        "metadata": {"name": "acme", "namespace": "team-a"},
        "spec": {"apiKeys": [{"secretRef": {"name": "acme"}}]},
    }
    somebody = ("--as=somebody", "--as-group=system:masters")
    apply = ("apply", "--dry-run=server", "-f", "-")
    restricted("apply", "-f", "-", given=yaml.safe_dump_all(policy))
    try:
        refused = ""
        for _ in range(100):
            refused = restricted(*apply, *somebody, given=yaml.safe_dump(budget), check=False)
            if "forbidden" in refused.lower():
                break
        assert "TenantBudgets are written by finance alone." in refused
        assert "created" in restricted(*apply, *somebody, "--as-group=finance", given=yaml.safe_dump(budget))
        budget["metadata"] |= {"namespace": "default"}
        assert "created" in restricted(*apply, *somebody, given=yaml.safe_dump(budget)), "it is not listed"
    finally:
        restricted("delete", "-f", "-", given=yaml.safe_dump_all(policy))


def test_a_release_is_installed_and_changed_and_rolled_back_and_taken_out(
    cluster: ApiServer, admin: httpx.Client, tmp_path: Path
) -> None:
    """From the chart that was released last; all but the pods, for which there is no node here."""
    kubectl = Kubectl(cluster.kubeconfig())
    home = {"HOME": str(tmp_path), "KUBECONFIG": str(cluster.kubeconfig())}

    def run(*arguments: str) -> str:
        status, said, error = helm(*arguments, "--namespace", "tollway-charts", environ=home)
        assert status == 0, error
        return said

    def autoscaled() -> bool:
        return bool(kubectl.get("hpa", "tollway-dataplane", "tollway-charts"))

    run("install", "kinds", str(CHARTS / "tollway-crds"), "--create-namespace", "--take-ownership")
    trial = ("--values", str(PROMISED / "values" / "trial.values.yaml"))
    notes = run("install", "tollway", str(promised("tollway")), *trial).partition("NOTES:")[2]
    assert "kubectl rollout status -n tollway-charts deployment/tollway-operator" in notes
    assert "A TRIAL" in notes
    kept = "--reset-then-reuse-values"
    notes = run("upgrade", "tollway", str(CHART), kept, "--set", "dataplane.autoscaling.enabled=true")
    assert "A TRIAL" in notes, "as it was said before"
    assert autoscaled()
    run("rollback", "tollway", "1")
    assert not autoscaled()
    run("uninstall", "tollway")
    run("uninstall", "kinds")
    everything = "all,secrets,serviceaccounts,roles,rolebindings,hpa,pdb,networkpolicies"
    left = kubectl("get", everything, "-n", "tollway-charts", "-o", "name").split()
    assert left == ["serviceaccount/default"]
    named = kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
    assert "tollway-charts" not in named
    assert admin.get("/apis/tollway.dev/v1alpha1/tenantbudgets").is_success, "the kinds are kept"
    kubectl("delete", "namespace", "tollway-charts", "--wait=false")
