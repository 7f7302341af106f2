"""Statuses go on where some of them, or what they are about, cannot be had of the API server."""

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests import loopback
from tests.dataplanes import Setup, manifest, secret
from tests.installation import Installation
from tests.processes import wait_for
from tests.webhooks import validating_webhook

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")


@contextlib.contextmanager
def hanging_webhook(installation: Installation) -> Iterator[None]:
    """One that never answers is asked of policies' statuses, and does without where it has not in ten seconds."""
    rule = {
        "apiGroups": ["tollway.dev"],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["routingpolicies/status"],
    }
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        configuration = validating_webhook("hangs", url, rule, failurePolicy="Ignore", timeoutSeconds=10)
        stack.callback(installation.kubectl, "delete", "validatingwebhookconfiguration", "hangs")
        installation.apply(configuration)
        wait_for(lambda: hangs(installation), "it is asked")
        yield


def hangs(installation: Installation) -> bool:
    url = "/apis/tollway.dev/v1alpha1/namespaces/default/routingpolicies/chat/status?dryRun=All"
    headers = {"content-type": "application/merge-patch+json"}
    try:
        installation.admin.patch(
            url, content=json.dumps({"status": {"dataPlane": {}}}), headers=headers, timeout=1
        )
    except httpx.TimeoutException:
        return True
    return False


@pytest.mark.long
def test_statuses_for_which_a_webhook_takes_its_time_keep_no_others_waiting_and_come_in_the_end(
    installation: Installation,
) -> None:
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*SETUP.objects())
        installation.until_ready()
        with hanging_webhook(installation):
            (policy,) = (each for each in SETUP.objects() if each["kind"] == "RoutingPolicy")
            for number in range(24):
                spec = {**policy["spec"], "match": {"models": [f"m{number}"]}}  # type: ignore[dict-item]  # an object of YAML is anything
                installation.apply(manifest("RoutingPolicy", f"hangs-{number}", spec))
            for number in range(3):
                key = {"apiKeys": [{"secretRef": {"name": f"late-{number}"}}]}
                name = f"late-{number}"
                installation.apply(secret(name, f"key-{number}"), manifest("TenantBudget", name, key))
                wait_for(
                    lambda name=name: (  # type: ignore[misc]  # mypy does not type a lambda with a default
                        installation.condition("TenantBudget", name, "Ready").get("reason") == "Ready"
                    ),
                    "it is no policy",
                    6,
                )
            installation.until("RoutingPolicy", "hangs-0", "Ready", "Ready")
        for number in range(24):
            installation.until("RoutingPolicy", f"hangs-{number}", "Ready", "Ready")


@pytest.mark.long
def test_an_edit_that_cannot_be_looked_at_for_secrets_that_fail_says_so_and_claims_nothing(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = tmp_path / "fails"
    monkeypatch.setenv("FAULT_POINT", f"secrets:{fails}")
    with (
        installation.light_pod("dp-1") as pod,
        installation.operator("op-1", "tests.faulty_operator") as operator,
    ):

        def readiness() -> str:
            return loopback.get(f"{operator.url}/readyz").text

        installation.apply(*SETUP.objects())
        installation.until_ready()
        before = pod.revision
        assert readiness() == "ok"
        fails.touch()
        key = {"apiKeys": [{"secretRef": {"name": "late"}}]}
        installation.apply(secret("late", "late-key"), manifest("TenantBudget", "late", key))
        wait_for(lambda: operator.logged("a Secret cannot be read"), "it is looked for")
        installation.apply(*SETUP.but(policy={"priority": 7}).objects())
        for kind, name in (("TenantBudget", "late"), ("RoutingPolicy", "chat")):
            said = installation.until(kind, name, "Programmed", "NotPublished")
            assert said["message"].startswith("Not published: could not read Secret ")
            assert installation.condition(kind, name, "Ready")["status"] == "False"
            for undecided in ("Accepted", "ResolvedRefs"):
                condition = installation.condition(kind, name, undecided)
                assert (condition["status"], condition["reason"]) == ("Unknown", "Pending")
        assert installation.condition("TenantBudget", "acme", "Ready")["status"] == "True"
        assert pod.revision == before
        assert readiness().startswith("nothing newer can be published: could not read Secret ")
        assert loopback.get(f"{operator.url}/livez").text == "ok", "since a restart would not help"
        fails.unlink()
        installation.apply(*SETUP.but(policy={"priority": 8}).objects())
        for kind, name in (("TenantBudget", "late"), ("RoutingPolicy", "chat")):
            installation.until(kind, name, "Ready", "Ready")
        assert readiness() == "ok"
