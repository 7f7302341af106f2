"""An index's embedding is changed in a cluster: an operator and two data planes, killed on the way, under load."""

import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from tests.conditions import condition_in
from tests.dataplanes import Setup
from tests.hit_rates import HITS, least_share, paraphrase
from tests.installation import Installation
from tests.processes import Process, wait_for
from tests.servers import Provider
from tests.with_apiserver.test_dataplane import DataPlane, dataplane
from tollway_api import wire

THINGS = (
    "password", "username", "router", "thermostat", "phone", "laptop", "camera", "printer", "alarm", "watch",
    "television", "keyboard", "account", "profile", "browser", "tablet", "speaker", "modem", "dishwasher", "oven",
)  # fmt: skip
SLOWLY = {"migration": {"reembedPerSecond": 2}}
WORDLLAMA = {"embedding": {"model": "wordllama", "dimensions": 256}}
# One after the other, and how many bytes a vector has then.
LEGS: tuple[tuple[Mapping[str, object], int], ...] = (
    (WORDLLAMA, 4 * 256),
    ({}, 4 * 384),
    ({"vector": {"type": "Float16"}}, 2 * 384),
)
# A machine that stands still has nothing to do with embeddings.
PATIENT = {"embed_deadline_s": "10", "cache_write_deadline_s": "10", "cache_read_deadline_s": "10"}


def status(installation: Installation) -> dict[str, Any]:
    return dict(installation.get("SemanticCacheIndex", "answers").get("status", {}))


def states(installation: Installation) -> list[str]:
    return sorted(each["state"] for each in status(installation).get("versions", []))


def dimensions(installation: Installation) -> list[int]:
    return sorted(each["dimensions"] for each in status(installation).get("versions", []))


def vectors(installation: Installation) -> Counter[str]:
    """How many there are of each version."""
    with redis.Redis("127.0.0.1", port=installation.cache.port) as client:
        keys = client.scan_iter("tollway:1:vector:*")
        return Counter(key.decode().split(":vector:")[1].split(":")[0] for key in keys)


def filled(installation: Installation) -> int:
    """Vectors of the version that is not asked."""
    return vectors(installation).total() - vectors(installation)[status(installation)["activeVersion"]]


def edit(installation: Installation, setup: Setup, index: Mapping[str, object]) -> None:
    installation.apply(setup.but(index=index).objects()[0])


@dataclass
class Load:
    """Paraphrases of what is remembered, over and over."""

    pod: DataPlane
    failed: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)  # in the order of the answers
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        asked = 0
        while not self.over.wait(0.02):
            asked += 1
            try:
                reply = self.pod.ask(paraphrase(THINGS, asked))
            except Exception as error:  # noqa: BLE001 - whatever a caller meets
                self.failed.append(repr(error))
                continue
            self.failed += [] if reply.status_code == 200 else [reply.text]
            self.reasons.append(reply.headers.get("x-tollway-cache-reason", ""))

    @property
    def least(self) -> float:
        """The share of hits in the worst stretch of so many look-ups as ask for each thing twice."""
        return least_share(self.reasons, 2 * len(THINGS))


@contextmanager
def under_load(pod: DataPlane) -> Iterator[Load]:
    load = Load(pod)
    thread = threading.Thread(target=load.run)
    thread.start()
    try:
        yield load
    finally:
        load.over.set()
        thread.join()


@pytest.mark.long
def test_operator_and_pods_are_killed_on_the_way_there_and_back_and_no_request_notices(
    installation: Installation, setup: Setup
) -> None:
    """In each leg those who have finished the one before are killed, and others go on."""
    with dataplane_with_answers(installation, setup) as one, under_load(one) as load, ExitStack() as stack:
        standing = stack.enter_context(both(installation, 1))
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        for leg, (index, length) in enumerate(LEGS, 2):
            edit(installation, setup, {**index, **SLOWLY})
            wait_for(lambda: states(installation) == ["Active", "Building"], "it is being filled", 30)
            wait_for(lambda: filled(installation) > 2, "some are", 60)
            condition = condition_in(installation.get("SemanticCacheIndex", "answers"), "IndexReady")
            assert (condition["status"], condition["reason"]) == ("True", "Migrating")
            assert "% is embedded anew" in condition["message"]
            for process in standing:
                process.stop(signal.SIGKILL)
            stack.close()
            assert filled(installation) < len(THINGS)
            edit(installation, setup, index)
            installation.expire_lease()
            standing = stack.enter_context(both(installation, leg))
            wait_for(lambda: states(installation) == ["Active"], "the change is done", 120)
            assert_whole(installation, length)
            assert one.ask(f"How can I reset my {THINGS[0]}?").headers["x-tollway-source"] == "semantic"
    assert load.failed == []
    assert load.least >= 0.95, Counter(load.reasons)


@contextmanager
def both(installation: Installation, number: int) -> Iterator[tuple[Process, Process]]:
    """A data plane and an operator."""
    with (
        dataplane(installation, f"dp-2{number}", f"127.0.2.2{number}", **PATIENT) as pod,
        installation.operator(f"op-2{number}") as operator,
    ):
        yield pod.process, operator.process


def assert_whole(installation: Installation, length: int) -> None:
    """All is in the one version that there is, whose vectors have so many bytes, and its index takes them."""
    installation.until("SemanticCacheIndex", "answers", "IndexReady", "IndexReady")
    (version,) = status(installation)["versions"]
    assert version["entries"] >= len(THINGS)
    assert status(installation)["activeVersion"] == version["name"]
    assert set(vectors(installation)) == {version["name"]}, "of the old one nothing is left"
    with redis.Redis("127.0.0.1", port=installation.cache.port, protocol=2) as client:
        facts = client.execute_command("FT.INFO", wire.INDEX_PREFIX + version["name"])
        assert int(facts[facts.index(b"hash_indexing_failures") + 1]) == 0
        keys = client.scan_iter("tollway:1:vector:*")
        assert {len(client.hget(key, "embedding") or b"") for key in keys} == {length}


@contextmanager
def dataplane_with_answers(installation: Installation, setup: Setup) -> Iterator[DataPlane]:
    with installation.operator("op-1"):
        installation.apply(*setup.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")
    installation.expire_lease()
    with dataplane(installation, "dp-1", "127.0.2.1", **PATIENT) as one:
        for thing in THINGS:
            assert one.ask(f"How do I reset my {thing}?").status_code == 200
        wait_for(lambda: sum(vectors(installation).values()) == len(THINGS), "they are remembered")
        yield one


@pytest.mark.long
def test_an_index_is_rebuilt_beside_itself_under_load_and_nothing_is_missed(
    installation: Installation, setup: Setup
) -> None:
    """The embedding stays what it is; each value of the annotation is a version of its own."""
    with (
        dataplane_with_answers(installation, setup) as one,
        under_load(one) as load,
        installation.operator("op-2"),
    ):
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        stood = {status(installation)["activeVersion"]}
        for value in ("1", "2"):
            annotation = f"tollway.dev/rebuild={value}"
            installation.kubectl("annotate", "sci", "answers", "--overwrite", annotation)
            wait_for(
                lambda: (
                    status(installation)["activeVersion"] not in stood and states(installation) == ["Active"]
                ),
                "the new version is asked alone",
                120,
            )
            assert_whole(installation, 4 * 384)
            stood.add(status(installation)["activeVersion"])
            for thing in THINGS:
                asked = one.ask(f"How can I reset my {thing}?")
                assert asked.headers["x-tollway-cache-reason"] in HITS
    assert len(stood) == 3
    assert load.failed == []
    assert load.least >= 0.95, Counter(load.reasons)


@pytest.mark.parametrize("point", ["redis.create", "redis.progress", "redis.drop_version"])
def test_an_operator_that_is_killed_at_a_step_has_a_successor_that_goes_on(
    installation: Installation, setup: Setup, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dataplane_with_answers(installation, setup) as one:
        edit(installation, setup, WORDLLAMA)
        monkeypatch.setenv("FAULT_POINT", point)
        with installation.operator("op-2", "tests.faulty_operator") as victim:
            assert victim.process.process.wait(60) == -9
        installation.expire_lease()
        assert one.ask(f"How can I reset my {THINGS[0]}?").headers["x-tollway-source"] == "semantic"
        with installation.operator("op-3"):
            wait_for(lambda: dimensions(installation) == [256], "the change is done", 60)
            for thing in THINGS:
                asked = one.ask(f"How can I reset my {thing}?")
                assert asked.headers["x-tollway-cache-reason"] in HITS


def test_an_endpoint_whose_vectors_do_not_fit_is_said_and_the_old_version_is_asked(
    installation: Installation, setup: Setup, cheap: Provider
) -> None:
    """Also to who goes on where those who said it were killed."""
    outside = {"provider": "OpenAICompatible", "model": "m", "endpoint": cheap.endpoint}
    with dataplane_with_answers(installation, setup) as one, under_load(one) as load:
        with both(installation, 1) as standing:
            installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
            before = status(installation)["activeVersion"]
            edit(installation, setup, {"embedding": {**outside, "dimensions": 512}})
            said = installation.until("SemanticCacheIndex", "answers", "IndexReady", "EmbeddingUnusable")
            assert "the endpoint's vectors of m have 256 dimensions, not 512" in said["message"]
            for process in standing:
                process.stop(signal.SIGKILL)
        assert status(installation)["activeVersion"] == before
        installation.expire_lease()
        with installation.operator("op-3"):
            edit(installation, setup, {})
            wait_for(lambda: states(installation) == ["Active"], "taken back, the other one is dropped", 30)
            assert status(installation)["activeVersion"] == before
            installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
    assert load.failed == []
    assert load.least >= 0.95, Counter(load.reasons)


@pytest.mark.long
def test_a_redis_without_room_for_the_new_version_is_said_and_gone_on_with_once_there_is_some(
    installation: Installation, setup: Setup
) -> None:
    with dataplane_with_answers(installation, setup) as one, installation.operator("op-2"):
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
        before = status(installation)["activeVersion"]
        with redis.Redis("127.0.0.1", port=installation.cache.port, protocol=2) as client:
            as_it_was = client.config_get("maxmemory*")
            try:
                client.config_set("maxmemory-policy", "noeviction")
                edit(installation, setup, {**WORDLLAMA, "migration": {"reembedPerSecond": 1}})
                # Sooner there were no room to make its index; not much later, or it is complete.
                wait_for(lambda: states(installation) == ["Active", "Building"], "the new version stands", 60)
                client.config_set("maxmemory", 1_000_000)
                said = installation.until("SemanticCacheIndex", "answers", "IndexReady", "RedisFull")
            finally:
                for name in ("maxmemory", "maxmemory-policy"):
                    client.config_set(name, as_it_was[name])
        assert "raise its maxmemory, or set maxmemory-policy allkeys-lru" in said["message"]
        assert status(installation)["activeVersion"] == before
        assert one.ask(f"How can I reset my {THINGS[0]}?").headers["x-tollway-source"] == "semantic"
        wait_for(lambda: dimensions(installation) == [256], "there is room, and the change is done", 60)
