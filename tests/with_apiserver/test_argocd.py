"""What Argo CD, by its own code, makes of what the real operator and the real API server have made of our objects:
their health, and that nothing differs from what was written in Git.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import argocd
from tests.apiserver import ApiServer
from tests.charts import CHART, CHARTS, PRODUCTION, TRIAL, helm, objects
from tests.dataplanes import Setup
from tests.installation import Installation
from tests.kubectl import KUBECTL, Kubectl
from tests.pod_faults import Fault
from tests.processes import wait_for
from tools.cluster_tools import BuildError, find

try:
    find("argocd")
except BuildError as unbuilt:
    if os.environ.get("TOLLWAY_REQUIRE_CLUSTER_TOOLS"):
        raise
    pytest.skip(f"NO ARGO CD, so nothing here was tested: {unbuilt}", allow_module_level=True)

ROOT = Path(__file__).parents[2]
SERVER_SIDE = ("--server-side", f"--field-manager={argocd.MANAGER}", "--force-conflicts")
LIMIT = [{"name": "requests", "unit": "Requests", "amount": "1", "window": {"rolling": "1h"}}]
SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
ELSEWHERE = {
    "provider": "OpenAICompatible",
    "model": "text-embedding-3-small",
    "dimensions": 384,
    "endpoint": "http://127.0.0.1:9/v1",
    "credentialsRef": {"name": "nowhere"},
}
OURS = {"policy": ("RoutingPolicy", "chat"), "budget": ("TenantBudget", "acme")}
OURS["index"] = ("SemanticCacheIndex", "answers")


def until_health(installation: Installation, short: str, status: str, case: str) -> str:
    """The message. What it was is kept beside tests/deploy/test_argocd.py, where that is asked for."""
    kind, name = OURS[short]
    seen: dict[str, Any] = {}

    def met() -> bool:
        seen["object"] = installation.get(kind, name)
        seen["health"] = argocd.health(seen["object"])
        return bool(seen["health"]["status"] == status)

    wait_for(met, f"{kind} is {status}", 30)
    if os.environ.get("TOLLWAY_REWRITE_GOLDEN"):
        argocd.GOLDEN.mkdir(exist_ok=True)
        text = yaml.safe_dump(
            {"health": seen["health"], "object": seen["object"]}, sort_keys=False, width=120
        )
        (argocd.GOLDEN / f"{short}-{case}.yaml").write_text(text, encoding="utf-8")
    return str(seen["health"].get("message", ""))


async def test_health_from_the_first_moment_to_the_last(installation: Installation) -> None:
    fault = Fault()
    installation.apply(*SETUP.objects())
    for short in OURS:
        assert "has not looked" in until_health(installation, short, "Progressing", "new")
    with installation.operator():
        for short, named in OURS.items():
            installation.until(*named, "Programmed", "NoDataPlane")
            assert "no data-plane pod" in until_health(installation, short, "Progressing", "no-pods").lower()
        with installation.light_pod("dp-1", wrap=fault):
            for short in OURS:
                until_health(installation, short, "Healthy", "healthy")
            unknown = {"models": [{"name": "a", "model": "gpt-4o-mni"}]}
            missing = {"apiKeys": [{"secretRef": {"name": "nowhere"}}]}
            installation.apply(
                *SETUP.but(policy=unknown, acme=missing, index={"embedding": ELSEWHERE}).objects()
            )
            for short in OURS:
                until_health(installation, short, "Degraded", "degraded")
            installation.apply(*SETUP.objects())
            for short in OURS:
                until_health(installation, short, "Healthy", "healthy")
            fault.kind = "rejects"
            installation.apply(*SETUP.but(policy={"fallback": {"maxFallbacks": 1}}).objects())
            assert "no room" in until_health(installation, "policy", "Degraded", "rejected")
            fault.kind = ""
    # Nobody is there to look at what is edited or deleted now.
    installation.apply(*SETUP.but(policy={"fallback": {"maxFallbacks": 0}}, acme={"limits": LIMIT}).objects())
    for short in ("policy", "budget"):
        assert "has not looked" in until_health(installation, short, "Progressing", "edited")
    installation.delete("SemanticCacheIndex", "answers")
    assert until_health(installation, "index", "Progressing", "going") == "Pending deletion"


async def test_a_budget_that_is_used_up_is_healthy_and_says_so(installation: Installation) -> None:
    """Else a team could not roll anything out before the month is over."""
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*SETUP.but(acme={"limits": [{**LIMIT[0], "amount": "0"}]}).objects())
        installation.until("TenantBudget", "acme", "Programmed", "Programmed")
        wait_for(
            lambda: installation.condition("TenantBudget", "acme", "WithinBudget")["status"] == "False",
            "it is spent",
        )
        assert "used up" in until_health(installation, "budget", "Healthy", "used-up")


def differing(kubectl: Kubectl, wanted: list[dict[str, Any]]) -> Iterator[str]:
    """What Argo CD or kubectl would show as out of sync, by the diff of either side of the wire."""
    given = yaml.safe_dump_all(wanted)
    lives = listed(kubectl("get", "-o", "json", "-f", "-", given=given))
    dry = ("--dry-run=server", "-o", "json", "-f", "-")
    predictions = listed(kubectl("apply", *SERVER_SIDE, *dry, given=given))
    for each, live, predicted in zip(wanted, lives, predictions, strict=True):
        kind, name = each["kind"], each["metadata"]["name"]
        assert {(kind, name)} == {(same["kind"], same["metadata"]["name"]) for same in (live, predicted)}
        if found := argocd.difference(each, live, json.dumps(predicted)):
            yield f"Argo CD, server-side: {kind} {name}: {found}"
        if found := argocd.difference(each, live):
            yield f"Argo CD, client-side: {kind} {name}: {found}"
    for side in (SERVER_SIDE, ()):
        yield from kubectl("diff", *side, "-f", "-", given=given, check=False).splitlines()


def listed(text: str) -> list[dict[str, Any]]:
    """What kubectl prints as JSON, in the order in which it was told."""
    found = json.loads(text)
    return list(found["items"]) if found["kind"] == "List" else [found]


def applied(kubectl: Kubectl, wanted: list[dict[str, Any]]) -> None:
    """By both ways of applying, as where one has taken over from the other."""
    given = yaml.safe_dump_all(wanted)
    kubectl("apply", "-f", "-", given=given)
    kubectl("apply", *SERVER_SIDE, "-f", "-", given=given)


@pytest.fixture
def controllers(cluster: ApiServer) -> Iterator[None]:
    """Those that write into what the chart makes."""
    program, named = str(find("apiserver")["kube-controller-manager"]), "workload-controllers"
    wanted = "deployment-controller,replicaset-controller,disruption-controller,horizontal-pod-autoscaler-controller"
    own = (f"--kubeconfig={cluster.kubeconfig(named)}", "--leader-elect=false", "--secure-port=0")
    cluster.start(named, program, *own, f"--controllers={wanted}")
    yield
    cluster.stop(named)


@pytest.mark.usefixtures("controllers")
@pytest.mark.long
@pytest.mark.parametrize("options", [PRODUCTION, TRIAL], ids=["production", "trial"])
def test_nothing_of_the_chart_differs_after_controllers_have_had_their_say(
    installation: Installation, options: tuple[str, ...]
) -> None:
    kubectl = installation.kubectl
    namespace = "tollway-trial" if options == TRIAL else "tollway-production"
    status, text, error = helm("template", "tollway", str(CHART), "-n", namespace, "--no-hooks", *options)
    assert status == 0, error
    wanted = objects(text)
    scaled = any(each["kind"] == "HorizontalPodAutoscaler" for each in wanted)

    def dataplane() -> dict[str, Any]:
        return kubectl.get("deployment", "tollway-dataplane", namespace)

    kubectl("create", "namespace", namespace)
    try:
        applied(kubectl, wanted)
        if scaled:
            # As the autoscaler does, which has no metrics to go by here.
            kubectl("scale", "deployment/tollway-dataplane", "--replicas=5", "-n", namespace)
        wait_for(
            lambda: dataplane().get("status", {}).get("replicas", 0) >= (5 if scaled else 1),
            "there are pods",
            60,
        )
        assert list(differing(kubectl, wanted)) == []
        if scaled:
            applied(kubectl, wanted)
            assert dataplane()["spec"]["replicas"] == 5, "nor does a sync take it back"
        # And a difference is seen.
        kubectl("set", "image", "deployment/tollway-operator", "operator=other", "-n", namespace)
        seen = "\n".join(differing(kubectl, wanted))
        assert "Argo CD, server-side: Deployment tollway-operator" in seen
        assert "Argo CD, client-side: Deployment tollway-operator" in seen
        assert '"image": "other"' in seen
    finally:
        kubectl("delete", "-f", "-", "--ignore-not-found", "--wait=false", given=text)
        kubectl("delete", "namespace", namespace, "--wait=false")


def test_nothing_of_the_kinds_differs(installation: Installation) -> None:
    _, text, _ = helm("template", "kinds", str(CHARTS / "tollway-crds"), "-n", "tollway-system")
    kubectl, wanted = installation.kubectl, objects(text)
    kubectl("apply", *SERVER_SIDE, "-f", "-", given=text)
    assert list(differing(kubectl, wanted)) == []


def team_objects() -> dict[str, list[dict[str, Any]]]:
    examples = "---\n".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.yaml"))
    )
    found = {"default": objects(re.sub(r"\$\{\w+:-(.*?)\}", r"\1", examples))}
    for environment, namespace in (("production", "team-a"), ("staging", "team-a-staging")):
        overlay = ROOT / "deploy" / "kustomize" / "overlays" / environment
        rendered = subprocess.run(  # noqa: S603 - our own tool
            [str(KUBECTL), "kustomize", str(overlay)], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        found[namespace] = objects(rendered)
    for each in found["default"]:
        each["metadata"]["namespace"] = "default"
    return found


@pytest.mark.long
def test_nothing_of_the_examples_differs_when_the_operator_has_had_its_say_and_it_writes_statuses_alone(
    installation: Installation,
) -> None:
    kubectl, teams = installation.kubectl, team_objects()
    for namespace in ("team-a", "team-a-staging"):
        kubectl("create", "namespace", namespace)
        for name in ("provider", "assistant-key"):
            literal = f"--from-literal=api-key={namespace}-{name}"
            kubectl("create", "secret", "generic", name, "-n", namespace, literal)
    wanted = [each for team in teams.values() for each in team]
    ours = [each for each in wanted if each["kind"] != "Secret"]
    try:
        applied(kubectl, wanted)
        before = [without_status(standing(kubectl, each)) for each in ours]
        with installation.light_pod("dp-1"), installation.operator():
            for each in ours:
                place = each["metadata"]
                installation.until(each["kind"], place["name"], "Ready", "Ready", place["namespace"])
            purged = argocd.acted(installation.get("SemanticCacheIndex", "answers"), "purge")
            kubectl("replace", "-f", "-", given=yaml.safe_dump(purged))
            assert list(differing(kubectl, wanted)) == []
            kubectl("annotate", "sci", "answers", "-n", "default", "tollway.dev/purge-before-")
            assert [without_status(standing(kubectl, each)) for each in ours] == before
        # Of what is being rebuilt the status goes on changing, so that is asked where no operator says it.
        rebuilt = argocd.acted(installation.get("SemanticCacheIndex", "answers"), "rebuild")
        kubectl("replace", "-f", "-", given=yaml.safe_dump(rebuilt))
        assert list(differing(kubectl, wanted)) == []
    finally:
        installation.clear()
        kubectl("delete", "namespace", "team-a", "team-a-staging", "--wait=false")
        kubectl(
            "delete", "secret", "provider", "acme-key", "trial-key", "-n", "default", "--ignore-not-found"
        )


def standing(kubectl: Kubectl, wanted: dict[str, Any]) -> dict[str, Any]:
    place = wanted["metadata"]
    return kubectl.get(wanted["kind"], place["name"], place.get("namespace", "default"))


def without_status(found: dict[str, Any]) -> dict[str, Any]:
    """What Argo CD would refresh an Application for: all but the status, the version, and the operator's finalizer,
    which it writes once.
    """
    own = {"resourceVersion", "managedFields", "finalizers"}
    metadata = {key: value for key, value in found["metadata"].items() if key not in own}
    return {**found, "metadata": metadata, "status": None}
