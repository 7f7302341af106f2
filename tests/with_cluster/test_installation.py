"""What people have after `kubectl apply`: real pods, which answer, and a `kubectl` that tells so."""

import pytest

from tests.dataplanes import BETA_KEY
from tests.with_cluster.tollway import CALLERS, KINDS, NAMESPACE, OPERATOR, TEAM, Tollway


def test_a_question_is_answered_by_the_provider_and_then_from_memory(tollway: Tollway) -> None:
    live = tollway.ask("How do I reset my password?")
    assert (live["status"], live["x-tollway-source"]) == (200, "live")
    assert live["content"].startswith("[provider/gpt-4o-mini]")
    assert tollway.ask("How do I reset my password?")["x-tollway-source"] == "exact"
    near = tollway.ask("How can I reset my password?")
    assert near["x-tollway-source"] == "semantic"
    assert near["content"] == live["content"]
    assert tollway.ask("How do I reset my password?", key=BETA_KEY)["x-tollway-source"] == "live"
    assert tollway.ask("Who am I?", key="nobody")["status"] == 401


def test_kubectl_tells_the_story_in_one_screen(tollway: Tollway) -> None:
    shown = tollway.kubectl("get", "tollway", "-n", TEAM)
    for kind, name in KINDS.items():
        (line,) = [each for each in shown.splitlines() if f"{kind.lower()}.tollway.dev/{name}" in each]
        assert line.split()[1:3] == ["True", "True"], shown
        assert "condition met" in tollway.kubectl(
            "wait", "-n", TEAM, "--for=condition=Ready", f"{kind}/{name}", "--timeout=30s"
        )
    policy = tollway.kubectl.get("routingpolicy", "chat", TEAM)
    assert policy["status"]["dataPlane"]["acknowledged"] == 2
    assert tollway.revisions() == {policy["status"]["dataPlane"]["revision"]}


def test_pods_run_without_any_privilege(tollway: Tollway) -> None:
    """Their namespace would not have taken them otherwise, and this is what they find inside."""
    enforced = tollway.kubectl.get("namespace", NAMESPACE)["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"
    look = "import os; print(os.getuid(), os.access('/', os.W_OK), os.access('/opt/tollway/app', os.W_OK))"
    for deployment in ("tollway-operator", "tollway-dataplane"):
        shown = tollway.kubectl("exec", "-n", NAMESPACE, f"deploy/{deployment}", "--", "python", "-c", look)
        assert shown.split()[-3:] == ["65532", "False", "False"]
    answer = tollway.kubectl(
        "exec", "-n", NAMESPACE, "deploy/tollway-dataplane", "--", "touch", "/opt/tollway/x", check=False
    )
    assert "Read-only file system" in answer


@pytest.mark.parametrize(
    ("deployment", "has", "has_not"),
    [
        ("tollway-operator", "kopf", "litellm onnxruntime starlette tollway_dataplane tollway_cli"),
        ("tollway-dataplane", "litellm", "kopf tollway_operator tollway_cli"),
    ],
)
def test_an_image_carries_what_its_plane_imports_and_no_more(
    tollway: Tollway, deployment: str, has: str, has_not: str
) -> None:
    look = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])"
    shown = tollway.kubectl(
        "exec", "-n", NAMESPACE, f"deploy/{deployment}", "--", "python", "-c", look, has, *has_not.split()
    )
    assert shown.split("\n")[-2].split() == [has], shown


def test_nobody_but_the_operator_reaches_the_admin_port_with_effect(tollway: Tollway) -> None:
    post = (
        "import sys, httpx; print(httpx.post(sys.argv[1], json={'revision': 'x', 'digest': 'y'}).status_code)"
    )
    (pod, *_) = tollway.pods()
    for port, status in ((8081, "401"), (8080, "404")):
        url = f"http://{pod['status']['podIP']}:{port}/snapshot"
        shown = tollway.kubectl("exec", "-n", CALLERS, "deploy/caller", "--", "python", "-c", post, url)
        assert shown.split()[-1] == status


def test_operators_are_alive_and_one_leads(tollway: Tollway) -> None:
    pods = tollway.names(OPERATOR)
    assert len(pods) == 2
    assert tollway.kubectl.get("lease", "tollway-operator", NAMESPACE)["spec"]["holderIdentity"] in pods
