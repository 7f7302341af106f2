"""What budgets and indexes say of themselves: read from the real Redis."""

import asyncio
import json
import time

import pytest
import redis

from tests import loopback
from tests.conditions import condition_in
from tests.dataplanes import Setup, compiled, manifest, secret
from tests.installation import PLURALS, Installation
from tests.pod_faults import Fault
from tests.processes import wait_for
from tests.tenants import sharing, tenant
from tollway_api import wire
from tollway_api.meta import Identity, TenantName
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_operator.errors import Conflict
from tollway_operator.kube import Kube

LIMITS = [
    {"name": "money", "unit": "USD", "amount": "1.00"},
    {"name": "requests", "unit": "Requests", "amount": "10", "window": {"rolling": "1h"}},
]
SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", acme={"limits": LIMITS})


async def test_a_budget_shows_what_is_used_held_and_left_and_when_it_is_exceeded(
    installation: Installation,
) -> None:
    acme = compiled(SETUP.objects()).tenants[TenantName("acme")]
    client = connect(installation.ledger.url, 1.0)
    ledger = RedisLedger(client, 1.0)
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*SETUP.objects())
        installation.until("TenantBudget", "acme", "WithinBudget", "WithinBudget")
        await ledger.hold(acme, "one", [250_000_000, 1])
        await ledger.settle(acme, "one", [123_450_000, 1])
        await ledger.hold(acme, "two", [100_000_000, 1])

        def limits() -> dict[str, dict[str, object]]:
            return {
                each["name"]: each for each in installation.get("TenantBudget", "acme")["status"]["limits"]
            }

        wait_for(lambda: limits()["money"]["held"] == "0.1", "the hold is shown")
        money, requests = limits()["money"], limits()["requests"]
        assert (money["used"], money["remaining"], money["percent"]) == ("0.12345", "0.77655", 22)
        assert str(money["resetsAt"]).endswith("T00:00:00Z")
        assert (requests["used"], requests["held"], requests["remaining"]) == ("1", "1", "8")
        assert "resetsAt" not in requests
        assert " 22 " in installation.kubectl("get", "tb", "acme", "--no-headers")

        await ledger.settle(acme, "two", [700_000_000, 8])
        alerted = installation.until("TenantBudget", "acme", "WithinBudget", "BudgetAlert")
        assert alerted["message"] == "Limit requests is above 80 %."
        await ledger.settle(acme, "three", [500_000_000, 0])
        exceeded = installation.until("TenantBudget", "acme", "WithinBudget", "BudgetExceeded")
        assert exceeded["message"].startswith("Limit money is used up until ")
        assert installation.condition("TenantBudget", "acme", "Ready")["status"] == "True"
    await client.aclose()

    def said() -> tuple[object, ...]:
        found = installation.get("TenantBudget", "acme")
        return found["status"]["limits"], condition_in(found, "WithinBudget")

    before = said()
    with installation.operator("op-2", usage_refresh_s="5") as successor:
        wait_for(lambda: "tollway_operator_leads 1" in successor.metrics(), "it leads")
        for _ in range(20):
            await asyncio.sleep(0.2)
            assert said() == before, "a successor unsays nothing"


async def test_a_shared_budget_says_whom_it_covers_as_labels_change_and_what_they_have_used(
    installation: Installation,
) -> None:
    shared = {"scope": "Namespace", "selector": {"matchLabels": {"stage": "trial"}}, "limits": LIMITS[:1]}
    usurper = {"scope": "Installation", "limits": LIMITS[:1]}
    client = connect(installation.ledger.url, 1.0)

    def covers() -> object:
        return installation.get("TenantBudget", "team")["status"].get("covers")

    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*SETUP.objects(), manifest("TenantBudget", "team", shared))
        installation.apply(manifest("TenantBudget", "usurper", usurper))
        installation.until("TenantBudget", "team", "Ready", "Ready")
        assert (
            "no tenant's TenantBudget has these labels"
            in (installation.condition("TenantBudget", "team", "Accepted")["message"])
        )
        assert covers() == 0
        refused = installation.until("TenantBudget", "usurper", "Accepted", "Invalid")
        assert "is taken in namespace 'tollway-system' alone" in refused["message"]
        installation.kubectl("label", "tb", "acme", "stage=trial")
        wait_for(lambda: covers() == 1, "the label is seen")
        installation.until("TenantBudget", "acme", "Ready", "Ready")
        team = compiled([manifest("TenantBudget", "team", {"scope": "Namespace", "limits": LIMITS[:1]})])
        member = sharing(tenant(name="somebody"), *team.shared.values())
        await RedisLedger(client, 1.0).settle(member, "one", [10**9])
        installation.until("TenantBudget", "team", "WithinBudget", "BudgetExceeded")
        wait_for(
            lambda: (
                "Limit default/team/money, which it shares, is used up until "
                in installation.condition("TenantBudget", "acme", "WithinBudget")["message"]
            ),
            "who shares it says so",
        )
        assert "Namespace" in installation.kubectl("get", "tb", "team", "--no-headers")
    await client.aclose()


MISTAKES = (
    ("cache", "maxmemory-policy", ("noeviction", "allkeys-lru"), "RedisEvictionPolicy", "set allkeys-lru"),
    ("cache", "maxmemory", ("0", "256mb"), "RedisNoMemoryLimit", "set maxmemory"),
    ("ledger", "maxmemory-policy", ("allkeys-lru", "noeviction"), "LedgerMayEvict", "set noeviction"),
    ("ledger", "appendonly", ("no", "yes"), "LedgerNotPersistent", "set appendonly yes"),
)


def test_an_account_that_somebody_has_damaged_is_its_own_tenants_trouble(installation: Installation) -> None:
    damaged = wire.ledger_keys(TenantName("acme")).spent
    setup = SETUP.but(beta={"limits": LIMITS})
    with (
        installation.light_pod("dp-1"),
        installation.operator(),
        redis.Redis("127.0.0.1", port=installation.ledger.port) as client,
    ):
        client.hset(damaged, "money:1", "a lot")
        installation.apply(*setup.objects())
        installation.until("TenantBudget", "beta", "WithinBudget", "WithinBudget")
        said = installation.until("TenantBudget", "acme", "WithinBudget", "Pending")
        assert said["status"] == "Unknown"
        client.delete(damaged)
        installation.until("TenantBudget", "acme", "WithinBudget", "WithinBudget")
        client.delete(damaged)
        client.set(damaged, "no hash at all")
        installation.until("TenantBudget", "acme", "WithinBudget", "Pending")
        installation.until("TenantBudget", "beta", "WithinBudget", "WithinBudget")
        client.delete(damaged)
        installation.until("TenantBudget", "acme", "WithinBudget", "WithinBudget")


def test_a_snapshot_that_is_too_large_is_told_of_and_what_runs_stays(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT_POINT", "travel:64")
    with installation.light_pod("dp-1") as pod:
        installation.apply(*SETUP.objects())
        with installation.operator("op-1", "tests.faulty_operator"):
            said = installation.until("RoutingPolicy", "chat", "Programmed", "NotPublished")
            assert (said["status"], "64 is the most" in said["message"]) == ("False", True)
            installation.until("RoutingPolicy", "chat", "Ready", "NotPublished")
        with installation.operator("op-2"):
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        runs = pod.revision
        with installation.operator("op-3", "tests.faulty_operator"):
            installation.apply(*SETUP.but(acme={"alertThresholdPercent": 50}).objects())
            installation.until("TenantBudget", "acme", "Programmed", "NotPublished")
            assert installation.condition("RoutingPolicy", "chat", "Programmed")["status"] == "True"
            assert pod.revision == runs


async def test_a_status_is_written_to_the_object_that_was_seen_and_to_no_other(
    installation: Installation, kube: Kube
) -> None:
    installation.apply(*SETUP.objects())
    identity, status = Identity("RoutingPolicy", "default", "chat"), {"dataPlane": {"ready": 1}}

    def version() -> str:
        return str(installation.get("RoutingPolicy", "chat")["metadata"]["resourceVersion"])

    before = version()
    assert await kube.apply_status(identity, before, status) == version()
    with pytest.raises(Conflict):
        await kube.apply_status(identity, before, {})
    assert installation.get("RoutingPolicy", "chat")["status"]["dataPlane"]["ready"] == 1
    edited = version()
    installation.delete("RoutingPolicy", "chat")
    installation.apply(*SETUP.objects())
    with pytest.raises(Conflict):
        await kube.apply_status(identity, edited, status)
    assert "status" not in installation.get("RoutingPolicy", "chat")


def test_how_redis_is_set_up_is_said_and_not_held_against_the_index(installation: Installation) -> None:
    with installation.light_pod("dp-1"), installation.operator(resync_s="1"):
        installation.apply(*SETUP.objects())
        for role, setting, (wrong, right), reason, remedy in MISTAKES:
            server = installation.cache if role == "cache" else installation.ledger
            with redis.Redis("127.0.0.1", port=server.port) as client:
                client.config_set(setting, wrong)
                try:
                    said = installation.until("SemanticCacheIndex", "answers", "RedisSound", reason)
                    assert said["status"] == "False"
                    assert remedy in said["message"]
                    installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
                finally:
                    client.config_set(setting, right)
            installation.until("SemanticCacheIndex", "answers", "RedisSound", "RedisSound")


def test_a_redis_without_vector_search_is_said_and_costs_the_index_alone(installation: Installation) -> None:
    installation.cache = installation.ledger
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*SETUP.objects())
        said = installation.until("SemanticCacheIndex", "answers", "IndexReady", "SearchModuleMissing")
        assert "use Redis 8, or load the RediSearch module" in said["message"]
        installation.until("SemanticCacheIndex", "answers", "Ready", "SearchModuleMissing")
        installation.until("SemanticCacheIndex", "answers", "RedisSound", "SearchModuleMissing")
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
            client.hset(wire.entry_key(wire.index_tag("default/answers") + "0" * 24, "e"), "body", "x")
            installation.delete_and_wait("SemanticCacheIndex", "answers")
            assert client.keys("tollway:1:[ev]*") == []


def test_a_redis_that_is_away_delays_the_index_and_nothing_else(
    installation: Installation, fault_redis: EmbeddedRedis
) -> None:
    fault_redis.kill()
    installation.cache = fault_redis
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*SETUP.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        installation.until("TenantBudget", "acme", "Ready", "Ready")
        away = installation.until("SemanticCacheIndex", "answers", "IndexReady", "StoreUnavailable")
        assert away["status"] == "Unknown"
        assert "could not reach the cache Redis" in away["message"]
        fault_redis.start()
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")


def test_a_ledger_that_is_away_is_said_and_no_index_waits_for_it(
    installation: Installation, fault_redis: EmbeddedRedis
) -> None:
    installation.ledger = fault_redis
    with (
        installation.light_pod("dp-1"),
        installation.operator(),
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        installation.apply(*SETUP.objects())
        installation.until_ready()
        fault_redis.kill()
        said = installation.until("SemanticCacheIndex", "answers", "RedisSound", "LedgerUnavailable")
        assert "ould not reach the ledger Redis" in said["message"]
        assert installation.condition("SemanticCacheIndex", "answers", "Ready")["status"] == "True"
        installation.apply(manifest("SemanticCacheIndex", "fresh", {}))
        installation.until("SemanticCacheIndex", "fresh", "Ready", "Ready")
        client.flushall()
        wait_for(lambda: len(client.execute_command("FT._LIST")) == 2, "they are made again")
        fault_redis.start()  # it is set up as a cache, which is said again
        installation.until("SemanticCacheIndex", "answers", "RedisSound", "LedgerMayEvict")


def test_a_redis_that_hangs_holds_up_nobody_for_long(
    installation: Installation, fault_redis: EmbeddedRedis
) -> None:
    installation.cache = fault_redis
    with installation.light_pod("dp-1") as pod, installation.operator():
        installation.apply(*SETUP.objects())
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        fault_redis.pause()
        installation.until("SemanticCacheIndex", "answers", "IndexReady", "StoreUnavailable")
        told = ("get", "events", "--field-selector", "involvedObject.name=answers")
        wait_for(lambda: "Ready is Unknown: " in installation.kubectl(*told), "it is an Event")
        before = pod.revision
        installation.apply(*SETUP.but(policy={"priority": 7}).objects())
        # At most the run that is under way is waited for.
        wait_for(lambda: pod.revision != before, "the pod runs the edit", 5)
        fault_redis.resume()
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")


def test_a_flushed_redis_gets_its_index_again_and_versions_are_told_apart(installation: Installation) -> None:
    with (
        installation.light_pod("dp-1"),
        installation.operator(),
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        installation.apply(*SETUP.objects())
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        client.flushall()
        wait_for(lambda: len(client.execute_command("FT._LIST")) == 1, "it is made again")
        installation.apply(*SETUP.but(index={"vector": {"type": "Float16"}}).objects())

        def states() -> list[str]:
            versions = installation.get("SemanticCacheIndex", "answers")["status"]["versions"]
            return sorted(each["state"] for each in versions)

        # Light pods serve nothing, and so they fill nothing either.
        wait_for(lambda: states() == ["Active", "Building"], "both versions are there")
        installation.until("SemanticCacheIndex", "answers", "IndexReady", "Migrating")
        installation.apply(*SETUP.objects())
        wait_for(lambda: states() == ["Active"], "what was begun is dropped")


def test_an_index_that_redis_would_not_make_says_why_and_is_nobody_elses_trouble(
    installation: Installation,
) -> None:
    large = {"m": 512, "initialCapacity": 10_000_000}
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(manifest("SemanticCacheIndex", "aaa", {"vector": large}))
        installation.until("SemanticCacheIndex", "aaa", "IndexReady", "IndexRefused")
        assert (
            "initial capacity" in installation.condition("SemanticCacheIndex", "aaa", "IndexReady")["message"]
        )
        installation.apply(*SETUP.objects())
        installation.until_ready()


def test_the_longest_name_that_is_admitted_has_a_status(installation: Installation) -> None:
    namespace, name = "n" * 63, ".".join(["a" * 63] * 3) + "." + "a" * 61
    installation.kubectl("create", "namespace", namespace)
    index = manifest("SemanticCacheIndex", name, {})
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply({**index, "metadata": {"name": name, "namespace": namespace}})
        installation.until("SemanticCacheIndex", name, "Ready", "Ready", namespace)
        status = installation.get("SemanticCacheIndex", name, namespace)["status"]
        assert status["activeVersion"].startswith(f"{namespace}.{name}.")
        assert [each["name"] for each in status["versions"]] == [status["activeVersion"]]
        installation.kubectl("delete", "sci", "-n", namespace, name, "--timeout=20s")
    installation.kubectl("delete", "namespace", namespace, "--wait=false")


def test_what_is_deleted_and_held_by_somebody_is_not_said_to_be_run(installation: Installation) -> None:
    """Soon, although nothing happens any more."""
    with installation.light_pod("dp-1") as pod, installation.operator(resync_s="600"):
        installation.apply(*SETUP.objects())
        installation.until_ready()
        as_patch = {"content-type": "application/merge-patch+json"}
        held = (
            ("TenantBudget", "acme", ["WithinBudget", "KeysValid"]),
            ("SemanticCacheIndex", "answers", ["IndexReady", "AccuracyMet"]),
        )
        for kind, name, _ in held:
            url = f"/apis/tollway.dev/v1alpha1/namespaces/default/{PLURALS[kind]}/{name}"
            finalizers = [
                *installation.get(kind, name)["metadata"].get("finalizers", ()),
                "example.com/somebody",
            ]
            body = json.dumps({"metadata": {"finalizers": finalizers}})
            assert installation.admin.patch(url, content=body, headers=as_patch).is_success
            installation.delete(kind, name)
        for kind, name, beside in held:
            said = installation.until(kind, name, "Programmed", "Deleting")
            assert said["status"] == "False"
            assert said["message"] == (
                "Deleted, and held by example.com/somebody. It is left out of what is published."
            )
            installation.until(kind, name, "Ready", "Deleting")
            for each in beside:
                installation.until(kind, name, each, "Deleting")
        snapshot = pod.live.current().snapshot
        assert "acme" not in snapshot.tenants
        assert not snapshot.indexes


def test_a_foreign_index_under_our_name_is_left_alone_and_another_version_made(
    installation: Installation,
) -> None:
    index = compiled(SETUP.objects()).indexes["default/answers"]
    version = index.version
    beside = wire.next_version(version.name)
    with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
        client.execute_command(
            *("FT.CREATE", wire.index_name(version), "ON", "HASH", "PREFIX", 1, wire.vector_prefix(version)),
            *("SCHEMA", "embedding", "VECTOR"),
            *("FLAT", 6, "TYPE", "FLOAT32", "DIM", version.embedding.dimensions, "DISTANCE_METRIC", "COSINE"),
        )
        with installation.light_pod("dp-1") as pod:
            with installation.operator("op-1"):
                installation.apply(*SETUP.objects())
                installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
                status = installation.get("SemanticCacheIndex", "answers")["status"]
                assert status["activeVersion"] == beside
                assert [each["name"] for each in status["versions"]] == [beside], "only ours are told of"
                assert pod.live.current().snapshot.indexes["default/answers"].version.name == beside
                assert b"partition" not in client.execute_command("FT.INFO", wire.index_name(version)), (
                    "as it was"
                )
            with installation.operator("op-2"):
                installation.apply(*SETUP.but(policy={"priority": 3}).objects())
                installation.until("RoutingPolicy", "chat", "Ready", "Ready")
                assert pod.live.current().snapshot.indexes["default/answers"].version.name == beside, (
                    "and so it stays"
                )
                installation.delete_and_wait("SemanticCacheIndex", "answers")
                left = client.execute_command("FT._LIST")
                assert left == [wire.index_name(version).encode()], "what is not ours stays"


@pytest.mark.long
def test_a_redis_that_comes_back_with_a_foreign_index_is_not_said_to_be_run_before_it_is(
    installation: Installation, fault_redis: EmbeddedRedis
) -> None:
    """What is published while it is away is published anew, with another name for the version."""
    index = compiled(SETUP.objects()).indexes["default/answers"]
    installation.cache = fault_redis
    with redis.Redis("127.0.0.1", port=fault_redis.port) as client:
        client.execute_command("FT.CREATE", wire.index_name(index.version), "SCHEMA", "title", "TEXT")
    fault_redis.pause()
    with installation.light_pod("dp-1") as pod:
        with installation.operator("op-1", resync_s="15"):
            installation.apply(*SETUP.objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            assert pod.live.current().snapshot.indexes["default/answers"].version == index.version
            fault_redis.resume()
            installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
            status = installation.get("SemanticCacheIndex", "answers")["status"]
            assert (
                status["activeVersion"] == pod.live.current().snapshot.indexes["default/answers"].version.name
            )
            assert status["activeVersion"] == wire.next_version(index.version.name)
        # Who begins while it is away goes on from the name that was published.
        fault_redis.pause()
        with installation.operator("op-2"):
            installation.apply(*SETUP.but(policy={"priority": 3}).objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            installation.until("SemanticCacheIndex", "answers", "IndexReady", "StoreUnavailable")
            said = installation.get("SemanticCacheIndex", "answers")["status"]
            assert [each["name"] for each in said["versions"]] == [status["activeVersion"]]
            assert {
                digested.indexes["default/answers"].version.name for digested, _ in installation.served[-2:]
            } == {wire.next_version(index.version.name)}
        fault_redis.resume()


def test_one_of_two_keys_that_is_missing_is_said_and_the_other_goes_on(installation: Installation) -> None:
    two = SETUP.but(acme={"apiKeys": [{"secretRef": {"name": "acme"}}, {"secretRef": {"name": "next"}}]})
    fault = Fault()
    with installation.light_pod("dp-1", wrap=fault) as pod, installation.operator():
        installation.apply(*two.objects())
        said = installation.until("TenantBudget", "acme", "ResolvedRefs", "MissingSecret")
        assert "no Secret 'next'" in said["message"]
        installation.until("TenantBudget", "acme", "Programmed", "Programmed")
        assert installation.condition("TenantBudget", "acme", "Ready")["reason"] == "MissingSecret"
        assert len(pod.live.current().snapshot.tenants[TenantName("acme")].key_digests) == 1
        # What a Secret brings is no edit, and pods must run it all the same.
        fault.kind = "breaks"
        installation.apply(secret("next", "the-next-key"))
        installation.until("TenantBudget", "acme", "ResolvedRefs", "Resolved")
        installation.until("TenantBudget", "acme", "Programmed", "WaitingForPods")
        fault.kind = ""
        installation.until("TenantBudget", "acme", "Ready", "Ready")
        assert len(pod.live.current().snapshot.tenants[TenantName("acme")].key_digests) == 2


def remember(installation: Installation, client: redis.Redis) -> None:
    """What a data plane would have stored."""
    index = compiled(SETUP.objects()).indexes["default/answers"]
    for number in range(1_200):
        partition = wire.index_tag(index.id) + f"{number:024x}"
        client.hset(wire.entry_key(partition, "e"), "body", "x")
        client.hset(
            wire.vector_key(index.version, partition, "e"),
            mapping={"partition": partition, "embedding": b"\0" * 1536},
        )
    other = wire.index_tag("default/others") + "0" * 24
    client.hset(wire.entry_key(other, "e"), "body", "x")


def test_a_deleted_index_leaves_nothing_behind_and_another_index_alone(installation: Installation) -> None:
    with (
        installation.light_pod("dp-1"),
        installation.operator(),
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        installation.apply(*SETUP.objects())
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        remember(installation, client)

        def entries() -> object:
            return installation.get("SemanticCacheIndex", "answers")["status"]["versions"][0]["entries"]

        wait_for(lambda: entries() == 1_200, "its entries are counted")
        (version,) = installation.get("SemanticCacheIndex", "answers")["status"]["versions"]
        assert version["memoryBytes"] > 1_200 * 1_536, "and what they take"
        installation.kubectl("delete", "sci", "answers", "--timeout=30s")
        assert client.execute_command("FT._LIST") == []
        assert sorted(client.keys("tollway:1:[ev]*")) == [
            wire.entry_key(wire.index_tag("default/others") + "0" * 24, "e").encode()
        ]
        said = installation.until("RoutingPolicy", "chat", "Ready", "UnknownReference")
        assert (
            "this policy runs without a cache until there is a SemanticCacheIndex 'answers'"
            in said["message"]
        )
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")


def test_a_retained_index_is_let_go_at_once_and_found_again(installation: Installation) -> None:
    setup = SETUP.but(index={"deletionPolicy": "Retain"})
    with (
        installation.light_pod("dp-1"),
        installation.operator(),
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        installation.apply(*setup.objects())
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        assert "finalizers" not in installation.get("SemanticCacheIndex", "answers")["metadata"]
        remember(installation, client)
        installation.delete_and_wait("SemanticCacheIndex", "answers")
        assert len(client.execute_command("FT._LIST")) == 1
        installation.apply(*setup.objects())
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        wait_for(
            lambda: (
                installation.get("SemanticCacheIndex", "answers")["status"]["versions"][0]["entries"] == 1_200
            ),
            "what was remembered is there",
        )


def test_deletion_waits_for_redis_until_it_is_told_not_to(
    installation: Installation, fault_redis: EmbeddedRedis
) -> None:
    installation.cache = fault_redis
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*SETUP.objects())
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        fault_redis.kill()
        installation.delete("SemanticCacheIndex", "answers")
        wait_for(lambda: bool(installation.get("SemanticCacheIndex", "answers")), "it is held")
        # Nobody else waits for it, not even to hear what is wrong.
        wrong = manifest("RoutingPolicy", "wrong", {"models": [{"name": "a", "model": "no-such-model"}]})
        installation.apply(wrong)
        installation.until("RoutingPolicy", "wrong", "Accepted", "UnknownModel")
        time.sleep(8)  # by now the pauses between tries are longer than an edit may take
        installation.apply(*SETUP.but(acme={"alertThresholdPercent": 50}).objects()[2:3])
        wait_for(
            lambda: installation.condition("TenantBudget", "acme", "Ready").get("reason") == "Ready",
            "soon",
            5,
        )
        assert installation.get("SemanticCacheIndex", "answers")["metadata"]["deletionTimestamp"]
        told = installation.kubectl("get", "events", "--field-selector", "reason=DeletionWaits")
        assert "could not reach the cache Redis" in told
        assert "kubectl annotate -n default sci answers tollway.dev/abandon=true" in told
        assert "tollway.dev/abandon" in installation.kubectl("explain", "sci.spec.deletionPolicy")
        installation.kubectl("annotate", "sci", "answers", "tollway.dev/abandon=true")
        wait_for(lambda: not installation.get("SemanticCacheIndex", "answers"), "it is let go")
        assert "Abandoned" in installation.kubectl("get", "events")


def test_deletion_gives_up_on_a_redis_that_is_gone_for_good(
    installation: Installation, fault_redis: EmbeddedRedis
) -> None:
    installation.cache = fault_redis
    with installation.light_pod("dp-1"), installation.operator(release_after_s="3"):
        installation.apply(*SETUP.objects())
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        fault_redis.kill()
        installation.delete_and_wait("SemanticCacheIndex", "answers")


def test_metrics_and_probes_say_what_goes_on(installation: Installation) -> None:
    with installation.light_pod("dp-1"), installation.operator() as operator:
        wrong = manifest("RoutingPolicy", "wrong", {"models": [{"name": "a", "model": "no-such-model"}]})
        installation.apply(*SETUP.objects(), wrong)
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        head = installation.head()
        assert head is not None
        wait_for(
            lambda: f'tollway_operator_pods{{revision="{head.revision}"}} 1.0' in operator.metrics(),
            "pods by revision",
        )
        text = operator.metrics()
        for line in (
            "tollway_operator_leads 1.0",
            'tollway_operator_objects{kind="TenantBudget"} 2.0',
            'tollway_operator_problems{severity="Error"} 1.0',
            'tollway_operator_index_operations_total{operation="create"} 1.0',
            *(
                f'tollway_operator_step_seconds_count{{step="{step}"}}'
                for step in ("gather", "compile", "provision", "publish", "delete", "status")
            ),
            *(
                f'tollway_operator_watch_age_seconds{{kind="{kind}"}}'
                for kind in ("Pod", "RoutingPolicy", "TenantBudget", "SemanticCacheIndex")
            ),
            'tollway_operator_reconciles_total{outcome="ok"}',
            "tollway_operator_last_success_timestamp_seconds 1.",
            "tollway_operator_queue_age_seconds",
            "tollway_operator_acks_total",
            "tollway_operator_nacks_total 0.0",
            "tollway_operator_publishes_total",
        ):
            assert line in text, line
        assert loopback.get(f"{operator.url}/livez").text == "ok"
        assert loopback.get(f"{operator.url}/readyz").text == "ok"
