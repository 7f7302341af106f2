"""From `kubectl apply` to every pod acknowledged, on a real API server, and what `kubectl` shows of it."""

import base64
import time

import pytest
import redis

from tests.dataplanes import ACME_KEY, Setup, manifest, secret
from tests.installation import NAMESPACE, Installation
from tests.processes import wait_for

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
KINDS = (("RoutingPolicy", "chat"), ("TenantBudget", "acme"), ("SemanticCacheIndex", "answers"))


def test_what_is_applied_is_programmed_in_every_pod_and_kubectl_tells_so(installation: Installation) -> None:
    with (
        installation.light_pod("dp-1") as one,
        installation.light_pod("dp-2") as two,
        installation.operator(),
    ):
        installation.kubectl.apply(*SETUP.objects())
        assert "condition met" in installation.kubectl(
            "wait", "--for=condition=Ready", "rp/chat", "tb/acme", "sci/answers", "--timeout=30s"
        )
        head = installation.head()
        assert head is not None
        assert one.revision == two.revision == head.revision

        shown = installation.kubectl("get", "tollway", "-A")
        for words in (
            ["NAMESPACE", "NAME", "READY", "PROGRAMMED", "ACKNOWLEDGED", "PODS", "AGE"],
            ["default", "routingpolicy.tollway.dev/chat", "True", "True", "2", "2"],
            ["default", "semanticcacheindex.tollway.dev/answers", "True", "True", "default.answers."],
            ["default", "tenantbudget.tollway.dev/acme", "True", "True"],
        ):
            assert any(all(word in line for word in words) for line in shown.splitlines()), shown
        described = installation.kubectl("describe", "rp", "chat")
        assert "Every ready pod runs it." in described
        assert "Ready is True" in described, "the event"
        assert "Which requests. Empty: all." in installation.kubectl("explain", "routingpolicy.spec")


def test_applying_again_shows_no_difference_and_the_operator_owns_the_status_alone(
    installation: Installation,
) -> None:
    with installation.light_pod("dp-1"), installation.operator():
        installation.kubectl.apply(*SETUP.objects())
        installation.until_ready()
        folder = installation.folder / "applied.yaml"
        folder.write_text(SETUP.yaml(), encoding="utf-8")
        assert installation.kubectl("diff", "-f", str(folder)) == ""
        for kind, name in KINDS:
            managers = installation.get(kind, name)["metadata"]["managedFields"]
            ours = [each for each in managers if each["manager"] == "tollway-operator"]
            for each in ours:
                fields = set(each["fieldsV1"])
                if kind == "SemanticCacheIndex" and each.get("subresource") != "status":
                    assert set(each["fieldsV1"]["f:metadata"]) == {"f:finalizers"}
                else:
                    assert each["subresource"] == "status"
                    assert fields == {"f:status"}
            assert {each["manager"] for each in managers} <= {"kubectl-client-side-apply", "tollway-operator"}


def test_a_mistake_in_one_object_is_its_own_and_mending_it_is_enough(installation: Installation) -> None:
    with installation.light_pod("dp-1") as pod, installation.operator():
        installation.apply(*SETUP.objects())
        installation.until_ready()
        good = pod.revision
        unknown = manifest("RoutingPolicy", "wrong", {"models": [{"name": "a", "model": "no-such-model"}]})
        keyless = manifest("TenantBudget", "keyless", {"apiKeys": [{"secretRef": {"name": "absent"}}]})
        twin = manifest(
            "TenantBudget", "twin", {"tenant": "acme", "apiKeys": [{"secretRef": {"name": "beta"}}]}
        )
        installation.apply(unknown, keyless, twin)
        refused = installation.until("RoutingPolicy", "wrong", "Accepted", "UnknownModel")
        assert "spec.models[0].model: unknown model id 'no-such-model'" in refused["message"]
        installation.until("RoutingPolicy", "wrong", "Programmed", "NotAccepted")
        missing = installation.until("TenantBudget", "keyless", "ResolvedRefs", "MissingSecret")
        assert "no Secret 'absent' in namespace 'default'; create it" in missing["message"]
        assert installation.condition("TenantBudget", "keyless", "Accepted")["status"] == "True"
        conflict = installation.until("TenantBudget", "twin", "Accepted", "Conflict")
        assert "TenantBudget default/acme" in conflict["message"]
        installation.until_ready()
        assert pod.revision == good, "nothing that works has changed"

        installation.apply(secret("absent", "a-key-at-last"))
        installation.until("TenantBudget", "keyless", "Ready", "Ready")
        installation.delete("Secret", "absent")
        installation.until("TenantBudget", "keyless", "ResolvedRefs", "MissingSecret")
        installation.apply(secret("absent", "another-key"))
        installation.until("TenantBudget", "keyless", "Ready", "Ready")


def test_an_index_with_a_mistake_costs_its_policies_the_cache_and_says_so(installation: Installation) -> None:
    setup = SETUP.but(index={"embedding": {"dimensions": 512}})
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*setup.objects())
        installation.until("SemanticCacheIndex", "answers", "Accepted", "Invalid")
        warned = installation.until("RoutingPolicy", "chat", "ResolvedRefs", "UnknownReference")
        assert "runs without a cache until it is mended" in warned["message"]
        assert installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        installation.until("TenantBudget", "acme", "Ready", "Ready")


def test_deleting_adding_again_renaming_and_editing_twice_all_end_right(installation: Installation) -> None:
    with installation.light_pod("dp-1") as pod, installation.operator():
        installation.apply(*SETUP.objects())
        installation.until_ready()
        first = pod.revision
        installation.kubectl("delete", "tb", "beta", "--wait=true")
        wait_for(lambda: pod.revision != first, "the pod runs without beta")
        installation.apply(*SETUP.objects())
        installation.until("TenantBudget", "beta", "Ready", "Ready")

        renamed = manifest("TenantBudget", "gamma", {"apiKeys": [{"secretRef": {"name": "beta"}}]})
        installation.apply(renamed)
        installation.until("TenantBudget", "gamma", "Accepted", "Conflict")
        installation.delete("TenantBudget", "beta")
        installation.until("TenantBudget", "gamma", "Ready", "Ready")

        for words in (10, 20, 30):
            installation.apply(
                *SETUP.but(policy={"route": {"complexity": {"wordThreshold": words}}}).objects()
            )
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        assert installation.get("RoutingPolicy", "chat")["metadata"]["generation"] == 4
        (policy,) = pod.live.current().snapshot.policies
        assert policy.route.word_threshold == 30


def test_keys_leave_the_operator_as_digests_and_no_secret_is_read_unnamed_or_told_of(
    installation: Installation,
) -> None:
    others = (secret("provider", "sk-provider-key"), secret("unnamed", "nobody-names-it"))
    setup = SETUP.but(cheap_model={"credentialsRef": {"name": "provider"}}, others=others)
    since = installation.server.audit_log.stat().st_size
    with installation.light_pod("dp-1") as pod, installation.operator() as operator:
        installation.apply(*setup.objects())
        installation.until_ready()
        snapshot = pod.live.current().snapshot
        assert ACME_KEY not in repr(snapshot.tenants)
        assert snapshot.policies[0].models["cheap"].api_key == "sk-provider-key"  # type: ignore[index]  # a ModelName is a str
        told = (
            installation.kubectl("get", "tollway,events", "-A", "-o", "yaml"),
            operator.process.output,
            operator.metrics(),
        )
    encoded = installation.kubectl(
        "get", "secret", "-n", NAMESPACE, "tollway-admin-token", "-o", "jsonpath={.data.token}"
    )
    token = base64.b64decode(encoded).decode()
    assert len(token) > 20
    for place in told:
        for private in (ACME_KEY, "sk-provider-key", token, encoded):
            assert private not in place
    read = {
        (each.namespace, each.name)
        for each in installation.server.audited(since, "tollway-operator")
        if each.resource == "secrets" and each.verb != "create"
    }
    named = {("default", "acme"), ("default", "beta"), ("default", "provider")}
    assert {each for each in read if each[0] != NAMESPACE} == named
    assert all(name.startswith("tollway-") for namespace, name in read if namespace == NAMESPACE)


def test_an_index_that_is_deleted_as_soon_as_it_is_made_leaves_nothing_behind(
    installation: Installation,
) -> None:
    with (
        installation.light_pod("dp-1"),
        installation.operator(),
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        for number in range(10):
            installation.apply(manifest("SemanticCacheIndex", f"brief-{number}", {}))
            made = f".brief-{number}.".encode()
            wait_for(
                lambda made=made: any(made in name for name in client.execute_command("FT._LIST")),  # type: ignore[misc]  # mypy does not type a lambda with a default
                "it is made",
            )
            installation.delete("SemanticCacheIndex", f"brief-{number}")
        wait_for(lambda: client.execute_command("FT._LIST") == [], "all are gone")
        wait_for(lambda: not installation.get("SemanticCacheIndex", "brief-9"), "the last object too")


@pytest.mark.long
def test_nothing_is_written_while_nothing_changes(installation: Installation) -> None:
    """Over a minute, by the API server's own record."""
    with installation.light_pod("dp-1"), installation.operator() as operator:
        installation.apply(*SETUP.objects())
        installation.until_ready()
        time.sleep(3)
        since = installation.server.audit_log.stat().st_size
        time.sleep(60)
        writes = [each for each in installation.server.audited(since, "tollway-operator") if each.writes]
        assert {each.resource for each in writes} <= {"leases"}, writes
        assert "tollway_operator_status_writes_total 4.0" in operator.metrics()


@pytest.mark.parametrize("damage", ["deleted", "damaged"])
def test_a_snapshot_that_somebody_damages_is_refused_and_made_good(
    installation: Installation, damage: str
) -> None:
    with installation.light_pod("dp-1") as pod, installation.operator():
        installation.apply(*SETUP.objects())
        installation.until_ready()
        before, head = pod.revision, installation.head()
        assert head is not None
        if damage == "deleted":
            installation.delete("Secret", "tollway-snapshot", NAMESPACE)
        else:
            patch = '{"data": {"part": "bm90aGluZyBvZiB0aGUga2luZA=="}}'
            installation.kubectl("patch", "secret", "-n", NAMESPACE, "tollway-snapshot", "-p", patch)

        def good_again() -> bool:
            now = installation.head()
            return now is not None and now.order > head.order and now.digest == head.digest

        wait_for(good_again, "it is written again")
        assert pod.revision == before
