"""The definitions of our kinds go while an operator runs or before it begins, and come back."""

import re
import time

import httpx
import pytest
import redis
import yaml

from tests import loopback
from tests.dataplanes import Setup
from tests.installation import NAMESPACE, PLURALS, Installation, Operator
from tests.processes import wait_for
from tests.with_apiserver.conftest import CRDS, apply_definitions

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")


def undefined(operator: Operator) -> set[str]:
    """Kinds of which /readyz says so."""
    found = re.fullmatch(
        r"not defined, and so not watched: (.*); .*", loopback.get(f"{operator.url}/readyz").text
    )
    return set(found[1].split(", ")) if found else set()


@pytest.mark.parametrize("namespaces", ["", f"default,{NAMESPACE}"], ids=["all namespaces", "listed ones"])
def test_kinds_that_are_removed_and_put_back_work_again(
    installation: Installation, admin: httpx.Client, namespaces: str
) -> None:
    """An operator of listed namespaces may not watch their definitions."""
    settings = {"watch_stale_s": "8", **({"watch_namespaces": namespaces} if namespaces else {})}
    with installation.light_pod("dp-1") as pod, installation.operator(**settings) as operator:
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        for path in CRDS.glob("*.yaml"):
            name = yaml.safe_load(path.read_text(encoding="utf-8"))["metadata"]["name"]
            installation.kubectl("delete", "crd", name, "--timeout=30s")
        wait_for(lambda: not pod.live.current().snapshot.policies, "what was deleted is not served")
        wait_for(lambda: set(PLURALS) <= undefined(operator), "/readyz names them all")
        apply_definitions(admin)
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        assert operator.process.stop() == 0, "and it was the same process all the time"


@pytest.mark.parametrize("namespaces", ["", f"default,{NAMESPACE}"], ids=["all namespaces", "listed ones"])
def test_while_one_kind_is_not_defined_what_is_deleted_of_another_is_let_go(
    installation: Installation, admin: httpx.Client, namespaces: str
) -> None:
    settings = {"watch_stale_s": "8", **({"watch_namespaces": namespaces} if namespaces else {})}
    definition = yaml.safe_load((CRDS / "routingpolicies.yaml").read_text(encoding="utf-8"))
    with installation.light_pod("dp-1"), installation.operator(**settings) as operator:
        installation.apply(*SETUP.objects())
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        installation.kubectl("delete", "crd", definition["metadata"]["name"], "--timeout=30s")
        try:
            wait_for(lambda: undefined(operator) == {"RoutingPolicy"}, "it has heard")
            time.sleep(4)  # so long that kopf has ended if it does
            installation.delete_and_wait("SemanticCacheIndex", "answers")
        finally:
            apply_definitions(admin)
        installation.apply(*SETUP.objects())
        installation.until_ready()
        assert operator.process.stop() == 0, "and it was the same process all the time"


def test_an_operator_without_our_kinds_publishes_nothing(
    installation: Installation, admin: httpx.Client
) -> None:
    """What pods run stays, because nobody has said that there is nothing."""
    with installation.light_pod("dp-1") as pod, installation.operator():
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        good = pod.revision
    for plural in ("routingpolicies", "tenantbudgets"):
        installation.kubectl("delete", "crd", f"{plural}.tollway.dev", "--timeout=30s")
    try:
        with installation.light_pod("dp-2") as late, installation.operator() as operator:
            late.refresh()
            wait_for(lambda: operator.logged("cannot be listed"), "it says so")
            time.sleep(2)
            late.refresh()
            assert late.revision == good
            assert undefined(operator) == {"RoutingPolicy", "TenantBudget"}
            readyz = loopback.get(f"{operator.url}/readyz")
            assert readyz.status_code == 503
            assert readyz.text.endswith("; kubectl apply --server-side -f deploy/crds")
            # Nor is what is edited of the others looked at, which it says.
            before = installation.get("SemanticCacheIndex", "answers")["status"]
            installation.apply(SETUP.but(index={"ttl": "1h"}).objects()[0])
            said = installation.until("SemanticCacheIndex", "answers", "Ready", "NotPublished")
            assert "RoutingPolicy" in said["message"]
            assert installation.condition("SemanticCacheIndex", "answers", "Accepted")["reason"] == "Pending"
            after = installation.get("SemanticCacheIndex", "answers")["status"]
            for what in ("activeVersion", "versions"):
                assert after[what] == before[what], "as it goes on"
            # What is deleted of the others is not held for as long, and pods keep all else.
            installation.delete_and_wait("SemanticCacheIndex", "answers")
            running = late.live.current().snapshot
            assert (running.indexes, set(running.tenants)) == ({}, {"acme", "beta"})
            assert [policy.cache for policy in running.policies] == [None]
            with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
                assert client.execute_command("FT._LIST") == []
            apply_definitions(admin)
            wait_for(lambda: not late.live.current().snapshot.policies, "then it goes on")
    finally:
        apply_definitions(admin)
