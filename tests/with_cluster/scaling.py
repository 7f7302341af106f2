"""What makes an autoscaler act, and what it goes by: callers by k6, and a real Prometheus whose figures a real
prometheus-adapter serves to it.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.dataplanes import ACME_KEY
from tests.processes import wait_for
from tests.with_cluster.tollway import CALLERS, URL, Tollway, pod_spec
from tools.node.images import ROOT, image_name

_RULES = ROOT / "deploy" / "autoscaling" / "prometheus-adapter.yaml"
_MANIFESTS = Path(__file__).with_name("custom-metrics.yaml")
MONITORING = "monitoring"  # the namespace that may read metrics, by the chart's network policies
API = "v1beta1.custom.metrics.k8s.io"
_SCRIPT = Path(__file__).with_name("load.js")


@contextlib.contextmanager
def k6(tollway: Tollway, crowd: str, *, crowd_seconds: int, seconds: int) -> Iterator[None]:
    """Callers for so long, in a pod; there is a crowd of them in the beginning."""
    given = {
        "URL": URL, "KEY": ACME_KEY, "CROWD": crowd,
        "SECONDS": str(seconds), "CROWD_SECONDS": str(crowd_seconds), "K6_NO_USAGE_REPORT": "true",
    }  # fmt: skip
    container = {
        "image": image_name("instruments"),
        "command": ["/k6", "run", "--quiet", "--no-color", "/scripts/load.js"],
        "env": [{"name": name, "value": value} for name, value in given.items()],
        "volumeMounts": [{"name": "scripts", "mountPath": "/scripts"}],
    }
    volumes = [{"name": "scripts", "configMap": {"name": "k6"}}]
    spec = {**pod_spec("k6", container, volumes), "restartPolicy": "Never"}
    text = {"load.js": _SCRIPT.read_text(encoding="utf-8")}
    tollway.kubectl.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "k6"}, "data": text},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "k6"}, "spec": spec},
        namespace=CALLERS,
    )
    try:
        yield
    finally:
        tollway.kubectl("delete", "pod/k6", "configmap/k6", "-n", CALLERS, "--grace-period=1")


def report_of_k6(tollway: Tollway, seconds: float) -> dict[str, Any]:
    """Waits until it has ended. What failed is in its log."""

    def phase() -> str:
        return str(tollway.kubectl.get("pod", "k6", CALLERS)["status"]["phase"])

    wait_for(lambda: phase() in {"Succeeded", "Failed"}, "k6 has ended", seconds)
    log = tollway.kubectl("logs", "-n", CALLERS, "k6")
    assert phase() == "Succeeded", log
    return {**json.loads(next(line for line in log.splitlines() if line.startswith("{"))), "log": log}


@contextlib.contextmanager
def custom_metrics(tollway: Tollway) -> Iterator[None]:
    """Prometheus scrapes data planes, and the adapter serves what our example says it should. Both are gone afterwards,
    and whatever else is in their namespace.
    """
    kubectl = tollway.kubectl
    rules = yaml.safe_load(_RULES.read_text(encoding="utf-8"))["rules"]["custom"]
    rules_file = {"config.yaml": yaml.safe_dump({"rules": rules})}
    try:
        kubectl("apply", "-f", str(_MANIFESTS))
        kubectl.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "adapter"}, "data": rules_file},
            namespace=MONITORING,
        )
        kubectl("wait", "-n", MONITORING, "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        yield
    finally:
        kubectl("delete", "-f", str(_MANIFESTS), "--ignore-not-found", "--timeout=60s", check=False)
