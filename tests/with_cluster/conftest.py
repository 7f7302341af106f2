"""Tollway as people install it, once for the folder: the charts of deploy/helm, with real pods, beside a simulated
provider and a pod that calls. The cluster is that of TOLLWAY_E2E_KUBECONFIG, which must have the images.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.with_cluster.tollway import Tollway, installed, uninstall


@pytest.fixture(scope="session")
def tollway() -> Iterator[Tollway]:
    """Skipped, loudly, without a cluster."""
    kubeconfig = os.environ.get("TOLLWAY_E2E_KUBECONFIG")
    if not kubeconfig:
        pytest.skip("NO CLUSTER, so nothing here was tested: run make e2e, or set TOLLWAY_E2E_KUBECONFIG")
    tollway = Tollway(Path(kubeconfig))
    try:
        yield installed(tollway)
    finally:
        uninstall(tollway)
