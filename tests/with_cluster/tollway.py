"""An installation in a cluster, and what tests do with it. Everything that is asked of it is asked with kubectl and, by
the official client, from a pod inside.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.charts import CHART, CHARTS, PROMISED, TRIAL, helm, promised
from tests.dataplanes import ACME_KEY, Setup, secret
from tests.kubectl import Kubectl
from tests.processes import wait_for
from tests.with_cluster.caller import BEGAN
from tools.node.images import VALUES, image_name

NAMESPACE = "tollway-system"
CALLERS = "tollway-e2e"  # where the provider and the callers are
TEAM = "team-a"  # where a team writes its objects
DATAPLANE = "app.kubernetes.io/component=dataplane"
OPERATOR = "app.kubernetes.io/component=operator"
URL = f"http://tollway.{NAMESPACE}"
SETUP = Setup(f"http://provider.{CALLERS}:9101/v1", f"http://slow.{CALLERS}:9101/v1")
KINDS = {"RoutingPolicy": "chat", "TenantBudget": "acme", "SemanticCacheIndex": "answers"}
# As for a trial, but two of each plane, and a pod that goes sleeps no longer than one node needs to hear of it.
_BESIDE = (
    "--values", str(VALUES), "--set", "operator.replicas=2,dataplane.preStopSeconds=4",
    "--set", "test.apiKeySecret=test-key", "--set", f"allowEndpoints={{provider.{CALLERS},slow.{CALLERS}}}",
)  # fmt: skip
OPTIONS = (*TRIAL, *_BESIDE)
# What the chart that was released last is installed with, and what is said otherwise when it is upgraded, so that there
# are other pods of both planes, as there are with other images. Together they say what OPTIONS does.
_EARLIER = (
    "--values", str(PROMISED / "values" / "trial.values.yaml"), *_BESIDE,
    "--set", "dataplane.drainSeconds=61,operator.extraEnv[0].name=EARLIER,operator.extraEnv[0].value=x",
)  # fmt: skip
_LATER = ("--set", "dataplane.drainSeconds=60", "--set-json", "operator.extraEnv=[]")
_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True)
class Tollway:
    kubeconfig: Path

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.kubeconfig)

    def helm(self, *arguments: str) -> str:
        """In our namespace, as a person who waits until it is done: what it prints, and what a hook does."""
        environ = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent)}
        status, said, error = helm(*arguments, "--namespace", NAMESPACE, "--timeout=200s", environ=environ)
        assert status == 0, error + said
        return said + error

    def apply(self, setup: Setup) -> None:
        self.kubectl.apply(*setup.objects(), namespace=TEAM)

    def until_ready(self) -> None:
        for kind, name in KINDS.items():
            self.kubectl.until(kind, name, "Ready", "Ready", TEAM)

    def ask(self, prompt: str, *, model: str = "auto", key: str = ACME_KEY, url: str = URL) -> dict[str, Any]:
        reply = self.kubectl(*_IN_CALLER, "ask", url, key, model, prompt)
        return dict(json.loads(reply.splitlines()[-1]))

    def calling(self, *arguments: str) -> "AbstractContextManager[subprocess.Popen[str]]":
        """A caller that goes on meanwhile, until its standard input ends."""
        verb, *options = _IN_CALLER
        return self.kubectl.open(verb, "-i", *options, *arguments)

    def pods(self, selector: str = DATAPLANE, *, leaving: bool = False) -> list[dict[str, Any]]:
        """With those that are on their way out, or without."""
        found = self.kubectl.list("pods", NAMESPACE, selector)
        return [pod for pod in found if leaving or "deletionTimestamp" not in pod["metadata"]]

    def lives(self) -> dict[str, int]:
        """Of every data plane that stays, how often its process was started again."""
        return {
            pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
            for pod in self.pods()
        }

    def names(self, selector: str = DATAPLANE, *, leaving: bool = False) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.pods(selector, leaving=leaving)}

    def admin(self, pod: Mapping[str, Any], path: str) -> str:
        """What a data plane's admin port says."""
        fetch = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
        url = f"http://{pod['status']['podIP']}:8081{path}"
        return self.kubectl("exec", "-n", CALLERS, "deploy/caller", "--", "python", "-c", fetch, url)

    def revisions(self) -> set[str]:
        """What the ready pods say they run."""
        return {json.loads(self.admin(pod, "/readyz"))["revision"] for pod in self.pods()}

    def scale(self, deployment: str, replicas: int) -> None:
        self.kubectl("scale", "-n", NAMESPACE, f"deployment/{deployment}", f"--replicas={replicas}")
        selector = f"app.kubernetes.io/component={deployment.removeprefix('tollway-')}"
        if replicas:
            self.rolled_out(deployment)
        wait_for(lambda: len(self.pods(selector)) == replicas, f"{replicas} of {deployment}", 60)

    def rolled_out(self, deployment: str, namespace: str = NAMESPACE) -> None:
        self.kubectl(
            "rollout", "status", "-n", namespace, f"deployment/{deployment}", "--timeout=150s", seconds=160
        )


_IN_CALLER = ("exec", "-n", CALLERS, "deploy/caller", "--", "python", "/scripts/caller.py")


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": _RESTRICTED}}


def provide(tollway: Tollway) -> None:
    """What is there before Tollway: a provider that answers at once, and one that takes its time."""
    tollway.kubectl.apply(_namespace(CALLERS))
    # Seven tokens in five seconds: a whole answer is a stream of half a minute to a whole one.
    objects = (*_provider("provider"), *_provider("slow", "--tokens-per-second=1.4"))
    tollway.kubectl.apply(*objects, namespace=CALLERS)
    for name in ("provider", "slow"):
        tollway.rolled_out(name, CALLERS)


def installed(tollway: Tollway) -> None:
    """The charts that were released last."""
    kubectl = tollway.kubectl
    kubectl.apply(_namespace(TEAM), _namespace(NAMESPACE))
    kubectl.apply(secret("test-key", ACME_KEY), namespace=NAMESPACE)
    tollway.helm("install", "tollway-crds", str(promised("tollway-crds")))
    # Nobody has said yet what happens to requests, and it is ready all the same.
    tollway.helm("install", "tollway", str(promised("tollway")), *_EARLIER, "--wait")
    tollway.scale("tollway-dataplane", 2)  # which no upgrade takes back
    kubectl.apply(*_caller(), namespace=CALLERS)
    tollway.rolled_out("caller", CALLERS)
    tollway.apply(SETUP)
    tollway.until_ready()


@dataclass(frozen=True)
class Upgrade:
    """What was seen of one, by callers that went on meanwhile, and of an answer that was remembered before."""

    report: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def upgraded(tollway: Tollway) -> Upgrade:
    """To the charts of today, as docs/install.md says."""
    question = "Which of the charts was there before the other?"
    before = tollway.ask(question)
    pods = tollway.names() | tollway.names(OPERATOR)
    with tollway.calling("load", URL, ACME_KEY) as load:
        said = lines(load, 400)
        assert next(said) == BEGAN
        tollway.helm("upgrade", "tollway-crds", str(CHARTS / "tollway-crds"))
        tollway.helm("upgrade", "tollway", str(CHART), "--reset-then-reuse-values", *_LATER, "--wait")
        wait_for(
            lambda: pods.isdisjoint(tollway.names(leaving=True) | tollway.names(OPERATOR)),
            "the old pods are gone",
            90,
        )
        report = report_of(load, said)
    tollway.until_ready()
    return Upgrade(report, before, tollway.ask(question))


def uninstall(tollway: Tollway) -> None:
    """Objects before their operator, which has a finalizer to take off. Of the charts nothing is left but the kinds."""
    kubectl = tollway.kubectl
    try:
        kubectl("delete", "namespace", TEAM, "--ignore-not-found", "--timeout=100s", check=False)
        tollway.helm("uninstall", "tollway", "--wait", "--cascade=foreground")
        tollway.helm("uninstall", "tollway-crds")
        kubectl("delete", "secret", "test-key", "-n", NAMESPACE)
        kinds = "all,secrets,leases,serviceaccounts,roles,rolebindings,hpa,pdb,networkpolicies"
        # What the operator has written Kubernetes deletes with its owner, a moment after Helm has done with that.
        wait_for(
            lambda: (
                kubectl("get", kinds, "-n", NAMESPACE, "-o", "name").split() == ["serviceaccount/default"]
            ),
            "nothing is left",
            60,
        )
        assert NAMESPACE not in kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
        assert "No resources found" in kubectl("get", "tollway", "-A"), "the kinds are kept"
    finally:
        clear(tollway)


def clear(tollway: Tollway) -> None:
    """Whatever there is of an installation."""
    kubectl = tollway.kubectl
    # A namespace is looked at again only after half of what its pods may take, so they go first.
    kubectl("delete", "pod", "--all", "-n", NAMESPACE, "--grace-period=1", check=False)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=110s", check=False)
    kubectl("delete", "crd", "-l", "app.kubernetes.io/part-of=tollway", "--timeout=60s", check=False)


def _provider(name: str, *options: str) -> list[dict[str, Any]]:
    arguments = ["simulate", "--listen=0.0.0.0:9101", f"--name={name}", *options]
    container = {"args": arguments, "ports": [{"name": "http", "containerPort": 9101}]}
    container["readinessProbe"] = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1}
    service = {"selector": {"app": name}, "ports": [{"port": 9101}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
        _deployment(name, container, []),
    ]


def _caller() -> list[dict[str, Any]]:
    script = Path(__file__).with_name("caller.py").read_text(encoding="utf-8")
    container = {
        "command": ["sleep", "infinity"],
        "volumeMounts": [{"name": "scripts", "mountPath": "/scripts"}],
    }
    volumes = [{"name": "scripts", "configMap": {"name": "caller"}}]
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "caller"},
            "data": {"caller.py": script},
        },
        _deployment("caller", container, volumes),
    ]


def pod_spec(name: str, container: Mapping[str, Any], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """Of our image with everything, without any privilege; what the container says otherwise, it says."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    image = {"image": image_name("cli"), "imagePullPolicy": "IfNotPresent"}
    return {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": name, **image, "securityContext": security, **container}],
        "volumes": volumes,
    }


def _deployment(name: str, container: Mapping[str, Any], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec(name, container, volumes)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }


def report_of(load: "subprocess.Popen[str]", said: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Ends the load, which has gone on until now."""
    assert load.stdin is not None
    load.stdin.close()
    return next(said)


def lines(process: "subprocess.Popen[str]", seconds: float = 120) -> Iterator[dict[str, Any]]:
    """What a caller prints, until it ends."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    for line in process.stdout:
        assert time.monotonic() < deadline, line
        if line.startswith("{"):
            yield dict(json.loads(line))
