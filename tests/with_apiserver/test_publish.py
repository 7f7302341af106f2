"""A snapshot larger than a Secret, on a real API server: whole or not at all, whoever reads and whoever writes."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import lightkube
import pytest
import redis
from lightkube.config.kubeconfig import KubeConfig

from tests.dataplanes import Setup, compiled, manifest
from tests.installation import NAMESPACE, Installation
from tests.pod_faults import Fault
from tests.processes import wait_for
from tests.proxies import proxy
from tests.webhooks import validating_webhook
from tollway_api import parts, snapshot, wire
from tollway_api.meta import TenantName
from tollway_api.snapshot import Source
from tollway_dataplane.adapters.snapshot_secrets import SnapshotSecrets
from tollway_dataplane.errors import SnapshotFault
from tollway_operator.errors import Forbidden, LeadershipLost, PublishFault
from tollway_operator.kube import Kube, StoredSecret
from tollway_operator.publish import Publisher


def large(seed: int) -> bytes:
    return random.Random(seed).randbytes(2_000_000)  # noqa: S311 - the same in every run


@pytest.fixture
async def reader(installation: Installation) -> AsyncIterator[SnapshotSecrets]:
    path = installation.server.kubeconfig("reader", installation.token("tollway-dataplane"))
    client = lightkube.AsyncClient(KubeConfig.from_file(path).get(), trust_env=False)
    yield SnapshotSecrets(client, NAMESPACE, "tollway-snapshot")
    await client.close()


def test_a_snapshot_that_may_not_be_written_is_told_to_whoever_waits_for_it(
    installation: Installation,
) -> None:
    setup = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*setup.objects())
        installation.until_ready()
        installation.fix_snapshot()
        installation.apply(*setup.but(policy={"priority": 4}).objects())
        said = installation.until("RoutingPolicy", "chat", "Programmed", "NotPublished")
        assert "immutable" in said["message"]
        assert installation.condition("TenantBudget", "acme", "Ready")["status"] == "True"
        installation.delete("Secret", "tollway-snapshot", NAMESPACE)
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")


@pytest.mark.long
def test_a_webhook_that_is_down_and_keeps_the_snapshot_from_being_written_is_named(
    installation: Installation,
) -> None:
    setup = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["secrets"]}
    ours = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    configuration = validating_webhook("down", "https://127.0.0.1:9/", rule, namespaceSelector=ours)
    with ExitStack() as stack, installation.light_pod("dp-1"), installation.operator():
        installation.apply(*setup.objects())
        installation.until_ready()
        stack.callback(installation.kubectl, "delete", "validatingwebhookconfiguration", "down")
        installation.apply(configuration)
        # Until the API server asks it.
        url = f"/api/v1/namespaces/{NAMESPACE}/secrets?dryRun=All"
        body = {"metadata": {"name": "any"}}
        wait_for(lambda: installation.admin.post(url, json=body).status_code == 500, "it is asked")
        installation.apply(*setup.but(policy={"priority": 4}).objects())
        said = installation.until("RoutingPolicy", "chat", "Programmed", "NotPublished")
        assert 'failed calling webhook "down.example.com"' in said["message"]
        assert installation.condition("TenantBudget", "acme", "Ready")["status"] == "True"
        stack.close()
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")


def test_what_does_not_depend_on_a_snapshot_goes_on_where_none_can_be_published(
    installation: Installation,
) -> None:
    setup = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
    more = manifest("SemanticCacheIndex", "more", {})
    with (
        proxy(installation.cache.url.replace("redis://", "http://")) as way,
        installation.light_pod("dp-1"),
        installation.operator(cache_redis_url=f"redis://127.0.0.1:{way.port}/0"),
    ):
        installation.apply(*setup.objects(), more)
        installation.until_ready()
        installation.until("SemanticCacheIndex", "more", "Ready", "Ready")
        way.cut()
        installation.until("SemanticCacheIndex", "answers", "IndexReady", "StoreUnavailable")
        installation.fix_snapshot()
        installation.apply(*setup.but(policy={"priority": 4}).objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "NotPublished")
        way.restore()
        installation.until("SemanticCacheIndex", "answers", "IndexReady", "IndexReady")
        installation.delete("SemanticCacheIndex", "more")
        installation.kubectl("annotate", "sci", "more", "tollway.dev/abandon=true")
        wait_for(lambda: not installation.get("SemanticCacheIndex", "more"), "it is let go", 30)
        told = installation.kubectl("get", "events", "--field-selector", "reason=Abandoned")
        assert "what is published may name it: " in told
        with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
            name = wire.index_name(compiled([more]).indexes["default/more"].version)
            assert name.encode() in client.execute_command("FT._LIST"), "pods look there"


def test_an_operator_that_begins_where_it_can_publish_nothing_says_what_pods_run_of_what_stands(
    installation: Installation,
) -> None:
    setup = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
    kinds = {"RoutingPolicy": "chat", "TenantBudget": "acme", "SemanticCacheIndex": "answers"}

    def said() -> dict[str, object]:
        return {kind: installation.get(kind, name)["status"] for kind, name in kinds.items()}

    fault = Fault()
    fault.kind = "rejects"
    with ExitStack() as pods:
        pods.enter_context(installation.light_pod("dp-1"))
        with installation.operator():
            installation.apply(*setup.objects())
            installation.until_ready()
        before = said()
        installation.fix_snapshot()
        with installation.operator():
            for name in (
                "more",
                "yet-more",
            ):  # the second is told after whatever the first has made to be told
                installation.apply(manifest("SemanticCacheIndex", name, {}))
                installation.until("SemanticCacheIndex", name, "Programmed", "NotPublished")
            assert said() == before
            with installation.light_pod("dp-2", wrap=fault):
                installation.until("RoutingPolicy", "chat", "Programmed", "RejectedByPod")
            installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
            pods.close()
            installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")


def test_where_what_stands_is_unknown_and_nothing_can_be_published_nobody_is_said_to_run_it(
    installation: Installation,
) -> None:
    setup = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
    with installation.light_pod("dp-1"):
        with installation.operator():
            installation.apply(*setup.objects())
            installation.until_ready()
        revision = installation.get("RoutingPolicy", "chat")["status"]["dataPlane"]["revision"]
        installation.write_snapshot({parts.HEAD: b"damaged"})
        installation.fix_snapshot()
        with installation.operator():
            said = installation.until("RoutingPolicy", "chat", "Programmed", "PublicationUnknown")
            assert (said["status"], "immutable" in said["message"]) == ("Unknown", True)
            installation.until("RoutingPolicy", "chat", "Ready", "PublicationUnknown")
            installation.until("SemanticCacheIndex", "answers", "Programmed", "PublicationUnknown")
            assert installation.get("RoutingPolicy", "chat")["status"]["dataPlane"]["revision"] == revision
            assert installation.get("SemanticCacheIndex", "answers")["status"]["activeVersion"]
            installation.delete("Secret", "tollway-snapshot", NAMESPACE)
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")


async def test_parts_alternate_and_what_stands_is_left_alone(kube: Kube, reader: SnapshotSecrets) -> None:
    publisher = Publisher(kube, NAMESPACE)
    slots = []
    for seed in range(3):
        head, wrote = await publisher.publish(large(seed), 1)
        assert wrote
        assert head.parts == 3
        slots.append(head.slot)
        found = await reader.head()
        assert found == head
        assert await reader.encoded(head) == large(seed)
        assert await publisher.publish(large(seed), 1) == (head, False)
    assert slots == ["a", "b", "a"]


async def test_who_reads_while_it_is_written_sees_one_of_the_two(kube: Kube, reader: SnapshotSecrets) -> None:
    publisher = Publisher(kube, NAMESPACE)
    await publisher.publish(large(0), 1)
    known = {snapshot.digest(large(seed)) for seed in range(6)}
    seen: list[str] = []
    mixed = 0

    async def read() -> None:
        nonlocal mixed
        while len(seen) < 15:
            head = await reader.head()
            assert head is not None
            try:
                seen.append(snapshot.digest(await reader.encoded(head)))
            except SnapshotFault:
                mixed += 1  # two publications went by while it read: it is told so, and reads again

    async def write() -> None:
        for seed in range(1, 6):
            await publisher.publish(large(seed), 1)

    await asyncio.gather(read(), write())
    assert set(seen) <= known
    assert len(set(seen)) > 1
    assert mixed < 15


async def test_parts_that_nobody_needs_any_more_are_emptied_once_nobody_reads_them(
    kube: Kube, reader: SnapshotSecrets
) -> None:
    publisher = Publisher(kube, NAMESPACE)
    for seed in range(2):
        await publisher.publish(large(seed), 1)

    async def filled() -> list[str]:
        names = [parts.overflow_name(slot, number) for slot in parts.SLOTS for number in (1, 2)]
        found = {name: await kube.secret(NAMESPACE, f"tollway-snapshot-{name}") for name in names}
        return [name for name, each in found.items() if each.data[parts.FIRST_PART]]

    assert await filled() == ["a-1", "a-2", "b-1", "b-2"]
    small, _ = await publisher.publish(b"small", 1)
    assert await filled() == ["a-1", "a-2", "b-1", "b-2"], "somebody may be reading them"
    assert await publisher.publish(b"small", 1) == (small, False)
    assert await filled() == []
    assert await reader.head() == small
    assert await reader.encoded(small) == b"small"


async def test_what_was_published_while_the_account_could_not_be_read_gets_its_owner_once_it_can_be(
    kube: Kube, reader: SnapshotSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Head and parts, full ones and empty ones, with nobody told of a new snapshot."""
    names = ["", *(f"-{parts.overflow_name(slot, number)}" for slot in parts.SLOTS for number in (1, 2))]

    async def owned() -> list[bool]:
        found = [await kube.secret(NAMESPACE, f"tollway-snapshot{name}") for name in names]
        return [each.owner is not None for each in found]

    publisher = Publisher(kube, NAMESPACE)
    with monkeypatch.context() as forbidden:
        forbidden.setattr(kube, "owner", _nobody)
        await publisher.publish(large(0), 1)
        head, _ = await publisher.publish(large(1), 1)
        assert await publisher.publish(large(1), 1) == (head, False)
        assert await owned() == [False] * 5
    assert await publisher.publish(large(1), 1) == (head, False)
    assert await owned() == [True] * 5
    assert await reader.head() == head
    assert await reader.encoded(head) == large(1)


async def _nobody(_namespace: str) -> None:
    return None


async def test_parts_are_emptied_although_somebody_has_deleted_one_of_them(
    installation: Installation, kube: Kube
) -> None:
    await Publisher(kube, NAMESPACE).publish(large(0), 1)
    installation.delete("Secret", "tollway-snapshot-a-1", NAMESPACE)
    for _ in range(2):
        await Publisher(kube, NAMESPACE).publish(b"small", 1)
    assert not (await kube.secret(NAMESPACE, "tollway-snapshot-a-2")).data[parts.FIRST_PART]


async def test_parts_of_what_was_published_by_half_are_emptied(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(kube, NAMESPACE)
    for _ in range(2):
        await publisher.publish(b"small", 1)
    with monkeypatch.context() as patched:
        write = kube.write_secret

        async def over_quota(namespace: str, name: str, *more: Any) -> StoredSecret:
            if name.endswith("-2"):
                raise Forbidden("exceeded quota")
            return await write(namespace, name, *more)

        patched.setattr(kube, "write_secret", over_quota)
        with pytest.raises(Forbidden):
            await publisher.publish(large(0), 1)
    assert (await kube.secret(NAMESPACE, "tollway-snapshot-b-1")).data[parts.FIRST_PART]
    for _ in range(2):
        await publisher.publish(b"small again", 1)
    assert not (await kube.secret(NAMESPACE, "tollway-snapshot-b-1")).data[parts.FIRST_PART]


async def test_an_overtaken_leader_is_refused_whatever_it_believes(kube: Kube) -> None:
    publisher = Publisher(kube, NAMESPACE)
    await publisher.publish(b"by the first", 5)
    head, wrote = await publisher.publish(b"by the first", 6)
    assert wrote, "a takeover stamps what stands, so that the first one's version is gone"
    assert head.fence == 6
    with pytest.raises(LeadershipLost, match="a later leader has published"):
        await publisher.publish(b"by the first, late", 5)


async def test_a_leader_that_sleeps_between_its_parts_harms_nothing_of_its_successors(
    kube: Kube, reader: SnapshotSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Publisher(kube, NAMESPACE), Publisher(kube, NAMESPACE)
    await old.publish(large(0), 5)
    find, asleep = kube.secret, False

    async def found_asleep(namespace: str, name: str) -> StoredSecret:
        """The one who asks for the head sleeps before he goes on to the parts."""
        nonlocal asleep
        found = await find(namespace, name)
        if name == "tollway-snapshot" and not asleep:
            asleep = True
            for seed in (1, 2, 3):
                await new.publish(large(seed), 6)
        return found

    monkeypatch.setattr(kube, "secret", found_asleep)
    with pytest.raises(LeadershipLost, match="a later leader has written parts"):
        await old.publish(large(9), 5)
    head = await reader.head()
    assert head is not None
    assert head.fence == 6
    assert await reader.encoded(head) == large(3)


async def test_a_write_in_between_is_a_conflict(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = Publisher(kube, NAMESPACE)
    await publisher.publish(b"one", 1)
    standing = await kube.secret(NAMESPACE, "tollway-snapshot")
    await publisher.publish(b"two", 1)

    async def stale(*_: object) -> object:
        return standing

    monkeypatch.setattr(kube, "secret", stale)
    with pytest.raises(LeadershipLost, match="written by somebody else"):
        await publisher.publish(b"three", 1)


async def test_order_grows_although_the_clock_jumps_back(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = Publisher(kube, NAMESPACE)
    first, _ = await publisher.publish(b"one", 1)
    monkeypatch.setattr("tollway_operator.publish.time.time_ns", lambda: 1_000_000_000)
    second, _ = await publisher.publish(b"two", 1)
    assert second.order == first.order + 1


async def test_what_is_too_large_to_travel_is_said(kube: Kube) -> None:
    with pytest.raises(PublishFault, match="bytes compressed"):
        await Publisher(kube, NAMESPACE).publish(large(0) + large(1) + large(2) + large(3), 1)


async def test_ten_thousand_tenants_travel_in_a_fraction_of_what_may(
    kube: Kube, reader: SnapshotSecrets
) -> None:
    limits = [
        {"name": "day", "amount": "25.00", "window": {"calendar": "Day", "timeZone": "Europe/Berlin"}},
        {"name": "hour", "unit": "Requests", "amount": "1000", "window": {"rolling": "1h"}},
    ]
    few = compiled(Setup("http://a/v1", "http://b/v1", acme={"limits": limits}).objects())
    acme = few.tenants[TenantName("acme")]
    names = [TenantName(f"tenant-{number}") for number in range(10_000)]
    many = replace(
        few,
        tenants={
            name: replace(acme, name=name, key_digests={"key/api-key": wire.key_digest(name)})
            for name in names
        },
        sources=(*few.sources, *(Source("TenantBudget", "default", name, 1) for name in names)),
    )
    encoded = snapshot.encode(many)
    head, wrote = await Publisher(kube, NAMESPACE).publish(encoded, 1)
    assert wrote
    assert head.parts <= parts.MOST_PARTS / 3
    found = await reader.head()
    assert found == head
    assert snapshot.decode(await reader.encoded(head)) == many
