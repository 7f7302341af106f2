"""The world fails at every place it can, on the real parts, and all ends right."""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
import redis
import yaml

from tests.dataplanes import Setup, compiled
from tests.installation import NAMESPACE, Installation
from tests.processes import wait_for
from tests.proxies import proxy
from tests.with_apiserver.conftest import CRDS, apply_definitions
from tollway_api import wire

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
EDITED = SETUP.but(policy={"priority": 7})


@pytest.mark.parametrize(
    "point",
    [
        "before:provision",
        "after:provision",
        "before:publish",
        "write_secret",
        "after:publish",
        "after:delete",
        "apply_status",
        "set_finalizers",
    ],
)
def test_killed_at_any_step_its_successor_converges_and_nothing_is_left_twice(
    installation: Installation, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.apply(*SETUP.objects())
    monkeypatch.setenv("FAULT_POINT", point)
    with installation.light_pod("dp-1") as pod:
        with installation.operator("op-1", "tests.faulty_operator") as victim:
            assert victim.process.process.wait(20) == -9
        # As if it had run out, which takes a quarter of a minute.
        installation.kubectl("delete", "lease", "-n", NAMESPACE, "tollway-operator")
        with installation.operator("op-2"):
            for kind, name in (
                ("RoutingPolicy", "chat"),
                ("TenantBudget", "acme"),
                ("SemanticCacheIndex", "answers"),
            ):
                installation.until(kind, name, "Ready", "Ready")
            head = installation.head()
            assert head is not None
            assert pod.revision == head.revision
            with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
                wanted = wire.index_name(compiled(SETUP.objects()).indexes["default/answers"])
                assert client.execute_command("FT._LIST") == [wanted.encode()]
            secrets = installation.kubectl("get", "secrets", "-n", NAMESPACE, "-o", "name").split()
            assert secrets == ["secret/tollway-admin-token", "secret/tollway-snapshot"]
            assert installation.get("SemanticCacheIndex", "answers")["metadata"]["finalizers"] == [
                "tollway.dev/remembered-answers"
            ]


def test_an_api_server_that_is_killed_and_comes_back_is_caught_up_with(installation: Installation) -> None:
    server = installation.server
    with installation.light_pod("dp-1") as pod, installation.operator() as operator:
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        before = pod.revision
        server.stop("kube-apiserver")
        time.sleep(2)
        assert pod.revision == before, "pods serve on"
        server.start("kube-apiserver")
        server.wait_until_ready()
        installation.apply(*EDITED.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        assert pod.revision != before
        assert operator.process.process.poll() is None


@pytest.mark.parametrize("forgotten", [False, True], ids=["cut off", "cut off and 410"])
def test_an_operator_that_was_cut_off_catches_up_with_what_changed(
    installation: Installation, *, forgotten: bool
) -> None:
    with proxy(installation.server.url) as way, installation.light_pod("dp-1") as pod:
        installation.api_url = way.url
        with installation.operator() as operator:
            installation.apply(*SETUP.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            seen = installation.get("TenantBudget", "beta")["metadata"]["resourceVersion"]
            way.cut()
            installation.apply(*EDITED.objects())
            installation.kubectl("delete", "tb", "beta")
            if forgotten:
                forget(installation, seen)
            else:
                time.sleep(3)
            way.restore()
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            # After a 410 nobody says what was deleted: there is only a new list, without it.
            wait_for(lambda: set(pod.live.current().snapshot.tenants) == {"acme"}, "beta is gone")
            assert operator.process.process.poll() is None


def forget(installation: Installation, version: str) -> None:
    """Has the API server know nothing of what happened since a resource version: etcd is compacted, and what the API
    server remembers itself ends with its process.
    """
    server = installation.server
    server.compact()
    server.stop("kube-apiserver")
    server.start("kube-apiserver")
    server.wait_until_ready()
    watch = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "1"}
    url = "/apis/tollway.dev/v1alpha1/tenantbudgets"
    wait_for(lambda: '"code":410' in installation.admin.get(url, params=watch).text, "it is told 410")


@contextlib.contextmanager
def busy(installation: Installation) -> Iterator[None]:
    """The API server has one seat for the operator's account, and on it sits a request whose body never comes. Every
    other is told 429 with Retry-After (API priority and fairness).
    """
    flow_control = "flowcontrol.apiserver.k8s.io/v1"
    limited = {"nominalConcurrencyShares": 0, "lendablePercent": 0, "limitResponse": {"type": "Reject"}}
    level = {
        "apiVersion": flow_control,
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "one-seat"},
        "spec": {"type": "Limited", "limited": limited},
    }
    account = {"name": "tollway-operator", "namespace": NAMESPACE}
    # Not the Lease: losing it is another test.
    resources = {"apiGroups": ["", "tollway.dev"], "verbs": ["*"], "resources": ["*"], "namespaces": ["*"]}
    rule = {
        "subjects": [{"kind": "ServiceAccount", "serviceAccount": account}],
        "resourceRules": [{**resources, "clusterScope": True}],
    }
    schema = {
        "apiVersion": flow_control,
        "kind": "FlowSchema",
        "metadata": {"name": "one-seat"},
        "spec": {
            "priorityLevelConfiguration": {"name": "one-seat"},
            "matchingPrecedence": 2,
            "rules": [rule],
        },
    }
    installation.apply(level, schema)
    wait_for(
        lambda: "Found" in installation.kubectl("get", "flowschema", "one-seat", "-o", "yaml"), "it is known"
    )
    place = urlsplit(installation.server.url)
    context = ssl.create_default_context(cafile=str(installation.server.ca))
    request = (
        f"POST /api/v1/namespaces/{NAMESPACE}/secrets HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Authorization: Bearer {installation.token('tollway-operator')}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    try:
        with (
            socket.create_connection((place.hostname, place.port)) as plain,
            context.wrap_socket(plain, server_hostname=place.hostname) as sitting,
        ):
            sitting.sendall(request.encode())
            yield
    finally:
        installation.kubectl("delete", "flowschema,prioritylevelconfiguration", "one-seat")


def test_an_api_server_that_has_no_time_for_us_is_asked_again_later(installation: Installation) -> None:
    with installation.light_pod("dp-1"), installation.operator() as operator:
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        with busy(installation):
            wait_for(lambda: operator.logged(": 429 "), "it is told 429")
            installation.apply(*EDITED.objects())
            time.sleep(2)
            assert installation.condition("RoutingPolicy", "chat", "Ready") == {}
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        assert operator.process.process.poll() is None


def test_kinds_that_are_removed_and_put_back_work_again(
    installation: Installation, admin: httpx.Client
) -> None:
    with installation.light_pod("dp-1") as pod, installation.operator() as operator:
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        for path in CRDS.glob("*.yaml"):
            name = yaml.safe_load(path.read_text(encoding="utf-8"))["metadata"]["name"]
            installation.kubectl("delete", "crd", name, "--timeout=30s")
        wait_for(lambda: not pod.live.current().snapshot.policies, "what was deleted is not served")
        apply_definitions(admin)
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        assert operator.process.process.poll() is None


def test_an_operator_without_our_kinds_publishes_nothing(
    installation: Installation, admin: httpx.Client
) -> None:
    """What pods run stays, because nobody has said that there is nothing."""
    with installation.light_pod("dp-1") as pod, installation.operator():
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        good = pod.revision
    path = CRDS / "routingpolicies.yaml"
    name = yaml.safe_load(path.read_text(encoding="utf-8"))["metadata"]["name"]
    installation.kubectl("delete", "crd", name, "--timeout=30s")
    try:
        with installation.light_pod("dp-2") as late, installation.operator() as operator:
            late.refresh()
            wait_for(lambda: operator.logged("cannot be listed"), "it says so")
            time.sleep(2)
            late.refresh()
            assert late.revision == good
            assert httpx.get(f"{operator.url}/readyz").status_code == 503
            apply_definitions(admin)
            wait_for(lambda: late.revision != good, "then it goes on")
    finally:
        apply_definitions(admin)


def test_a_namespace_that_is_deleted_takes_its_objects_along(installation: Installation) -> None:
    installation.kubectl("create", "namespace", "team-a")
    objects = [{**each, "metadata": {**each["metadata"], "namespace": "team-a"}} for each in SETUP.objects()]  # type: ignore[dict-item]
    with installation.light_pod("dp-1") as pod, installation.operator():
        installation.apply(*objects)
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready", "team-a")
        installation.kubectl("delete", "namespace", "team-a", "--timeout=60s")
        wait_for(lambda: not pod.live.current().snapshot.tenants, "its tenants are gone")
        with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
            assert client.execute_command("FT._LIST") == []
