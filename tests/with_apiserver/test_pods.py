"""`Programmed` is what pods say, whatever they say."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.dataplanes import Setup
from tests.installation import Installation
from tests.processes import wait_for

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")


class Fault:
    """Stands between the operator and a pod, and does what it is told."""

    def __init__(self) -> None:
        self.kind = ""

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            reply: Response | None = None
            match self.kind:
                case "hangs":
                    await asyncio.sleep(3600)
                case "rejects":
                    state = {"revision": "0" * 12, "digest": "0" * 64, "rejected": "no room for it"}
                    reply = JSONResponse(state, 409)
                case "lies":
                    reply = JSONResponse({"revision": "0" * 12, "digest": "0" * 64})
                case "babbles":
                    reply = Response(b"\x00\xff" * 1000)
                case "breaks":
                    reply = Response(status_code=500)
            await (reply or app)(scope, receive, send)

        return faulty


@contextlib.contextmanager
def running(installation: Installation, fault: Fault) -> Iterator[None]:
    with (
        installation.light_pod("dp-a"),
        installation.light_pod("dp-b", wrap=fault),
        installation.operator(),
    ):
        installation.apply(*SETUP.objects())
        yield


@pytest.mark.parametrize(
    ("kind", "reason", "words"),
    [
        ("hangs", "WaitingForPods", "dp-b: it did not answer (TimeoutError)"),
        ("rejects", "RejectedByPod", "no room for it"),
        ("lies", "RejectedByPod", "dp-b: it acknowledged, but runs 000000000000"),
        ("babbles", "WaitingForPods", "dp-b: its answer makes no sense"),
        ("breaks", "WaitingForPods", "dp-b: it answered 500"),
    ],
)
def test_a_pod_that_does_not_run_it_is_named_and_forgiven_when_it_does(
    installation: Installation, kind: str, reason: str, words: str
) -> None:
    fault = Fault()
    fault.kind = kind
    with running(installation, fault):
        wait_for(
            lambda: words in installation.condition("RoutingPolicy", "chat", "Programmed").get("message", ""),
            words,
            30,
        )
        condition = installation.condition("RoutingPolicy", "chat", "Programmed")
        assert condition["reason"] == reason
        head = installation.head()
        assert head is not None
        assert condition["message"].startswith(f"1/2 pods on {head.revision}; dp-b: ")
        assert installation.condition("RoutingPolicy", "chat", "Ready")["status"] == "False"
        fault.kind = ""
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


def test_a_pod_that_is_replaced_must_acknowledge_itself(installation: Installation) -> None:
    fault = Fault()
    with installation.light_pod("dp-a"), installation.operator():
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        fault.kind = "breaks"
        with installation.light_pod("dp-new", wrap=fault):
            waiting = installation.until("RoutingPolicy", "chat", "Programmed", "WaitingForPods")
            assert "dp-new: it answered 500" in waiting["message"]
            fault.kind = ""
            installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")


def test_a_pod_that_is_not_ready_is_told_but_does_not_count(installation: Installation) -> None:
    with installation.light_pod("dp-a", ready=False) as pod, installation.operator():
        installation.apply(*SETUP.objects())
        none = installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")
        assert none["message"] == "Published, but no data-plane pod is ready."
        wait_for(lambda: bool(pod.live.current().snapshot.policies), "it has the snapshot all the same")
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
