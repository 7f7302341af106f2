"""The liveness probe of the operator fails when a restart would help, and only then."""

import time

import pytest

from tests import loopback
from tests.dataplanes import Setup, manifest
from tests.installation import NAMESPACE, Installation, Operator
from tests.processes import wait_for
from tests.proxies import proxy

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")


def lives(operator: Operator) -> str:
    return loopback.get(f"{operator.url}/livez").text


def readiness(operator: Operator) -> str:
    return loopback.get(f"{operator.url}/readyz").text


def test_a_watch_that_tells_nothing_any_more_fails_the_probe(installation: Installation) -> None:
    with proxy(installation.server.url) as way, installation.light_pod("dp-1"):
        installation.api_url = way.url
        with installation.operator(watch_stale_s="4") as operator:
            installation.apply(*SETUP.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            time.sleep(5)
            assert lives(operator) == "ok", "silence alone is no fault: nothing happens"
            way.silence(4)
            installation.apply(
                manifest("TenantBudget", "gamma", {"apiKeys": [{"secretRef": {"name": "beta"}}]})
            )
            wait_for(lambda: lives(operator) == "the watch of TenantBudget is silent", "it says so", 30)
            assert loopback.get(f"{operator.url}/livez").status_code == 503
            assert 'watch_age_seconds{kind="TenantBudget"}' in operator.metrics()


def test_an_api_server_that_is_away_does_not_fail_the_probe(installation: Installation) -> None:
    with proxy(installation.server.url) as way:
        installation.api_url = way.url
        # It would end for want of a Lease before long, which is another matter.
        with installation.operator(watch_stale_s="4") as operator:
            wait_for(lambda: operator.logged("complete"), "it watches")
            way.cut()
            deadline = time.monotonic() + 6
            while time.monotonic() < deadline:
                assert lives(operator) == "ok"
                time.sleep(0.5)


@pytest.mark.long
def test_a_listed_namespace_in_which_the_role_is_missing_is_named_until_it_is_there(
    installation: Installation,
) -> None:
    with (
        installation.listed_namespaces("default"),
        installation.operator(watch_namespaces=f"default,{NAMESPACE}", watch_stale_s="15") as operator,
    ):
        wait_for(lambda: f'in the namespace "{NAMESPACE}"' in readiness(operator), "it is named")
        assert "403" in readiness(operator)
        wait_for(lambda: lives(operator) != "ok", "nor is that all right for ever", 30)
        installation.let_watch(NAMESPACE)
        wait_for(lambda: lives(operator) == readiness(operator) == "ok", "and then all is", 20)


def test_a_role_that_may_not_read_what_is_published_is_named_by_those_who_cannot_lead(
    installation: Installation,
) -> None:
    with installation.listed_namespaces("default"):
        installation.take("role", lambda rule: "tollway-snapshot" in rule.get("resourceNames", []))
        with installation.server.client(installation.token("tollway-operator")) as operators:
            standing = f"/api/v1/namespaces/{NAMESPACE}/secrets/tollway-snapshot"
            wait_for(lambda: operators.get(standing).status_code == 403, "the role is what it says")
        with installation.operator(watch_namespaces="default") as operator:
            wait_for(
                lambda: "the Lease can be neither taken nor renewed" in readiness(operator), "it says so"
            )
            assert 'secrets "tollway-snapshot" is forbidden' in readiness(operator)
            assert lives(operator) == "ok"
            installation.prepare()
            wait_for(lambda: readiness(operator) == "ok", "and then all is well")
            wait_for(lambda: operator.logged("leads"), "and it leads")


@pytest.mark.parametrize("point", ["hang:publish"])
def test_a_loop_that_hangs_fails_the_probe(
    installation: Installation, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT_POINT", point)
    installation.apply(*SETUP.objects())
    with installation.operator("op-1", "tests.faulty_operator", loop_stale_s="4") as operator:
        wait_for(lambda: lives(operator) == "the reconcile loop hangs", "it says so")
        installation.apply(*SETUP.but(policy={"priority": 5}).objects())
        wait_for(lambda: waits_s(operator) > 1, "and since when somebody waits for it")
    assert operator.process.process.returncode == 0, "it can be told to end all the same"


def waits_s(operator: Operator) -> float:
    name = "tollway_operator_queue_age_seconds "
    (line,) = [each for each in operator.metrics().splitlines() if each.startswith(name)]
    return float(line.removeprefix(name))
