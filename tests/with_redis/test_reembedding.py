"""Filling an index version from another, on a real Redis: what is copied, what is not, and whose turn it is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from redis.asyncio import Redis

from tests.dataplanes import Setup, SharedEmbedder, compiled
from tests.tenants import NO_BILLS
from tests.views import view_of
from tollway_api import wire
from tollway_api.reembedding import Obstacle, Progress
from tollway_api.snapshot import Beside, Embedding, IndexVersion, Stage
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_reembedding import RedisReembedding
from tollway_dataplane.adapters.wordllama_embedder import WordLlamaEmbedder
from tollway_dataplane.cache.embedders import Embedders
from tollway_dataplane.cache.reembedding import Reembedder
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.errors import CacheFault, EmbedderFault, TextRefused
from tollway_dataplane.ports import Embedder, FoundBy, Place, Remembered, Vector
from tollway_operator.provision import provision
from tollway_operator.redis_store import open_store

SETUP = Setup("http://a/v1", "http://b/v1")
WORDLLAMA = {"embedding": {"model": "wordllama", "dimensions": 256}}
SNAPSHOT = compiled(SETUP.objects())
(OLD,) = SNAPSHOT.indexes.values()
(NEW,) = compiled(SETUP.but(index=WORDLLAMA).objects()).indexes.values()
FILLING = replace(OLD, beside=Beside(NEW.version, Stage.FILLING), reembed_per_second=1_000)
PARTITION = wire.index_tag(OLD.id) + "0" * 24


class Filled:
    """An old version with answers, and a new one that is empty."""

    def __init__(self, redis: Redis, embedder: SharedEmbedder, words: WordLlamaEmbedder) -> None:
        self.redis, self.embedder, self.words = redis, embedder, words
        self.store = RedisReembedding(redis)
        self.cache = RedisAnswerCache(redis, 5.0, 384)

    async def remember(self, prompt: str, *versions: str) -> str:
        """In the versions of these names, and says under which entry."""
        entry = f"{abs(hash(prompt)):032x}"[-32:]
        view = view_of(prompt, self.embedder)
        (word_vector,) = await self.words.vectors_of([prompt])
        vectors = [(OLD.version, view.vector), (NEW.version, word_vector)]
        found_by = FoundBy(view, [each for each in vectors if each[0].name in versions])
        await self.cache.put(Place(OLD, PARTITION, entry), found_by, Remembered(b"{}", "cheap", 0, 0.0))
        return entry

    def key(self, version: str, entry: str) -> str:
        return wire.vector_key(OLD.version if version == "old" else NEW.version, PARTITION, entry)

    async def document(self, version: str, entry: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", await self.redis.hgetall(self.key(version, entry)))

    async def progress(self) -> Progress:
        return await self.store.progress(NEW.version) or Progress("")

    async def fill(self, embedder: Embedder | None = None) -> Progress:
        """Until it is complete, or something is in the way."""
        reembedder = Reembedder(self.store, await embedders(self.embedder, embedder or self.words))
        await reembedder.follow(replace(SNAPSHOT, indexes={OLD.id: FILLING}))
        try:
            for _ in range(1_000):
                noted = await self.progress()
                if noted.complete or noted.fault:
                    return noted
                await asyncio.sleep(0.02)
            raise AssertionError(await self.progress())
        finally:
            await reembedder.follow(SNAPSHOT)


async def embedders(encoder: SharedEmbedder, embedder: Embedder) -> Embedders:
    async def load(_: Embedding, /) -> Embedder:
        return embedder

    made = Embedders(encoder, {NEW.version.embedding.provider: load}, NO_BILLS)
    await made.prepare(replace(SNAPSHOT, indexes={OLD.id: FILLING}))
    return made


@pytest.fixture
async def filled(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, embedder: SharedEmbedder
) -> AsyncIterator[Filled]:
    await provision(SNAPSHOT, cache_redis.url, ledger_redis.url)
    async with open_store(cache_redis.url, "cache") as store:
        await store.create(NEW.version)
    redis = connect(cache_redis.url, 5.0)
    yield Filled(redis, embedder, await WordLlamaEmbedder.load(NEW.version.embedding))
    await redis.aclose()


OLD_ONE, NEW_ONE = OLD.version.name, NEW.version.name


async def test_a_document_is_whole_and_lives_no_longer_than_it_did(filled: Filled) -> None:
    entry = await filled.remember("How do I reset my password?", OLD_ONE)
    await filled.redis.pexpire(filled.key("old", entry), 60_000)
    done = await filled.fill()
    assert (done.complete, done.done, done.percent) == (True, 1, 100)
    old, new = await filled.document("old", entry), await filled.document("new", entry)
    assert len(new[b"embedding"]) == 256 * 4
    assert np.allclose(
        np.frombuffer(new[b"judged1"], np.float16), np.frombuffer(old[b"embedding"], np.float32), atol=1e-3
    )
    assert {name: new[name] for name in (b"partition", b"prompt", b"words1")} == {
        name: old[name] for name in (b"partition", b"prompt", b"words1")
    }
    assert 0 < await filled.redis.pttl(filled.key("new", entry)) <= 60_000
    (found,) = await filled.cache.nearest(
        Place(replace(OLD, version=NEW.version), PARTITION, entry),
        np.frombuffer(new[b"embedding"], np.float32),
        5,
        5.0,
    )
    assert found.prompt == "How do I reset my password?"
    assert found.vector.shape == (384,)


async def test_what_is_newer_is_left_and_what_has_gone_meanwhile_stays_gone(filled: Filled) -> None:
    both = await filled.remember("How do I reset my router?", OLD_ONE, NEW_ONE)
    await filled.redis.hset(filled.key("new", both), "prompt", "newer")
    gone = await filled.remember("How do I reset my phone?", OLD_ONE)
    keys = [filled.key("old", each) for each in (both, gone)]
    (lacking,) = await filled.store.lacking(OLD.version, NEW.version, keys)
    assert lacking.entry == gone
    await filled.redis.delete(filled.key("old", gone))
    vector = np.full(256, 1 / 16, dtype=np.float32)
    await filled.store.add(OLD.version, NEW.version, lacking, vector)
    assert not await filled.redis.exists(filled.key("new", gone))
    assert (await filled.fill()).complete
    assert await filled.redis.hget(filled.key("new", both), "prompt") == b"newer"


async def test_what_is_written_while_it_is_being_embedded_anew_is_not_overwritten(filled: Filled) -> None:
    entry = await filled.remember("How do I reset my router?", OLD_ONE)
    (lacking,) = await filled.store.lacking(OLD.version, NEW.version, [filled.key("old", entry)])
    await filled.remember("How do I reset my router?", OLD_ONE, NEW_ONE)
    newer = await filled.document("new", entry)
    await filled.store.add(OLD.version, NEW.version, lacking, np.full(256, 1 / 16, dtype=np.float32))
    assert await filled.document("new", entry) == newer


async def test_a_turn_is_one_at_a_time_and_one_that_is_over_notes_nothing(filled: Filled) -> None:
    first = await filled.store.claim(NEW.version)
    assert first is not None
    assert await filled.store.claim(NEW.version) is None
    assert await filled.store.note(NEW.version, first.fence, Progress(OLD_ONE, cursor=7))
    await filled.store.release(NEW.version, first.fence)
    second = await filled.store.claim(NEW.version)
    assert second is not None
    assert second.fence > first.fence
    assert second.progress == Progress(OLD_ONE, cursor=7)
    assert not await filled.store.note(NEW.version, first.fence, Progress(OLD_ONE, complete=True))
    await filled.store.release(NEW.version, first.fence)
    assert await filled.store.claim(NEW.version) is None, "it is still the second one's turn"


class Failing:
    """Refuses texts that hold a word, or all of them."""

    def __init__(self, words: Embedder, word: str, fault: type[Exception]) -> None:
        self._words, self._word, self._fault = words, word, fault

    async def vectors_of(self, texts: Sequence[str]) -> Sequence[Vector]:
        if any(self._word in each for each in texts):
            raise self._fault("no vectors today")
        return await self._words.vectors_of(texts)


async def test_an_embedder_that_fails_is_noted_and_the_turn_is_left_to_others(filled: Filled) -> None:
    await filled.remember("How do I reset my router?", OLD_ONE)
    noted = await filled.fill(Failing(filled.words, "", EmbedderFault))
    assert (noted.complete, noted.fault) == (False, "no vectors today")
    await asyncio.sleep(0.1)
    assert not await filled.redis.exists(wire.reembedding_keys(NEW_ONE)[1])
    assert (await filled.fill()).fault == "no vectors today", "as the one before has left it"
    await filled.redis.delete(wire.reembedding_keys(NEW_ONE)[0])
    assert (await filled.fill()).complete


async def test_a_prompt_that_is_refused_keeps_no_other_from_its_vector(filled: Filled) -> None:
    things = [f"thing {number}" for number in range(40)]
    for thing in things:
        await filled.remember(f"How do I reset my {thing}?", OLD_ONE)
    noted = await filled.fill(Failing(filled.words, "thing 7?", TextRefused))
    assert noted.complete
    assert await count(filled) == 39


async def test_one_that_finds_too_few_again_is_not_complete(filled: Filled) -> None:
    for number in range(8):
        await filled.remember(f"How do I reset my thing {number}?", OLD_ONE)
    noted = await filled.fill(Failing(filled.words, "thing", TextRefused))
    assert not noted.complete
    assert noted.fault == "of 8 remembered prompts it finds only 0, so it is gone through again"


@pytest.mark.parametrize(("refused", "is_complete"), [(1, True), (2, False)], ids=("95 %", "90 %"))
async def test_of_a_sample_nineteen_in_twenty_must_be_found_again(
    filled: Filled, refused: int, is_complete: bool
) -> None:
    for number in range(20):
        thing = f"a{number}" if number < refused else f"b{number}"
        await filled.remember(f"How do I reset my {thing}?", OLD_ONE)
    noted = await filled.fill(Failing(filled.words, " my a", TextRefused))
    assert noted.complete is is_complete
    assert ("it finds only 18" in noted.fault) is not is_complete


class Confusing:
    """Has each vector right, and answers several at once in the wrong order."""

    def __init__(self, words: Embedder) -> None:
        self._words = words

    async def vectors_of(self, texts: Sequence[str]) -> Sequence[Vector]:
        return (await self._words.vectors_of(texts))[::-1]


async def test_one_that_holds_wrong_vectors_is_not_complete(filled: Filled) -> None:
    """Each of them finds itself; the prompts are what lookups will bring."""
    for number in range(8):
        await filled.remember(f"How do I reset my thing {number}?", OLD_ONE)
    noted = await filled.fill(Confusing(filled.words))
    assert not noted.complete
    assert noted.fault == "of 8 remembered prompts it finds only 0, so it is gone through again"


async def test_what_expires_while_it_is_looked_for_is_missed_by_nobody(filled: Filled) -> None:
    entry = await filled.remember("How do I reset my router?", OLD_ONE)
    (each,) = await filled.store.sample(OLD.version, 64)
    (vector,) = await filled.words.vectors_of([each.prompt])
    assert await filled.store.finds(OLD.version, NEW.version, each, vector) is False
    await filled.redis.delete(filled.key("old", entry))
    assert await filled.store.finds(OLD.version, NEW.version, each, vector) is None
    assert await filled.store.sample(OLD.version, 64) == []


async def count(filled: Filled) -> int:
    return len([key async for key in filled.redis.scan_iter(f"{wire.vector_prefix(NEW.version)}*")])


class Counting:
    """How many texts it has been asked for and has not answered, at most."""

    most = under_way = 0

    def __init__(self, words: Embedder) -> None:
        self._words = words

    async def vectors_of(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.under_way += len(texts)
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        vectors = await self._words.vectors_of(texts)
        self.under_way -= len(texts)
        return vectors


async def test_a_request_never_waits_for_more_than_a_few_of_what_is_embedded_anew(filled: Filled) -> None:
    """Which its encoder takes with other texts, or before: so a change of the embedding makes no look-up too slow."""
    for number in range(40):
        await filled.remember(f"How do I reset my thing {number}?", OLD_ONE)
    counting = Counting(filled.words)
    assert (await filled.fill(counting)).complete
    assert 0 < counting.most <= 4


async def test_it_goes_no_faster_than_it_may(filled: Filled) -> None:
    for number in range(12):
        await filled.remember(f"How do I reset my thing {number}?", OLD_ONE)
    reembedder = Reembedder(filled.store, await embedders(filled.embedder, filled.words))
    await reembedder.follow(replace(SNAPSHOT, indexes={OLD.id: replace(FILLING, reembed_per_second=1)}))
    clock = asyncio.get_running_loop().time
    began = clock()
    for _ in range(1_000):
        if (await filled.progress()).done:
            break
        await asyncio.sleep(0.05)
    assert (await filled.progress()).done
    assert clock() - began >= 3.9, "four are counted, and each has its second"
    await reembedder.aclose()


@asynccontextmanager
async def reported() -> AsyncIterator[list[str]]:
    """What is reported of work in the background."""
    found: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: found.append(context["message"]))
    yield found
    loop.set_exception_handler(None)


async def many(filled: Filled) -> None:
    for number in range(12):
        await filled.remember(f"How do I reset my thing {number}?", OLD_ONE)


async def test_what_somebody_else_wrote_among_the_documents_is_passed_over(filled: Filled) -> None:
    await many(filled)
    prefix, redis = wire.vector_prefix(OLD.version), filled.redis
    document = {"prompt": "Whose?", "embedding": bytes(384 * 4), "partition": PARTITION}
    await redis.set(filled.key("old", "aa"), "not a hash")
    await redis.set(f"{prefix}garbage", "neither")
    await redis.hset(prefix.encode() + b"{\xff\xfe}:aa", mapping=document)  # type: ignore[arg-type]  # values may be bytes
    await redis.hset(f"{prefix}{{a|b}}:aa", mapping=document)  # type: ignore[arg-type]  # as above
    await redis.hset(filled.key("old", "bb"), mapping={**document, "partition": "other"})  # type: ignore[dict-item]  # as above
    noted = await filled.fill()
    assert (noted.complete, noted.fault) == (True, "")
    assert await count(filled) == 12


async def test_a_document_that_somebody_overwrites_meanwhile_is_not_copied(filled: Filled) -> None:
    entry = await filled.remember("How do I reset my router?", OLD_ONE)
    (lacking,) = await filled.store.lacking(OLD.version, NEW.version, [filled.key("old", entry)])
    await filled.redis.set(filled.key("old", entry), "not a hash", px=60_000)
    await filled.store.add(OLD.version, NEW.version, lacking, np.full(256, 1 / 16, dtype=np.float32))
    assert await count(filled) == 0


async def test_a_redis_without_room_is_said_and_gone_on_with_once_there_is_some(filled: Filled) -> None:
    await many(filled)
    before = await filled.redis.config_get("maxmemory*")
    try:
        await filled.redis.config_set("maxmemory-policy", "noeviction")
        await filled.redis.config_set("maxmemory", 1_000_000)
        noted = await filled.fill()
        assert (noted.complete, noted.obstacle) == (False, Obstacle.NO_ROOM)
        assert noted.fault.startswith("the cache Redis has no room for it; raise its maxmemory")
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            await filled.redis.config_set(name, str(before[name]))
    assert (await completed(filled, filled.store)).fault == ""


async def completed(filled: Filled, store: RedisReembedding) -> Progress:
    """Whatever is in the way for a while."""
    reembedder = Reembedder(store, await embedders(filled.embedder, filled.words))
    await reembedder.follow(replace(SNAPSHOT, indexes={OLD.id: FILLING}))
    try:
        for _ in range(1_500):
            if (noted := await filled.progress()).complete:
                return noted
            await asyncio.sleep(0.02)
        raise AssertionError(await filled.progress())
    finally:
        await reembedder.aclose()


class BreaksOnce(RedisReembedding):
    """In a way that nobody foresaw, and keeps what was noted then."""

    said = ""
    is_broken = False

    async def scan(self, source: IndexVersion, cursor: int) -> tuple[int, Sequence[str]]:
        if not self.is_broken:
            self.is_broken = True
            raise RuntimeError("of a prompt")
        return await super().scan(source, cursor)

    async def note(self, target: IndexVersion, fence: int, progress: Progress) -> bool:
        self.said = self.said or progress.fault
        return await super().note(target, fence, progress)


async def test_what_nobody_foresaw_is_said_and_reported_and_does_not_end_it(filled: Filled) -> None:
    await many(filled)
    store = BreaksOnce(filled.redis)
    async with reported() as reports:
        assert (await completed(filled, store)).fault == ""
    assert store.said == "RuntimeError, which nobody foresaw; a data plane's log has more"
    assert reports == ["embedding anew has stopped, and is tried again: RuntimeError: of a prompt"]


class StopsAtTheSecondPage(RedisReembedding):
    """Once, as if its data plane had died there."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.cursors: list[int] = []

    async def scan(self, source: IndexVersion, cursor: int) -> tuple[int, Sequence[str]]:
        self.cursors.append(cursor)
        if len(self.cursors) == 2:
            raise CacheFault(CacheReason.CACHE_UNAVAILABLE, "scan: it does not answer")
        return await super().scan(source, cursor)


async def test_who_goes_on_begins_where_the_one_before_has_stopped(filled: Filled) -> None:
    await many(filled)
    # A page is as many keys of whatever kind as Redis goes through at once.
    await filled.redis.mset({f"other {number}": "" for number in range(2_000)})
    store = StopsAtTheSecondPage(filled.redis)
    assert (await completed(filled, store)).done == 12
    first, stopped_at, went_on_at, *_ = store.cursors
    assert first == 0 != stopped_at
    assert went_on_at == stopped_at


async def test_a_prompt_with_which_something_unforeseen_happens_keeps_no_other_from_its_vector(
    filled: Filled,
) -> None:
    for number in range(40):
        await filled.remember(f"How do I reset my thing {number}?", OLD_ONE)
    async with reported() as reports:
        noted = await filled.fill(Failing(filled.words, "thing 7?", RuntimeError))
    assert (noted.complete, noted.fault, await count(filled)) == (True, "", 39)
    assert reports == [
        "a remembered prompt could not be embedded anew, and is left out: RuntimeError: no vectors today"
    ]
