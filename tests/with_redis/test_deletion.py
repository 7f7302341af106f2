"""What a SemanticCacheIndex remembers goes with it, unless somebody else leads by then."""

import asyncio

import pytest
import redis

from tests.dataplanes import Setup, compiled, manifest
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_operator.deletion import FINALIZER, Deletion
from tollway_operator.errors import KubeFault, LeadershipLost, StoreFault
from tollway_operator.kube import Moment
from tollway_operator.metrics import Metrics
from tollway_operator.objects import Held, Objects
from tollway_operator.redis_store import Walk, open_store

INDEX = compiled(Setup("http://a/v1", "http://b/v1").objects()).indexes["default/answers"]


class Kube:
    """Takes the finalizers, and hears what is told."""

    def __init__(self) -> None:
        self.written: list[object] = []
        self.told: list[Moment] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def set_finalizers(self, _identity: object, _version: object, finalizers: object) -> str:
        await self.answers.wait()
        self.written.append(finalizers)
        return "2"

    def announce(self, moment: Moment) -> None:
        self.told.append(moment)


class Leads:
    def fence(self) -> int:
        return 5


def index(spec: dict[str, object], finalizers: list[str], deleted: str = "") -> Held:
    body = manifest("SemanticCacheIndex", "answers", spec)
    metadata = {
        **body["metadata"],  # type: ignore[dict-item]  # an object of YAML is anything
        "namespace": "default", "uid": "u", "resourceVersion": "1", "generation": 1, "finalizers": finalizers,
    }  # fmt: skip
    objects = Objects()
    objects.put({**body, "metadata": {**metadata, **({"deletionTimestamp": deleted} if deleted else {})}})
    (held,) = objects
    return held


async def test_an_index_is_held_before_anything_is_made_for_it_and_let_go_when_it_is_to_be_retained() -> None:
    kube = Kube()
    deletion = Deletion(kube, None, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
    assert await deletion.hold(index({}, ["other"]))
    await deletion.settle(index({"deletionPolicy": "Retain"}, ["other", FINALIZER]), "")
    assert kube.written == [["other", FINALIZER], ["other"]]


async def test_that_an_index_is_let_go_is_told_once_although_its_finalizer_takes_long_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tollway_operator.deletion._SOON_S", 0.02)
    kube, held = Kube(), index({"deletionPolicy": "Archive"}, [FINALIZER], "2026-01-01T00:00:00Z")
    kube.answers = asyncio.Event()
    deletion = Deletion(kube, None, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
    for _ in range(2):
        with pytest.raises(KubeFault):
            await deletion.settle(held, "")
    kube.answers.set()
    await asyncio.sleep(0.02)
    assert await deletion.settle(held, "")
    assert [each.reason for each in kube.told] == ["Abandoned"]


async def test_a_finalizer_that_takes_long_to_write_is_waited_for_a_moment_and_written_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tollway_operator.deletion._SOON_S", 0.02)
    kube, held = Kube(), index({}, [])
    kube.answers = asyncio.Event()
    deletion = Deletion(kube, None, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
    for _ in range(3):
        with pytest.raises(KubeFault):
            await deletion.hold(held)
    kube.answers.set()
    await asyncio.sleep(0.02)
    assert kube.written == [[FINALIZER]]
    assert await deletion.hold(index({}, [FINALIZER])), "as its event says"
    assert await deletion.hold(held), "and it can be asked for again"


async def test_what_becomes_of_an_index_whose_spec_is_not_understood_is_left_to_a_person() -> None:
    kube = Kube()
    deletion = Deletion(kube, None, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
    newer: dict[str, object] = {"deletionPolicy": "Archive"}
    await deletion.settle(index(newer, [FINALIZER]), "")
    assert not kube.written, "it stays as it is"
    await deletion.settle(index(newer, [FINALIZER], "2026-01-01T00:00:00Z"), "")
    assert kube.written == [[]]
    assert "What it remembered may still be in Redis" in kube.told[0].note
    assert "its spec is not understood" in kube.told[0].note


class Away:
    """A Redis that does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    async def names(self) -> set[str]:
        self.asked += 1
        raise StoreFault("could not reach the cache Redis")


@pytest.mark.parametrize("deleted", ["2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
async def test_an_index_waits_for_a_redis_that_is_away_for_as_long_as_it_should_whatever_clocks_on_walls_say(
    deleted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube = Kube()
    deletion = Deletion(kube, Away(), Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
    held = index({}, [FINALIZER], deleted)
    for now in (1_000.0, 1_059.0):
        monkeypatch.setattr("tollway_operator.deletion.monotonic", lambda now=now: now)
        deletion.begin_run("")
        with pytest.raises(StoreFault):
            await deletion.settle(held, "")
    assert kube.written == []
    monkeypatch.setattr("tollway_operator.deletion.monotonic", lambda: 1_061.0)
    await deletion.settle(held, "")
    assert kube.written == [[]]


async def test_a_redis_that_does_not_answer_is_asked_once_in_a_run_however_many_wait_for_it() -> None:
    away, held = Away(), index({}, [FINALIZER], "2026-01-01T00:00:00Z")
    kube = Kube()
    deletion = Deletion(kube, away, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
    for run in (1, 2):
        deletion.begin_run("")
        for _ in range(20):
            with pytest.raises(StoreFault):
                await deletion.settle(held, "")
        assert away.asked == run
    deletion.begin_run("it did not answer when indexes were to be made")
    with pytest.raises(StoreFault):
        await deletion.settle(held, "")
    assert away.asked == 2


@pytest.mark.parametrize(("later", "left"), [(4, 1), (6, 4)], ids=["leads", "has been overtaken"])
async def test_only_who_leads_deletes(cache_redis: EmbeddedRedis, later: int, left: int) -> None:
    kube, held = Kube(), index({}, [FINALIZER], "2026-01-01T00:00:00Z")
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        async with open_store(cache_redis.url, "cache") as store:
            await store.create(INDEX.version)
            partition = wire.index_tag(INDEX.id) + "0" * 24
            client.hset(wire.entry_key(partition, "e"), "body", "x")
            client.hset(wire.vector_key(INDEX.version, partition, "e"), "partition", partition)
            assert await store.claim(later)
            deletion = Deletion(kube, store, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
            if later > Leads().fence():
                with pytest.raises(LeadershipLost):
                    await deletion.settle(held, why_in_use="")
            else:
                await deletion.settle(held, why_in_use="")
            # The fence itself stays, and nothing else.
            assert len(client.keys("*")) + len(await store.names()) == left
            assert kube.written == ([] if later > Leads().fence() else [[]])


async def test_what_is_to_be_retained_is_kept_also_where_the_object_is_still_held_when_it_is_deleted(
    cache_redis: EmbeddedRedis,
) -> None:
    """As where it was edited and deleted while nobody operated."""
    kube = Kube()
    held = index({"deletionPolicy": "Retain"}, [FINALIZER], "2026-01-01T00:00:00Z")
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        async with open_store(cache_redis.url, "cache") as store:
            await store.create(INDEX.version)
            partition = wire.index_tag(INDEX.id) + "0" * 24
            kept = {wire.entry_key(partition, "e"), wire.vector_key(INDEX.version, partition, "e")}
            for key in kept:
                client.hset(key, "partition", partition)
            deletion = Deletion(kube, store, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
            assert await deletion.settle(held, why_in_use="")
            assert kube.written == [[]], "it is let go"
            assert {key.decode() for key in client.keys("tollway:1:[ev]*")} == kept
            assert await store.names() == {wire.index_name(INDEX.version)}
            assert kube.told == [], "as it was asked for"


@pytest.mark.parametrize("before", [4, 5], ids=["who has begun to lead", "who leads as before"])
async def test_a_redis_that_is_full_and_evicts_nothing_gets_room_by_deleting_an_index(
    cache_redis: EmbeddedRedis, before: int
) -> None:
    kube, held = Kube(), index({}, [FINALIZER], "2026-01-01T00:00:00Z")
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        as_it_was = client.config_get("maxmemory*")
        async with open_store(cache_redis.url, "cache") as store:
            await store.create(INDEX.version)
            partition = wire.index_tag(INDEX.id) + "0" * 24
            client.hset(wire.entry_key(partition, "e"), "body", "x")
            assert await store.claim(before)
            try:
                client.config_set("maxmemory-policy", "noeviction")
                client.config_set("maxmemory", 1_000_000)
                with pytest.raises(redis.exceptions.OutOfMemoryError):
                    client.set("any", "x")
                deletion = Deletion(kube, store, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
                await deletion.settle(held, why_in_use="")
            finally:
                for name in ("maxmemory", "maxmemory-policy"):
                    client.config_set(name, as_it_was[name])
            assert client.keys("tollway:1:[ev]*") == []
            assert await store.names() == set()
            assert kube.written == [[]]
            assert kube.told == [], "nothing is left behind"


async def test_a_redis_that_is_full_and_too_old_to_be_written_to_is_said_to_be(
    cache_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 7, Redis takes the line of a script that asks for that for a mistake."""
    evaluate = redis.asyncio.Redis.eval

    async def as_before_7(self: redis.asyncio.Redis, script: str, keys: int, *more: str | int) -> object:
        if script.startswith("#!"):
            raise redis.ResponseError("Error compiling script: unexpected symbol near '#'")
        return await evaluate(self, script, keys, *more)

    monkeypatch.setattr(redis.asyncio.Redis, "eval", as_before_7)
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        as_it_was = client.config_get("maxmemory*")
        async with open_store(cache_redis.url, "cache") as store:
            try:
                client.config_set("maxmemory-policy", "noeviction")
                client.config_set("maxmemory", 1_000_000)
                with pytest.raises(StoreFault, match="although it is full, which needs Redis 7 or later"):
                    await store.claim(5)
            finally:
                for name in ("maxmemory", "maxmemory-policy"):
                    client.config_set(name, as_it_was[name])
            assert await store.claim(5), "where there is room it is as any other"


async def test_what_takes_long_is_deleted_bit_by_bit_and_nothing_of_others(
    cache_redis: EmbeddedRedis,
) -> None:
    with redis.Redis("127.0.0.1", port=cache_redis.port) as client:
        for number in range(2_000):
            partition = wire.index_tag(INDEX.id) + f"{number:024x}"
            client.hset(wire.entry_key(partition, "e"), "body", "x")
            client.hset(wire.vector_key(INDEX.version, partition, "e"), "partition", partition)
        client.set(wire.reembedding_keys(INDEX.version.name)[0], "7")
        others = {f"tollway:1:ledger:{{{wire.index_tag(INDEX.id)}}}", wire.entry_key("0" * 32, "e")}
        for key in others:
            client.set(key, "x")
        async with open_store(cache_redis.url, "cache") as store:
            walk, turns = Walk(), 0
            while not walk.complete:
                before = walk.deleted
                assert await store.forget(INDEX.id, 0.0, walk) is walk
                turns += 1
                assert walk.deleted - before < 2_000, "not much at once"
        assert turns > 4
        assert walk.deleted == 4_001
        assert {key.decode() for key in client.scan_iter("tollway:1:*")} == others


class Large:
    """A Redis in which one index takes longer than a run has time for."""

    def __init__(self, turns: int = 2) -> None:
        self.turns = turns
        self.walks: list[Walk] = []

    async def names(self) -> set[str]:
        return set()

    async def claim(self, _fence: int) -> bool:
        return True

    async def forget(self, _index_id: str, _for_s: float, walk: Walk) -> Walk:
        self.walks.append(walk)
        walk.complete = len(self.walks) == self.turns
        return walk


async def test_what_is_deleted_already_is_not_looked_for_again_when_only_the_object_cannot_be_let_go() -> (
    None
):
    class Refuses(Kube):
        async def set_finalizers(self, _identity: object, _version: object, finalizers: object) -> str:
            if not self.written:
                self.written.append(None)
                raise KubeFault("it would not write the finalizers: 500")
            return await super().set_finalizers(_identity, _version, finalizers)

    kube, large = Refuses(), Large(turns=1)
    deletion = Deletion(kube, large, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
    held = index({}, [FINALIZER], "2026-01-01T00:00:00Z")
    deletion.begin_run("")
    with pytest.raises(KubeFault):
        await deletion.settle(held, "")
    deletion.begin_run("")
    assert await deletion.settle(held, "")
    assert kube.written == [None, []]
    assert len(large.walks) == 1


async def test_an_index_that_is_not_deleted_in_one_run_is_gone_on_with_in_the_next_after_all_others() -> None:
    kube, large = Kube(), Large()
    deletion = Deletion(kube, large, Leads(), Metrics(), 60.0, kube)  # type: ignore[arg-type]  # stand-ins
    held, other = (index({}, [FINALIZER], "2026-01-01T00:00:00Z") for _ in range(2))
    other.uid = "other"
    deletion.begin_run("")
    assert not await deletion.settle(held, ""), "another run is needed"
    assert not kube.written, "also where it has waited for long: Redis is well"
    assert sorted([held, other], key=deletion.tried_at) == [other, held]
    deletion.begin_run("")
    assert await deletion.settle(held, "")
    assert kube.written == [[]]
    first, second = large.walks
    assert first is second
