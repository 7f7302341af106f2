"""Pods come and go under load, and no caller notices."""

import subprocess
from collections.abc import Iterator
from typing import Any

from tests.dataplanes import ACME_KEY
from tests.processes import wait_for
from tests.with_cluster.caller import BEGAN
from tests.with_cluster.tollway import NAMESPACE, SETUP, TEAM, URL, Tollway, lines

# The simulator says sixty words to it, which take twenty seconds at the pace of the slow one.
LONG = "What is the longest answer of all, number 48?"


def report_of(load: "subprocess.Popen[str]", said: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Ends the load, which has gone on until now."""
    assert load.stdin is not None
    load.stdin.close()
    return next(said)


def test_a_rolling_update_under_load_fails_no_request(tollway: Tollway) -> None:
    before = tollway.names()
    with tollway.calling("load", URL, ACME_KEY) as load:
        said = lines(load)
        assert next(said) == BEGAN
        tollway.kubectl("rollout", "restart", "-n", NAMESPACE, "deployment/tollway-dataplane")
        tollway.rolled_out("tollway-dataplane")
        wait_for(lambda: tollway.names(leaving=True).isdisjoint(before), "the old pods are gone", 90)
        report = report_of(load, said)
    assert report["failed"] == []
    assert report["requests"] > 100
    assert tollway.names().isdisjoint(before)
    tollway.until_ready()


def test_an_edit_under_load_fails_no_request_and_is_seen(tollway: Tollway) -> None:
    with tollway.calling("load", URL, ACME_KEY) as load:
        said = lines(load)
        assert next(said) == BEGAN
        tollway.apply(SETUP.but(policy={"priority": 9}))
        tollway.kubectl.until("RoutingPolicy", "chat", "Programmed", "Programmed", TEAM)
        report = report_of(load, said)
    assert report["failed"] == []
    assert len(report["revisions"]) == 2
    tollway.apply(SETUP)
    tollway.until_ready()


def test_a_stream_outlives_the_pod_that_is_told_to_go(tollway: Tollway) -> None:
    (pod, *_) = tollway.pods()
    name, url = pod["metadata"]["name"], f"http://{pod['status']['podIP']}:8080"
    with tollway.calling("stream", url, ACME_KEY, "rich", LONG) as caller:
        said = lines(caller)
        assert next(said) == BEGAN
        tollway.kubectl("delete", "pod", "-n", NAMESPACE, name, "--wait=false")
        end = next(said)
    assert end["finish"] == "stop"
    assert end["seconds"] > 12, "longer than the pod sleeps before it is told"
    wait_for(lambda: not tollway.kubectl.get("pod", name, NAMESPACE), "then it goes", 60)
    tollway.rolled_out("tollway-dataplane")


def test_a_pod_that_is_killed_is_replaced_and_acknowledges_itself(tollway: Tollway) -> None:
    (pod, *_) = tollway.pods()
    name = pod["metadata"]["name"]
    tollway.kubectl("delete", "pod", "-n", NAMESPACE, name, "--grace-period=0", "--force")
    tollway.rolled_out("tollway-dataplane")

    def acknowledged() -> bool:
        status: dict[str, Any] = tollway.kubectl.get("routingpolicy", "chat", TEAM)["status"]["dataPlane"]
        return (status["acknowledged"], status["ready"]) == (2, 2)

    wait_for(acknowledged, "both have acknowledged", 60)
    assert name not in tollway.names()
    assert len(tollway.revisions()) == 1
