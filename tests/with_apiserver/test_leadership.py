"""One replica writes. What happens to the one that does when it is stopped, killed, or put to sleep."""

import os
import signal
import time
from dataclasses import replace

import pytest
import redis

from tests import loopback
from tests.dataplanes import Setup
from tests.installation import Installation
from tests.pod_faults import Fault
from tests.processes import wait_for
from tollway_api import parts, wire

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
EDITED = SETUP.but(policy={"priority": 7})


def leads(url: str) -> bool:
    return "tollway_operator_leads 1.0" in loopback.get(f"{url}/metrics").text


def test_a_standby_knows_everything_writes_nothing_and_takes_over_when_the_leader_stops(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT_POINT", "lease:1")  # as of an API server that has much to do
    with (
        installation.light_pod("dp-1"),
        installation.operator("op-1", "tests.faulty_operator") as one,
    ):
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        with installation.operator("op-2") as two:
            wait_for(lambda: 'objects{kind="TenantBudget"} 2.0' in two.metrics(), "the standby has compiled")
            assert leads(one.url)
            assert not leads(two.url)
            assert "tollway_operator_publishes_total 0.0" in two.metrics()
            assert one.process.stop() == 0
            wait_for(lambda: leads(two.url), "the standby leads", 6)
            installation.apply(*EDITED.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")


@pytest.mark.long
def test_a_successor_says_nothing_of_pods_before_they_have_had_their_say(installation: Installation) -> None:
    fault = Fault()
    with installation.light_pod("dp-1", wrap=fault):
        with installation.operator("op-1"):
            installation.apply(*SETUP.objects())
            installation.until_ready()
        before = installation.get("RoutingPolicy", "chat")["metadata"]["resourceVersion"]
        installation.kubectl("delete", "events", "--all")
        fault.kind = "dawdles"
        with installation.operator("op-2") as two:
            wait_for(lambda: two.logged('"acknowledged"'), "the pod has answered the successor")
            installation.apply(*SETUP.but(acme={"alertThresholdPercent": 50}).objects())
            installation.until("TenantBudget", "acme", "Ready", "Ready")
        assert installation.get("RoutingPolicy", "chat")["metadata"]["resourceVersion"] == before
        told = installation.kubectl(
            "get", "events", "-o", "name", "--field-selector", "involvedObject.name=chat"
        )
        assert told == ""


@pytest.mark.long
def test_a_leader_that_is_killed_is_succeeded_when_its_lease_has_run_out(installation: Installation) -> None:
    with installation.light_pod("dp-1"), installation.operator("op-1") as one:
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        with installation.operator("op-2") as two:
            wait_for(lambda: two.logged("complete"), "the standby watches")
            one.process.stop(signal.SIGKILL)
            installation.apply(*EDITED.objects())
            wait_for(lambda: leads(two.url), "the standby leads", 25)
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")


@pytest.mark.long
def test_a_leader_that_slept_through_its_succession_is_refused(installation: Installation) -> None:
    with installation.light_pod("dp-1") as pod, installation.operator("op-1") as one:
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        with installation.operator("op-2") as two:
            wait_for(lambda: two.logged("complete"), "the standby watches")
            os.kill(one.process.process.pid, signal.SIGSTOP)
            wait_for(lambda: leads(two.url), "the standby leads", 25)
            installation.apply(*EDITED.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            head = installation.head()
            assert head is not None
            since = installation.server.audit_log.stat().st_size
            # An edit that the sleeper would publish and report as well, if it were let.
            installation.apply(*SETUP.but(policy={"priority": 8}).objects())
            os.kill(one.process.process.pid, signal.SIGCONT)
            assert one.process.process.wait(20) != 0
            assert one.logged("tollway-operator: ")
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            time.sleep(1)
            now = installation.head()
            assert now is not None
            assert now.fence == head.fence
            assert pod.revision == now.revision
            requests = installation.server.audited(since, "tollway-operator")
            writers = {each.credential for each in requests if each.writes and each.status < 300}
            assert len(writers) == 1, "the successor alone wrote"


def test_a_redis_that_a_later_leader_has_written_to_is_left_alone(installation: Installation) -> None:
    with redis.Redis("127.0.0.1", port=installation.cache.port) as client, installation.light_pod("dp-1"):
        with installation.operator() as overtaken:
            wait_for(lambda: leads(overtaken.url), "it leads")
            client.set(wire.FENCE_KEY, 10**9)
            installation.apply(*SETUP.objects())
            assert overtaken.process.process.wait(20) != 0
            assert overtaken.logged("a later leader has written to the cache Redis")
        assert client.execute_command("FT._LIST") == []
        assert client.keys("tollway:1:*") == [wire.FENCE_KEY.encode()]


def test_a_lease_that_somebody_deletes_is_taken_again(installation: Installation) -> None:
    with installation.light_pod("dp-1"):
        with installation.operator("op-1"):
            installation.apply(*SETUP.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            installation.kubectl("delete", "lease", "-n", "tollway-system", "tollway-operator")
        # As if its clock had been far ahead.
        with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
            client.set(wire.FENCE_KEY, 10**9)
        with installation.operator("op-2"):
            installation.apply(*EDITED.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")


@pytest.mark.parametrize("fence", ["none", 2**31 - 2, 10**12])
def test_a_fence_that_no_leader_can_have_had_is_nobodys(installation: Installation, fence: str | int) -> None:
    with installation.light_pod("dp-1"), redis.Redis("127.0.0.1", port=installation.cache.port) as client:
        client.set(wire.FENCE_KEY, fence)
        with installation.operator("op-1"):
            installation.apply(*SETUP.objects())
            installation.until_ready()
            head = installation.head()
            assert head is not None
            beyond = replace(head, fence=2**31)
            installation.write_snapshot({parts.HEAD: parts.encode_head(beyond)})
            wait_for(lambda: installation.head() != beyond, "it is made good")
        with installation.operator("op-2"):
            installation.apply(*EDITED.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")


@pytest.mark.parametrize("more", [1_000, 10**9])
def test_a_snapshot_whose_fence_was_raised_by_hand_ends_one_leader_and_not_its_successor(
    installation: Installation, more: int
) -> None:
    with installation.light_pod("dp-1"):
        with installation.operator("op-1") as one:
            installation.apply(*SETUP.objects())
            installation.until_ready()
            head = installation.head()
            assert head is not None
            raised = replace(head, fence=head.fence + more)
            installation.write_snapshot({parts.HEAD: parts.encode_head(raised)})
            assert one.process.process.wait(20) != 0
            assert one.logged("a later leader has published")
        with installation.operator("op-2"):
            installation.apply(*EDITED.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
