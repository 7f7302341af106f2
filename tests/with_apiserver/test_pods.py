"""`Programmed` is what pods say, whatever they say."""

import base64
import contextlib
import json
import time
from collections.abc import Iterator

import pytest
import redis

from tests import loopback
from tests.dataplanes import Setup
from tests.installation import NAMESPACE, Installation
from tests.pod_faults import Fault
from tests.processes import wait_for

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")


@contextlib.contextmanager
def running(installation: Installation, fault: Fault) -> Iterator[None]:
    with (
        installation.light_pod("dp-a"),
        installation.light_pod("dp-b", wrap=fault),
        installation.operator(),
    ):
        installation.apply(*SETUP.objects())
        yield


FAULTS = (
    ("hangs", "WaitingForPods", "dp-b: it did not answer (TimeoutError)"),
    ("rejects", "RejectedByPod", "no room\ufffd for it\ufffd"),
    ("lies", "RejectedByPod", "dp-b: it acknowledged, but runs 000000000000"),
    ("babbles", "WaitingForPods", "dp-b: its answer makes no sense"),
    ("breaks", "WaitingForPods", "dp-b: it answered 500"),
)


@pytest.mark.long
def test_a_pod_that_does_not_run_it_is_named_and_forgiven_when_it_does(installation: Installation) -> None:
    fault = Fault()
    with running(installation, fault):
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        for priority, (kind, reason, words) in enumerate(FAULTS, start=1):
            fault.kind = kind
            installation.apply(*SETUP.but(policy={"priority": priority}).objects())

            def said() -> str:
                condition = installation.condition("RoutingPolicy", "chat", "Programmed")
                return f"{condition.get('reason')}: {condition.get('message')}"

            told = f"{reason}: 1/2 pods on "
            wait_for(lambda words=words, told=told: words in said() and said().startswith(told), words, 30)  # type: ignore[misc]  # mypy does not type a lambda with a default
            head = installation.head()
            assert head is not None
            assert f"on {head.revision}; dp-b: " in said()
            assert installation.condition("RoutingPolicy", "chat", "Ready")["status"] == "False"
            fault.kind = "stammers"  # it answers in pieces, which is nothing wrong
            installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
            status = installation.get("RoutingPolicy", "chat")["status"]["dataPlane"]
            assert (status["acknowledged"], status["ready"]) == (2, 2)


def test_somebody_elses_edit_leaves_what_is_programmed_alone(installation: Installation) -> None:
    fault = Fault()
    with running(installation, fault):
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        installation.until("TenantBudget", "beta", "Programmed", "Programmed")
        before = installation.get("RoutingPolicy", "chat")["metadata"]["resourceVersion"]
        fault.kind = "rejects"
        installation.apply(*SETUP.but(beta={"alertThresholdPercent": 50}).objects())
        installation.until("TenantBudget", "beta", "Programmed", "RejectedByPod")
        # dp-b says that it runs something older than everything, so it must be believed for the others as well.
        installation.until("RoutingPolicy", "chat", "Programmed", "RejectedByPod")
        fault.kind = ""
        installation.until("TenantBudget", "beta", "Programmed", "Programmed")
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        settled = installation.get("RoutingPolicy", "chat")["metadata"]["resourceVersion"]
        assert settled != before
        installation.apply(*SETUP.but(beta={"alertThresholdPercent": 60}).objects())
        installation.until("TenantBudget", "beta", "Programmed", "Programmed")
        assert installation.get("RoutingPolicy", "chat")["metadata"]["resourceVersion"] == settled


def test_what_breaks_is_not_said_to_be_left_out_while_a_pod_still_runs_it(installation: Installation) -> None:
    fault = Fault()
    with running(installation, fault):
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        fault.kind = "breaks"
        broken = {"fallback": {"order": ["no-such-model"]}}
        installation.apply(*SETUP.but(policy=broken).objects())

        def said() -> str:
            return str(installation.condition("RoutingPolicy", "chat", "Programmed").get("message"))

        wait_for(lambda: "dp-b: it answered 500" in said(), "who still runs it")
        head = installation.head()
        assert head is not None
        assert said().startswith(
            "Left out of what is published, until what it names is there; "
            f"1/2 pods on {head.revision}; dp-b: "
        )
        fault.kind = ""
        wait_for(lambda: said() == "Left out of what pods run, until what it names is there.", "then nobody")


def test_a_pod_that_is_replaced_must_acknowledge_itself(installation: Installation) -> None:
    fault = Fault()
    with installation.light_pod("dp-a"), installation.operator():
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        fault.kind = "breaks"
        with installation.light_pod("dp-new", wrap=fault):
            wait_for(
                lambda: (
                    "dp-new: it answered 500"
                    in str(installation.condition("RoutingPolicy", "chat", "Programmed").get("message"))
                ),
                "the new one has said no",
            )
            fault.kind = ""
            installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")


def test_while_the_token_is_rotated_a_pod_that_knows_only_the_older_one_is_told_with_that(
    installation: Installation,
) -> None:
    with installation.light_pod("dp-a"), installation.operator():
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        # It is tried before the other, since it comes before it.
        newer = {"data": {"newer": base64.b64encode(b"a-newer-token").decode()}}
        secret = ("secret", "-n", NAMESPACE, "tollway-admin-token")
        installation.kubectl("patch", *secret, "-p", json.dumps(newer))
        installation.apply(*SETUP.but(policy={"priority": 5}).objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")


def test_another_object_of_the_same_name_is_not_programmed_before_pods_run_it(
    installation: Installation,
) -> None:
    fault = Fault()
    with installation.light_pod("dp-a", wrap=fault), installation.operator(debounce_s="0.5"):
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        fault.kind = "breaks"
        # Within one debounce, so that the loop never sees that it was gone.
        installation.delete("RoutingPolicy", "chat")
        installation.apply(SETUP.but(policy={"priority": 777}).objects()[1])
        installation.until("RoutingPolicy", "chat", "Programmed", "WaitingForPods")
        fault.kind = ""
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")


def hide_pods(installation: Installation) -> None:
    """The operator may not ask which there are."""
    installation.take("role", lambda rule: rule["resources"] == ["pods"])


def test_an_index_that_is_deleted_while_pods_are_not_known_is_kept_until_they_are(
    installation: Installation,
) -> None:
    with (
        installation.light_pod("dp-a") as pod,
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        with installation.operator("op-1"):
            installation.apply(*SETUP.objects())
            installation.until_ready()
        hide_pods(installation)
        try:
            with installation.operator("op-2", resync_s="60") as operator:
                wait_for(lambda: operator.logged("leads"), "it leads", 20)
                installation.delete("SemanticCacheIndex", "answers")
                wait_for(lambda: operator.logged("published"), "it is not in the newest snapshot")
                time.sleep(3)
                assert pod.live.current().snapshot.indexes, "the pod still runs it"
                assert installation.get("SemanticCacheIndex", "answers")
                assert len(client.execute_command("FT._LIST")) == 1
                installation.prepare()
                wait_for(lambda: not installation.get("SemanticCacheIndex", "answers"), "then it goes")
                assert not pod.live.current().snapshot.indexes
        finally:
            installation.prepare()


def test_pods_that_cannot_be_listed_are_unknown_and_not_missing(installation: Installation) -> None:
    hide_pods(installation)
    try:
        with installation.light_pod("dp-a"), installation.operator(watch_stale_s="4") as operator:
            installation.apply(*SETUP.objects())
            unknown = installation.until("RoutingPolicy", "chat", "Programmed", "DataPlaneUnknown")
            assert unknown["status"] == "Unknown"
            assert "would not list the data plane's pods: 403" in unknown["message"]
            assert "pods are not known" in loopback.get(f"{operator.url}/readyz").text
            wait_for(
                lambda: loopback.get(f"{operator.url}/livez").text == "the watch of Pod is silent",
                "nor watched",
            )
            installation.prepare()
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            assert loopback.get(f"{operator.url}/livez").text == "ok"
            assert loopback.get(f"{operator.url}/readyz").text == "ok"
    finally:
        installation.prepare()


def test_a_pod_that_is_not_ready_is_told_but_does_not_count(installation: Installation) -> None:
    with installation.light_pod("dp-a", ready=False) as pod, installation.operator():
        installation.apply(*SETUP.objects())
        none = installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")
        assert none["message"] == "Published, but no data-plane pod is ready."
        wait_for(lambda: pod.revision is not None, "it has the snapshot all the same")
        installation.set_ready(pod.name, pod.address)
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")


def test_a_pod_that_dies_between_ready_and_its_acknowledgement_is_waited_for_until_it_is_gone(
    installation: Installation,
) -> None:
    with installation.light_pod("dp-a"), installation.operator():
        with installation.pod("dp-dead", "127.0.1.99"):
            installation.apply(*SETUP.objects())
            waiting = installation.until("RoutingPolicy", "chat", "Programmed", "WaitingForPods")
            assert waiting["message"].startswith("1/2 pods on ")
            assert "dp-dead: it did not answer" in waiting["message"]
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")


@pytest.mark.long
def test_pods_born_while_nobody_operates_run_what_was_published(installation: Installation) -> None:
    with installation.light_pod("dp-a"), installation.operator() as operator:
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        assert operator.process.stop() == 0
    head = installation.head()
    assert head is not None
    with installation.light_pod("dp-late") as late:
        late.refresh()
        assert late.revision == head.revision
        installation.apply(*SETUP.but(acme={"alertThresholdPercent": 50}).objects())
        with installation.operator("operator-2"):
            installation.until("TenantBudget", "acme", "Programmed", "Programmed")
            assert late.revision != head.revision


@pytest.mark.long
def test_a_pod_that_is_not_ready_and_has_not_let_go_is_named_where_an_embedding_waits_for_it(
    installation: Installation,
) -> None:
    fault = Fault()
    with (
        installation.light_pod("dp-1"),
        installation.light_pod("dp-2", wrap=fault) as lost,
        installation.operator(),
    ):
        installation.apply(*SETUP.objects())
        installation.until_ready()
        fault.kind = "hangs"
        installation.set_ready("dp-2", lost.address, ready=False)
        changed = SETUP.but(index={"embedding": {"model": "wordllama", "dimensions": 256}})
        installation.apply(changed.objects()[0])

        def said() -> str:
            return str(installation.condition("SemanticCacheIndex", "answers", "IndexReady").get("message"))

        wait_for(lambda: "dp-2 still uses it" in said(), "it is named", 30)
        assert "0 % is embedded anew. It waits, since pods may run what was published before: " in said()
