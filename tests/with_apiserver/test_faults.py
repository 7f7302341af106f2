"""The world fails at every place it can, on the real parts, and all ends right."""

import contextlib
import json
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from tests import clocks, loopback
from tests.dataplanes import Setup, compiled, manifest, secret
from tests.installation import NAMESPACE, Installation, LightPod
from tests.processes import wait_for
from tests.proxies import proxy
from tollway_api import wire
from tollway_api.meta import TenantName

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
EDITED = SETUP.but(policy={"priority": 7})


@pytest.mark.parametrize(
    "point",
    [
        "kube.write_lease",
        "before:provision",
        "redis.create",
        "after:provision",
        "kube.write_secret",
        "kube.write_secret*2",
        "after:publish",
        "after:notify",
        "pods._ask",
        "pods._ask*2",
        "after:look",
        "kube.set_finalizers",
        "after:delete",
        "kube.apply_status",
        "kube.apply_status*3",
        "kube.emit",
    ],
)
def test_killed_at_any_step_its_successor_converges_and_nothing_is_left_twice(
    installation: Installation, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.apply(*SETUP.objects())
    monkeypatch.setenv("FAULT_POINT", point)
    with installation.light_pod("dp-1") as pod:
        with installation.operator("op-1", "tests.faulty_operator") as victim:
            if "*" in point:
                wait_for(lambda: pod.revision is not None, "it has published")
                installation.apply(*EDITED.objects())
            assert victim.process.process.wait(20) == -9
        installation.expire_lease()
        with installation.operator("op-2"):
            installation.until_ready()
            head = installation.head()
            assert head is not None
            assert pod.revision == head.revision
            assert list(pod.live.current().snapshot.sources) == installation.sources()
            with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
                wanted = wire.index_name(compiled(SETUP.objects()).indexes["default/answers"].version)
                assert client.execute_command("FT._LIST") == [wanted.encode()]
            secrets = installation.admin.get(f"/api/v1/namespaces/{NAMESPACE}/secrets").json()["items"]
            names = [each["metadata"]["name"] for each in secrets]
            assert names == ["tollway-admin-token", "tollway-snapshot"]
            assert installation.get("SemanticCacheIndex", "answers")["metadata"]["finalizers"] == [
                "tollway.dev/remembered-answers"
            ]


@pytest.mark.parametrize("point", ["kube.write_secret", "redis.drop", "redis.forget", "kube.set_finalizers"])
def test_killed_while_it_deletes_an_index_its_successor_leaves_nothing_behind(
    installation: Installation, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        installation.light_pod("dp-1"),
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        with installation.operator("op-1"):
            installation.apply(*SETUP.objects())
            installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        index = compiled(SETUP.objects()).indexes["default/answers"]
        for number in range(700):
            partition = wire.index_tag(index.id) + f"{number:024x}"
            client.hset(wire.entry_key(partition, "e"), "body", "x")
            client.hset(wire.vector_key(index.version, partition, "e"), "partition", partition)
        client.hset(wire.reembedding_keys(index.version.name)[0], "done", "7")
        client.hset(wire.served_key(index.id, "req-1"), "entry", "e")
        installation.delete("SemanticCacheIndex", "answers")
        monkeypatch.setenv("FAULT_POINT", point)
        with installation.operator("op-2", "tests.faulty_operator") as victim:
            assert victim.process.process.wait(20) == -9
        installation.expire_lease()
        with installation.operator("op-3"):
            wait_for(lambda: not installation.get("SemanticCacheIndex", "answers"), "it is gone")
            assert client.execute_command("FT._LIST") == []
            assert client.keys("*") == [wire.FENCE_KEY.encode()]


@pytest.mark.parametrize("seconds", [86_400, -86_400], ids=["a day ahead", "a day back"])
def test_a_clock_that_jumps_changes_nothing_but_times(
    installation: Installation, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT_POINT", f"clock:{seconds}")
    only_times_change(installation, "tests.faulty_operator", lambda: None)


def test_a_clock_that_jumps_back_for_its_libraries_too_changes_nothing_but_times(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if clocks.LIBRARY is None:
        pytest.skip("NO CLOCK THAT CAN BE SET, so this was not tested: apt-get install faketime")
    offset = tmp_path / "offset"
    offset.write_text("+0\n", encoding="ascii")
    monkeypatch.setattr(installation, "process", clocks.beside(clocks.LIBRARY, offset))

    def jump() -> None:
        monkeypatch.undo()  # a successor's clock is right
        offset.write_text("-86400\n", encoding="ascii")

    only_times_change(installation, "tollway_operator", jump)
    (log,) = installation.folder.glob("op-1-*.log")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert len({json.loads(each)["timestamp"][:10] for each in lines if each.startswith("{")}) > 1, (
        "it jumped"
    )


def only_times_change(installation: Installation, module: str, jump: Callable[[], None]) -> None:
    """Neither who leads, nor which of two publications pods take for the newer, nor what is deleted."""
    with installation.light_pod("dp-1") as pod, installation.operator("op-1", module) as one:
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        before = installation.head()
        jump()
        with installation.operator("op-2") as two:
            wait_for(lambda: two.logged("complete"), "a standby whose clock is right watches")
            installation.apply(*EDITED.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            time.sleep(5)
            assert not two.logged('"leads"'), "a Lease is not late because its clock is"
            jumped = installation.head()
            assert before is not None
            assert jumped is not None
            assert jumped.order > before.order
            assert pod.revision == jumped.revision
            assert one.process.stop() == 0
            installation.apply(*SETUP.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            after = installation.head()
            assert after is not None
            assert after.order > jumped.order, "although the clock that it was written by is behind"
            assert after.fence > jumped.fence
            assert pod.revision == after.revision
            assert list(pod.live.current().snapshot.sources) == installation.sources()


def test_a_providers_key_that_is_deleted_and_put_back_is_missed_and_used_again(
    installation: Installation,
) -> None:
    model = {"credentialsRef": {"name": "provider"}}
    setup = SETUP.but(cheap_model=model, others=(secret("provider", "sk-first"),))

    def key(pod: LightPod) -> str | None:
        (policy,) = pod.live.current().snapshot.policies
        return policy.models["cheap"].api_key  # type: ignore[index]  # a ModelName is a str

    with installation.light_pod("dp-1") as pod, installation.operator():
        installation.apply(*setup.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        assert key(pod) == "sk-first"
        installation.delete("Secret", "provider")
        missing = installation.until("RoutingPolicy", "chat", "ResolvedRefs", "MissingSecret")
        assert "no Secret 'provider' in namespace 'default'; create it" in missing["message"]
        assert installation.condition("RoutingPolicy", "chat", "Accepted")["status"] == "True"
        # Who needs no key of theirs is served all the while.
        installation.until("TenantBudget", "acme", "Ready", "Ready")
        installation.apply(secret("provider", "sk-second"))
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        wait_for(lambda: key(pod) == "sk-second", "the pod has the new key")
        # Rotated in place, which no event tells us of, while somebody misses more than can be looked for at once.
        missing_keys = [{"secretRef": {"name": f"missing-{number}"}} for number in range(64)]
        installation.apply(manifest("TenantBudget", "greedy", {"apiKeys": missing_keys}))
        installation.until("TenantBudget", "greedy", "ResolvedRefs", "MissingSecret")
        installation.apply(secret("provider", "sk-third"))
        wait_for(lambda: key(pod) == "sk-third", "and the next one")

        def shown() -> object:
            return installation.get("RoutingPolicy", "chat")["status"]["dataPlane"]["revision"]

        wait_for(lambda: shown() == pod.revision, "which is said to be the one that it runs", 10)


def test_a_role_that_loses_secrets_takes_nothing_from_anybody_and_is_named_to_who_comes_new(
    installation: Installation,
) -> None:
    with ExitStack() as stack, installation.light_pod("dp-1") as pod:
        stack.callback(installation.prepare)
        with installation.operator() as operator:
            installation.apply(*SETUP.objects())
            installation.until_ready()
            before = pod.revision
            forbid_secrets(installation)
            wait_for(lambda: operator.logged("a Secret cannot be read"), "it is refused")
            installation.until("TenantBudget", "acme", "ResolvedRefs", "StaleSecret")
            key = {"apiKeys": [{"secretRef": {"name": "late"}}]}
            installation.apply(secret("late", "late-key"), manifest("TenantBudget", "late", key))
            said = installation.until("TenantBudget", "late", "ResolvedRefs", "UnreadableSecret")
            assert "Secret 'late' in namespace 'default' may not be read: " in said["message"]
            installation.until("TenantBudget", "late", "Programmed", "NotResolved")
            assert pod.revision == before
            assert installation.condition("TenantBudget", "acme", "Ready")["status"] == "True"
        # One that was never able to read them goes on from what was published, and from no more than that: a key that
        # another Secret held is not taken for the one that is named now.
        installation.delete("TenantBudget", "beta")
        swapped = {"apiKeys": [{"secretRef": {"name": "beta-new"}}]}
        installation.apply(secret("beta-new", "new-key"), manifest("TenantBudget", "beta", swapped))
        same = {"apiKeys": [{"secretRef": {"name": "acme"}}], "alertThresholdPercent": 70}
        installation.apply(manifest("TenantBudget", "acme", same))
        with installation.operator():
            installation.apply(manifest("SemanticCacheIndex", "more", {}))
            installation.until("SemanticCacheIndex", "more", "Ready", "Ready")
            running = pod.live.current().snapshot
            assert "default/more" in running.indexes
            assert {name: len(each.key_digests) for name, each in running.tenants.items()} == {"acme": 1}
            assert running.tenants[TenantName("acme")].alert_threshold_percent == 70
            said = installation.until("TenantBudget", "acme", "ResolvedRefs", "StaleSecret")
            assert said["status"] == "True"
            assert "what it held before goes on" in said["message"]
            installation.until("TenantBudget", "beta", "ResolvedRefs", "UnreadableSecret")
            installation.prepare()
            for name in ("late", "beta"):
                installation.until("TenantBudget", name, "Ready", "Ready")
            installation.until("TenantBudget", "acme", "ResolvedRefs", "Resolved")


def test_what_stands_is_damaged_and_secrets_may_not_be_read_so_nothing_takes_its_place(
    installation: Installation,
) -> None:
    with damaged_while_blind(installation) as (pod, _):
        before = pod.revision
        with installation.operator():
            installation.apply(*EDITED.objects())
            said = installation.until("RoutingPolicy", "chat", "Programmed", "NotPublished")
            assert "Secret tollway-snapshot is damaged" in said["message"]
            assert pod.revision == before
            installation.prepare()
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")


def test_what_stood_is_put_back_and_is_all_there_is_to_know_of_secrets_that_may_not_be_read(
    installation: Installation,
) -> None:
    with damaged_while_blind(installation) as (pod, good), installation.operator():
        installation.apply(*EDITED.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "NotPublished")
        installation.write_snapshot(good)
        installation.apply(*SETUP.but(policy={"priority": 8}).objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        installation.until("TenantBudget", "acme", "ResolvedRefs", "StaleSecret")
        assert set(pod.live.current().snapshot.tenants) == {"acme", "beta"}


def test_a_standby_that_saw_what_stood_damaged_knows_what_its_leader_has_published_since(
    installation: Installation,
) -> None:
    with ExitStack() as stack, installation.light_pod("dp-1") as pod:
        stack.callback(installation.prepare)
        with installation.operator("op-1", resync_s="60") as one:
            installation.apply(*SETUP.objects())
            installation.until_ready()
            forbid_secrets(installation)
            for name in ("acme", "beta"):
                installation.until("TenantBudget", name, "ResolvedRefs", "StaleSecret")
            installation.write_snapshot({"part": b"damaged"})
            with installation.operator("op-2") as two:
                wait_for(lambda: two.logged("is damaged"), "the standby has looked at it")
                installation.apply(*EDITED.objects())
                installation.until("RoutingPolicy", "chat", "Ready", "Ready")
                assert one.process.stop() == 0
                installation.apply(*SETUP.objects())
                installation.until("RoutingPolicy", "chat", "Ready", "Ready")
                assert two.logged('"published"')
                assert set(pod.live.current().snapshot.tenants) == {"acme", "beta"}


def test_what_stood_is_gone_and_secrets_may_not_be_read_so_nothing_takes_its_place(
    installation: Installation,
) -> None:
    with ExitStack() as stack, installation.light_pod("dp-1") as pod:
        stack.callback(installation.prepare)
        forbid_secrets(installation)
        with installation.operator():
            installation.apply(*SETUP.objects())
            # Nothing has ever stood, so nobody loses anything.
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            installation.prepare()
            installation.until_ready()
        forbid_secrets(installation)
        before = pod.revision
        installation.delete("Secret", "tollway-snapshot", NAMESPACE)
        with installation.operator():
            installation.apply(*EDITED.objects())
            said = installation.until("RoutingPolicy", "chat", "Programmed", "NotPublished")
            assert "Secret tollway-snapshot is not there" in said["message"]
            assert pod.revision == before
            installation.prepare()
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")


@contextmanager
def damaged_while_blind(installation: Installation) -> Iterator[tuple[LightPod, dict[str, bytes]]]:
    """What was published is damaged while nobody operates, and Secrets may not be read until they may again; with what
    it was.
    """
    with ExitStack() as stack, installation.light_pod("dp-1") as pod:
        stack.callback(installation.prepare)
        with installation.operator():
            installation.apply(*SETUP.objects())
            installation.until_ready()
        good = installation.snapshot()
        forbid_secrets(installation)
        installation.write_snapshot({"part": b"damaged"})
        yield pod, good


def forbid_secrets(installation: Installation) -> None:
    installation.take("clusterrole", lambda rule: rule["resources"] == ["secrets"])


@pytest.mark.long
def test_an_api_server_that_is_killed_and_comes_back_is_caught_up_with(installation: Installation) -> None:
    """By the leader, which is told 410, since etcd has been compacted, and nothing of what was deleted meanwhile."""
    server = installation.server
    with installation.light_pod("dp-1") as pod, ExitStack() as stack:
        operator = stack.enter_context(installation.operator("op-1"))
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        before = pod.revision
        seen = installation.get("TenantBudget", "beta")["metadata"]["resourceVersion"]
        server.compact()
        server.stop("kube-apiserver")
        time.sleep(1)
        assert pod.revision == before, "pods serve on"
        operator.process.process.send_signal(signal.SIGSTOP)
        try:
            server.start("kube-apiserver")
            server.wait_until_ready()
            wait_for(lambda: is_forgotten(installation, seen), "it is told 410")
            installation.apply(*EDITED.objects())
            installation.delete("TenantBudget", "beta")
        finally:
            operator.process.process.send_signal(signal.SIGCONT)

        def caught_up() -> bool:
            return set(pod.live.current().snapshot.tenants) == {"acme"}

        ended = operator.process.process.poll
        wait_for(lambda: caught_up() or ended() is not None, "beta is gone, or the Lease", 60)
        if ended() is not None:
            # Ten seconds without its Lease, on a slow machine, and a leader ends; the kubelet would begin it anew.
            stack.enter_context(installation.operator("op-2"))
        wait_for(caught_up, "beta is gone", 60)
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        assert pod.revision != before
        assert list(pod.live.current().snapshot.sources) == installation.sources()


def test_an_operator_that_was_cut_off_catches_up_with_what_changed(installation: Installation) -> None:
    with proxy(installation.server.url) as way, installation.light_pod("dp-1") as pod:
        installation.api_url = way.url
        with installation.operator() as operator:
            installation.apply(*SETUP.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            way.cut()
            installation.apply(*EDITED.objects())
            installation.delete("TenantBudget", "beta")
            time.sleep(3)
            way.restore()
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            wait_for(lambda: set(pod.live.current().snapshot.tenants) == {"acme"}, "beta is gone")
            assert list(pod.live.current().snapshot.sources) == installation.sources()
            assert operator.process.process.poll() is None


@pytest.mark.long
def test_one_that_was_cut_off_for_so_long_that_it_is_told_410_catches_up_too(
    installation: Installation,
) -> None:
    """A standby, since a leader that cannot renew its Lease ends."""
    with proxy(installation.server.url) as way, installation.light_pod("dp-1") as pod, ExitStack() as stack:
        leader = stack.enter_context(installation.operator("op-1"))
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        seen = installation.get("TenantBudget", "beta")["metadata"]["resourceVersion"]
        installation.api_url = way.url
        standby = stack.enter_context(installation.operator("op-2"))
        wait_for(lambda: loopback.get(f"{standby.url}/readyz").status_code == 200, "it has seen everything")
        leader.process.stop(signal.SIGKILL)
        way.cut()
        installation.apply(*EDITED.objects())
        installation.delete("TenantBudget", "beta")
        forget(installation, seen)
        way.restore()
        # Nobody says what was deleted: there is only a new list, without it.
        wait_for(lambda: set(pod.live.current().snapshot.tenants) == {"acme"}, "beta is gone", 60)
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        assert standby.process.process.poll() is None


def forget(installation: Installation, version: str) -> None:
    """Has the API server know nothing of what happened since a resource version: etcd is compacted, and what the API
    server remembers itself ends with its process.
    """
    server = installation.server
    server.compact()
    server.stop("kube-apiserver")
    server.start("kube-apiserver")
    server.wait_until_ready()
    wait_for(lambda: is_forgotten(installation, version), "it is told 410")


def is_forgotten(installation: Installation, version: str) -> bool:
    watch = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "1"}
    return (
        '"code":410' in installation.admin.get("/apis/tollway.dev/v1alpha1/tenantbudgets", params=watch).text
    )


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
    known = f"/apis/{flow_control}/flowschemas/one-seat"
    wait_for(lambda: "Found" in installation.admin.get(known).text, "it is known")
    place = urlsplit(installation.server.url)
    context = ssl.create_default_context(cafile=str(installation.server.ca))
    token = installation.token("tollway-operator")
    request = (
        f"POST /api/v1/namespaces/{NAMESPACE}/secrets HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Authorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    nothing = f"/api/v1/namespaces/{NAMESPACE}/secrets/tollway-snapshot"
    try:
        with ExitStack() as stack, installation.server.client(token) as other:
            while True:
                plain = stack.enter_context(socket.create_connection((place.hostname, place.port)))
                sitting = stack.enter_context(context.wrap_socket(plain, server_hostname=place.hostname))
                sitting.sendall(request.encode())
                sitting.settimeout(1.0)
                try:
                    sitting.recv(1)  # an answer: somebody else has the seat just now
                except TimeoutError:
                    # Nobody else has it, or the answer is late: whoever comes now can tell.
                    if all(other.get(nothing).status_code == 429 for _ in range(5)):
                        break
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
            time.sleep(2)  # in which some of what it asks for is let through, and mostly not all
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        assert operator.process.process.poll() is None


def within(namespace: str) -> list[dict[str, object]]:
    return [{**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in SETUP.objects()]  # type: ignore[dict-item]  # an object of YAML is anything


def test_a_namespace_that_is_deleted_takes_its_objects_along(installation: Installation) -> None:
    installation.kubectl("create", "namespace", "team-a")
    with installation.light_pod("dp-1") as pod, installation.operator():
        installation.apply(*within("team-a"))
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready", "team-a")
        installation.kubectl("delete", "namespace", "team-a", "--timeout=60s")
        wait_for(lambda: not pod.live.current().snapshot.tenants, "its tenants are gone")
        with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
            assert client.execute_command("FT._LIST") == []


@pytest.mark.long
@pytest.mark.parametrize("away", [False, True], ids=["while it runs", "while it is away"])
def test_a_listed_namespace_that_is_deleted_is_let_go_although_the_role_in_it_goes_first(
    installation: Installation, *, away: bool
) -> None:
    listed = ("team-b", "default", NAMESPACE)
    settings = {"watch_namespaces": ",".join(listed), "watch_stale_s": "10"}

    def delete() -> None:
        installation.kubectl("delete", "rolebinding", "-n", "team-b", f"tollway-operator-{NAMESPACE}")
        installation.kubectl("delete", "namespace", "team-b", "--wait=false")

    installation.kubectl("create", "namespace", "team-b")
    with (
        ExitStack() as stack,
        installation.listed_namespaces(*listed),
        installation.light_pod("dp-1") as pod,
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        operator = stack.enter_context(installation.operator("op-1", **settings))
        installation.apply(*within("team-b"))
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready", "team-b")
        if away:
            assert operator.process.stop() == 0
            delete()
            installation.expire_lease()
            operator = stack.enter_context(installation.operator("op-2", **settings))
        else:
            delete()
        installation.kubectl("wait", "--for=delete", "namespace/team-b", "--timeout=60s")
        wait_for(lambda: not pod.live.current().snapshot.tenants, "its tenants are gone")
        assert client.execute_command("FT._LIST") == []
        time.sleep(12)  # longer than a watch may be silent
        assert loopback.get(f"{operator.url}/livez").status_code == 200
        assert loopback.get(f"{operator.url}/readyz").status_code == 200
        installation.apply(*SETUP.objects())
        installation.until_ready()
        installation.kubectl("create", "namespace", "team-b")
        time.sleep(6)
        assert loopback.get(f"{operator.url}/livez").status_code == 200, "although its role is late"
        assert not operator.logged("failed; will retry"), "of which kopf would end"
        installation.let_watch("team-b")
        installation.apply(*(each for each in within("team-b") if each["kind"] == "SemanticCacheIndex"))
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready", "team-b")
        installation.kubectl("delete", "namespace", "team-b", "--timeout=60s")
        assert operator.process.stop() == 0, "and it was the same process all the time"
