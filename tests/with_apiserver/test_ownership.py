"""What the operator writes goes with the chart that it was written for: Kubernetes' own garbage collector deletes it
with the ServiceAccount that owns it, and nothing is written after that.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.apiserver import ApiServer
from tests.dataplanes import Setup
from tests.installation import NAMESPACE, Installation, Operator
from tests.processes import wait_for
from tools.cluster_tools import find

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
OWNER = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/tollway-dataplane"
WRITTEN = {
    name: f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"
    for name in ("tollway-admin-token", "tollway-snapshot")
}
WRITTEN["tollway-operator"] = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/tollway-operator"
REFUSED = "read ServiceAccount"  # as it says that its owner is gone
COLLECTOR = "garbage-collector"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def collector(cluster: ApiServer) -> Iterator[None]:
    """Has caches of all that there is, which nobody else here needs."""
    cluster.start(
        COLLECTOR,
        str(find("apiserver")["kube-controller-manager"]),
        f"--kubeconfig={cluster.kubeconfig('collector')}",
        "--leader-elect=false",
        "--secure-port=0",
        "--controllers=garbage-collector-controller",
    )
    yield
    cluster.stop(COLLECTOR)


def standing(installation: Installation) -> dict[str, dict[str, Any]]:
    """What the operator has written, by name."""
    found = {name: installation.admin.get(url) for name, url in WRITTEN.items()}
    return {name: reply.json()["metadata"] for name, reply in found.items() if reply.is_success}


def owners(installation: Installation) -> dict[str, list[str]]:
    """Uids of those of each."""
    return {
        name: [each["uid"] for each in metadata.get("ownerReferences", [])]
        for name, metadata in standing(installation).items()
    }


def owner_uid(installation: Installation) -> str:
    return str(installation.admin.get(OWNER).raise_for_status().json()["metadata"]["uid"])


def part_with_the_owner(installation: Installation) -> None:
    assert installation.admin.delete(OWNER).is_success


def has_ended(operator: Operator) -> bool:
    return operator.process.process.poll() is not None


def all_owned(installation: Installation, by: Sequence[str] | None = None) -> bool:
    """By the account that there is, unless it is said by whom."""
    wanted = [owner_uid(installation)] if by is None else list(by)
    found = owners(installation)
    return found.keys() == WRITTEN.keys() and all(each == wanted for each in found.values())


@pytest.mark.usefixtures("collector")
def test_all_that_was_written_goes_with_its_owner_and_nothing_is_written_until_there_is_one_again(
    installation: Installation,
) -> None:
    """Also while operators still run: one that leads, and one that waits."""
    with (
        installation.light_pod("dp-1"),
        installation.operator("op-1") as leader,
        installation.operator("op-2") as waiting,
    ):
        installation.apply(*SETUP.objects())
        installation.until_ready()
        assert all_owned(installation)
        try:
            part_with_the_owner(installation)
            wait_for(lambda: standing(installation) == {}, "all is gone", PATIENCE_S)
            installation.apply(SETUP.but(policy={"priority": 7}).objects()[1])
            wait_for(
                lambda: waiting.logged(REFUSED) and (leader.logged(REFUSED) or has_ended(leader)),
                "they would have written",
                PATIENCE_S,
            )
            assert standing(installation) == {}
        finally:
            installation.prepare()


@pytest.mark.usefixtures("collector")
def test_an_owner_that_is_made_anew_owns_all_that_is_written_again(installation: Installation) -> None:
    """By the only operator there is, which goes on."""
    with installation.light_pod("dp-1"), installation.operator("op-1"):
        installation.apply(*SETUP.objects())
        installation.until_ready()
        before = owner_uid(installation)
        part_with_the_owner(installation)
        installation.prepare()
        assert owner_uid(installation) != before
        wait_for(lambda: all_owned(installation), "all has the new owner", 2 * PATIENCE_S)
        installation.apply(SETUP.but(policy={"priority": 7}).objects()[1])
        installation.until_ready()


@pytest.mark.usefixtures("collector")
def test_where_no_chart_is_it_is_written_without_an_owner_and_gets_one_once_there_is_one(
    installation: Installation,
) -> None:
    part_with_the_owner(installation)
    try:
        with installation.operator("op-1"):
            installation.apply(*SETUP.objects())
            installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")
            wait_for(lambda: all_owned(installation, by=[]), "all is written", PATIENCE_S)
    finally:
        installation.prepare()
    written = {name: metadata["uid"] for name, metadata in standing(installation).items()}
    installation.expire_lease()
    with installation.operator("op-2"), installation.light_pod("dp-1"):
        wait_for(lambda: all_owned(installation), "all have an owner", PATIENCE_S)
        installation.until_ready()
    assert {name: metadata["uid"] for name, metadata in standing(installation).items()} == written
