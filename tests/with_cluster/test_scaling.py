"""Data planes become more under load and fewer after it, as the chart's autoscaler says, and no caller notices."""

import contextlib
import json
import time
from collections.abc import Iterator

import pytest

from tests.charts import CHART
from tests.dataplanes import ACME_KEY
from tests.processes import wait_for
from tests.with_cluster.caller import BEGAN
from tests.with_cluster.scaling import API, MONITORING, custom_metrics, k6, report_of_k6
from tests.with_cluster.tollway import NAMESPACE, OPTIONS, Tollway, lines

_OPTIONS = (
    "enabled=true", "minReplicas=2", "maxReplicas=4",
    "scaleDownStabilizationSeconds=10", "scaleDownPodsPerMinute=2",
)  # fmt: skip
_UNDER_WAY = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods/*/tollway_requests_in_flight"
# The slow provider takes a minute to answer any of these.
_MINUTES = [f"What is the longest answer of all, number {number}?" for number in (12, 48, 98, 136)]


@contextlib.contextmanager
def autoscaled(tollway: Tollway, *options: str) -> Iterator[None]:
    """In place of whoever scaled before, whose number stands until the autoscaler has another."""
    values = ",".join(f"dataplane.autoscaling.{each}" for each in (*_OPTIONS, *options))
    before = tollway.lives()
    try:
        tollway.helm("upgrade", "tollway", str(CHART), *OPTIONS, "--set", values)
        assert tollway.lives() == before, "it is turned on and nothing happens"
        yield
    finally:
        tollway.helm("upgrade", "tollway", str(CHART), *OPTIONS)
        tollway.scale("tollway-dataplane", 2)


def until(tollway: Tollway, ready: int, seconds: float) -> None:
    """So many data planes, all of them ready, and the others gone."""

    def met() -> bool:
        pods = tollway.pods(leaving=True)
        conditions = [each for pod in pods for each in pod["status"].get("conditions", [])]
        return (
            len(pods)
            == ready
            == sum((each["type"], each["status"]) == ("Ready", "True") for each in conditions)
        )

    wait_for(met, f"there are {ready} data planes", seconds)


def test_by_cpu_there_are_four_in_a_crowd_and_two_after_it_and_streams_of_a_minute_end_well(
    tollway: Tollway,
) -> None:
    if not tollway.kubectl.get("apiservice", "v1beta1.metrics.k8s.io"):
        pytest.skip("NO METRICS-SERVER in this cluster, so nothing was scaled")
    crowd_s = 45
    with autoscaled(tollway, "cpuPercent=90"), k6(tollway, "requests", crowd_seconds=crowd_s, seconds=120):
        began = time.monotonic()
        until(tollway, 4, 90)
        time.sleep(max(0, began + crowd_s - time.monotonic()))
        urls = [f"http://{pod['status']['podIP']}:8080" for pod in tollway.pods()]
        with contextlib.ExitStack() as stack:
            callers = [
                stack.enter_context(tollway.calling("stream", url, ACME_KEY, "rich", prompt, "999"))
                for url, prompt in zip(urls, _MINUTES, strict=True)
            ]
            streams = [lines(each) for each in callers]
            assert [next(each) for each in streams] == [BEGAN] * 4
            wait_for(lambda: len(tollway.pods()) == 2, "two are told to go", 100)
            assert [each.poll() for each in callers] == [None] * 4, "no stream is at its end"
            ends = [next(each) for each in streams]
        assert [each["finish"] for each in ends] == ["stop"] * 4
        assert all(each["seconds"] > 55 for each in ends)
        until(tollway, 2, 60)
        report = report_of_k6(tollway, 150)
    assert report["failed"] == 0, report["log"]
    assert report["streams"] > 100
    assert report["requests"] > 800


def test_by_requests_under_way_there_are_four_as_well(tollway: Tollway) -> None:
    """Which cost hardly any CPU: they wait for a provider that is slow."""
    if tollway.kubectl.get("apiservice", API) or tollway.kubectl.get("namespace", MONITORING):
        pytest.skip("CUSTOM METRICS OR MONITORING of somebody else's are there, and would be lost")
    before = tollway.names()
    with (
        custom_metrics(tollway),
        autoscaled(tollway, "inFlight=4", "cpuPercent=1000"),
        k6(tollway, "streams", crowd_seconds=30, seconds=75),
    ):
        until(tollway, 4, 60)
        served = json.loads(tollway.kubectl("get", "--raw", _UNDER_WAY))["items"]
        assert {each["describedObject"]["name"] for each in served} >= before
        until(tollway, 2, 90)
        report = report_of_k6(tollway, 100)
    assert report["failed"] == 0, report["log"]
    assert report["streams"] > 100
