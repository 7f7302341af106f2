"""Pods come and go under load, and no caller notices."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.dataplanes import ACME_KEY
from tests.processes import wait_for
from tests.with_cluster.caller import BEGAN
from tests.with_cluster.tollway import DATAPLANE, NAMESPACE, SETUP, TEAM, URL, Tollway, lines, report_of
from tools.node.layout import layout


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
    assert report["requests"] > 50
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


def test_a_drain_waits_until_the_pod_that_went_has_a_successor(tollway: Tollway) -> None:
    """By eviction, which the disruption budget holds up."""
    nodes = tollway.kubectl.list("nodes", "")
    if len(nodes) != 1:
        pytest.skip("SEVERAL NODES: there is room elsewhere, and nothing to wait for")
    node, before = nodes[0]["metadata"]["name"], tollway.names()
    options = (f"--pod-selector={DATAPLANE}", "--delete-emptydir-data", "--timeout=120s")
    with tollway.calling("load", URL, ACME_KEY) as load:
        said = lines(load, 200)
        assert next(said) == BEGAN
        with tollway.kubectl.open("drain", node, *options) as drain:
            assert drain.stdout is not None
            try:
                refusal = next(line for line in drain.stdout if "Cannot evict pod" in line)
                assert "would violate the pod's disruption budget" in refusal
                assert len(tollway.names() & before) == 1
            finally:
                tollway.kubectl("uncordon", node)
            assert drain.wait(90) == 0
        wait_for(lambda: tollway.names(leaving=True).isdisjoint(before), "the old pods are gone", 90)
        tollway.rolled_out("tollway-dataplane")
        report = report_of(load, said)
    assert report["failed"] == []
    assert report["requests"] > 50


def test_a_process_that_is_killed_takes_its_own_requests_with_it_and_no_other(tollway: Tollway) -> None:
    if layout().running() is None:
        pytest.skip("NO NODE OF OURS: a process of another cannot be killed from here")
    victim, other = tollway.pods()
    gone, stays = (f"http://{pod['status']['podIP']}:8080" for pod in (victim, other))
    with (
        tollway.calling("stream", gone, ACME_KEY, "rich", "What is a gorge?", "10") as lost,
        tollway.calling("stream", stays, ACME_KEY, "rich", "What is a canyon?", "10") as kept,
        tollway.calling("load", stays, ACME_KEY) as load,
    ):
        of_lost, of_kept, of_load = (lines(each) for each in (lost, kept, load))
        assert [next(each) for each in (of_lost, of_kept, of_load)] == [BEGAN] * 3
        _kill(victim)
        assert "failed" in next(of_lost)
        assert next(of_kept)["finish"] == "length"
        report = report_of(load, of_load)
    assert report["failed"] == []
    name = victim["metadata"]["name"]
    wait_for(lambda: tollway.lives().get(name) == 1, "it was started again", 60)
    tollway.rolled_out("tollway-dataplane")
    assert tollway.ask("What is a knoll?", url=gone)["status"] == 200


def _kill(pod: Mapping[str, Any]) -> None:
    """Its first process, at once, as the kernel does that has no memory left."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = str(pod["metadata"]["uid"]) in folder.joinpath("cgroup").read_text(encoding="utf-8")
            command = folder.joinpath("cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if ours and b"tollway_dataplane" in command:
            os.kill(int(folder.name), signal.SIGKILL)
            return
    raise AssertionError("it has no process")


def test_a_stream_outlives_the_pod_that_is_told_to_go(tollway: Tollway) -> None:
    (pod, *_) = tollway.pods()
    name, url = pod["metadata"]["name"], f"http://{pod['status']['podIP']}:8080"
    with tollway.calling("stream", url, ACME_KEY, "rich", "What is a delta?", "20") as caller:
        said = lines(caller)
        assert next(said) == BEGAN
        tollway.kubectl("delete", "pod", "-n", NAMESPACE, name, "--wait=false")
        end = next(said)
    assert end["finish"] == "length"
    assert end["seconds"] > 8, "longer than the pod sleeps before it is told"
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
