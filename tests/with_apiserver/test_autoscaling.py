"""What other autoscalers are told of data planes, the real API server takes as it stands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.apiserver import ApiServer
from tests.kubectl import Kubectl

EXAMPLE = Path(__file__).parents[2] / "deploy" / "autoscaling" / "keda.yaml"
KIND = Path(__file__).parents[1] / "golden" / "keda" / "scaledobjects.yaml"


@pytest.fixture
def keda(cluster: ApiServer) -> Iterator[Kubectl]:
    """Its kind alone, not its operator."""
    kubectl = Kubectl(cluster.kubeconfig())
    kubectl("apply", "--server-side", "-f", str(KIND))
    kubectl("wait", "--for=condition=Established", "-f", str(KIND), "--timeout=30s")
    yield kubectl
    kubectl("delete", "-f", str(KIND))


def test_kedas_example_says_nothing_that_keda_does_not_know(keda: Kubectl) -> None:
    apply = ("apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-")
    text = EXAMPLE.read_text(encoding="utf-8")
    assert "serverside-applied" in keda(*apply, given=text)
    wrong = yaml.safe_load(text)
    wrong["spec"]["maxReplicas"] = wrong["spec"].pop("maxReplicaCount")
    assert ".spec.maxReplicas: field not declared in schema" in keda(
        *apply, given=yaml.safe_dump(wrong), check=False
    )
