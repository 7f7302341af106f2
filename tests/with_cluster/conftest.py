"""Tollway as people install it, once for the folder: the charts that were released last, upgraded to those of
deploy/helm, with real pods, beside a simulated provider and a pod that calls. The cluster is that of
TOLLWAY_E2E_KUBECONFIG, which must have the images.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.with_cluster.tollway import CALLERS, Tollway, Upgrade, installed, provide, uninstall, upgraded


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that want a cluster without Tollway come before those that have it installed."""
    items.sort(key=lambda item: "tollway" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def provided() -> Iterator[Tollway]:
    """A cluster with a provider, and nothing of ours yet. Skipped, loudly, without a cluster."""
    kubeconfig = os.environ.get("TOLLWAY_E2E_KUBECONFIG")
    if not kubeconfig:
        pytest.skip("NO CLUSTER, so nothing here was tested: run make e2e, or set TOLLWAY_E2E_KUBECONFIG")
    cluster = Tollway(Path(kubeconfig))
    try:
        provide(cluster)
        yield cluster
    finally:
        cluster.kubectl("delete", "namespace", CALLERS, "--ignore-not-found", "--timeout=100s", check=False)


@pytest.fixture(scope="session")
def upgrade(provided: Tollway) -> Iterator[Upgrade]:
    """What all of this runs on: an installation of an earlier release's, upgraded to this one."""
    try:
        installed(provided)
        yield upgraded(provided)
    finally:
        uninstall(provided)


@pytest.fixture(scope="session")
def tollway(provided: Tollway, upgrade: Upgrade) -> Tollway:
    """By then it is there."""
    return provided
