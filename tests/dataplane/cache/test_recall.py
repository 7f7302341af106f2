"""The cache's part of a request."""

import asyncio
import gc
import io
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from math import inf

import numpy as np
import pytest

from tests.dataplanes import Setup, compiled
from tests.loops import counted_turns
from tests.tenants import NO_BILLS
from tollway_api.epochs import Epochs, Scope
from tollway_api.meta import TenantName
from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.adapters.near_cache import LocalNearCache
from tollway_dataplane.cache.comparing import CANDIDATES
from tollway_dataplane.cache.embedders import Embedders
from tollway_dataplane.cache.forgetting import Forgetting
from tollway_dataplane.cache.lookup import Deadlines, Lookup
from tollway_dataplane.cache.recall import Recall
from tollway_dataplane.core.decision import CacheReason, StaleReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.judgement.judge import ALL_CHECKS, Judge, Verdict, View, shipped
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.ports import MOST_ANSWER_BYTES, FoundBy, Neighbour, News, Place, Remembered, Vector
from tollway_dataplane.prompts.reading import Encoded
from tollway_dataplane.record import Record

FJORD = "what is a fjord?"


class NoClaims:
    def release(self, place: Place) -> None:
        raise AssertionError(place)

    def forget(self, place: Place) -> None:
        raise AssertionError(place)

    async def drain(self) -> None:
        return


class SlowCache:
    """Takes a while for every answer, and notes how long it might have taken."""

    def __init__(self) -> None:
        self.given: list[float] = []
        self.orphans: list[str] = []
        self.claims = NoClaims()

    async def get(self, _: Place, within_s: float, *, expired: bool = False) -> Remembered | None:
        assert not expired
        await self._answer(within_s)
        return None

    async def claim(self, place: Place, within_s: float) -> tuple[bool, Remembered | None]:
        raise AssertionError((place, within_s))

    async def nearest(
        self, _: Place, vector: Vector, count: int, within_s: float, about: Sequence[str] = ()
    ) -> Sequence[Neighbour]:
        assert about == ()
        await self._answer(within_s)
        words = np.ones((1, 384), dtype=np.int8)
        return [Neighbour("0" * 32, 1.0, "what is a fjord?", vector, words)][: count * len(vector)]

    async def put(self, place: Place, found_by: FoundBy | None, answer: Remembered) -> None:
        raise AssertionError((place, found_by, answer))

    async def unlink_orphan(self, place: Place) -> None:
        self.orphans.append(place.entry)

    async def _answer(self, within_s: float) -> None:
        self.given.append(within_s)
        await asyncio.sleep(0.01)


class NothingPurged:
    async def news(self, known: Epochs, wait_s: float, *, trusted: bool) -> News:
        return News(known, time.monotonic() + wait_s * trusted)

    async def purge(self, scope: Scope) -> int:
        raise AssertionError(scope)

    async def evict(self, place: Place) -> None:
        raise AssertionError(place)

    async def sweep(self, after_s: float) -> int | None:
        raise AssertionError(after_s)


class Encoder:
    async def embed(self, text: str, _: float = inf) -> Encoded:
        vector = np.full(384, 384**-0.5, dtype=np.float32)
        return Encoded(vector, np.ones((1, 384), dtype=np.float32), [(0, len(text))])


async def following(purges: NothingPurged) -> Forgetting:
    forgetting = Forgetting(LocalNearCache(1_000), purges, JsonLog(io.BytesIO()))
    await forgetting.refresh()
    return forgetting


class Asking:
    """A recall over a cache, and requests of one tenant that it is asked by."""

    def __init__(
        self,
        cache: SlowCache,
        forgetting: Forgetting,
        deadlines: Deadlines,
        judge: Judge | None = None,
        policy: Mapping[str, object] | None = None,
    ) -> None:
        snapshot = compiled(Setup("http://a/v1", "http://b/v1", policy=policy or {}).objects())
        (self._index,), self.policy = snapshot.indexes.values(), snapshot.policies[0]
        self._tenant = snapshot.tenants[TenantName("acme")]
        embedders = Embedders(Encoder(), {}, NO_BILLS)
        self.recall = Recall(cache, forgetting, embedders, judge or shipped(), deadlines, lambda _: None)

    async def look_up(self, prompt: str) -> Lookup:
        request = ChatRequest("r", "auto", [{"role": "user", "content": prompt}], prompt=prompt)
        return await self.recall.look_up(request, self._tenant, self.policy, self._index, Record("r", "chat"))


async def test_all_that_a_request_asks_of_the_cache_shares_one_deadline() -> None:
    cache = SlowCache()
    asking = Asking(cache, await following(NothingPurged()), Deadlines(5.0, 1.0, 0.0))
    lookup = await asking.look_up(FJORD)
    assert lookup.reason is CacheReason.ENTRY_GONE
    exact, search, hit, others = cache.given
    assert exact == pytest.approx(5.0)
    assert 5.0 - exact < 0.01 <= exact - search
    assert search - hit >= 0.01 <= hit - others, "the one there was had gone, so it looked for others"
    await asking.recall.drain()
    assert cache.orphans == ["0" * 32]


async def test_what_is_evicted_while_it_is_fetched_is_not_served() -> None:
    """By whatever it was found: the very same prompt, or one that means the same."""

    class Evicting(NothingPurged):
        async def evict(self, place: Place) -> None:
            assert place.entry

    class LateCache(SlowCache):
        async def get(self, place: Place, within_s: float, *, expired: bool = False) -> Remembered | None:
            await super().get(place, within_s, expired=expired)
            await forgetting.evict(place)
            return Remembered(b"{}", "cheap", 0, time.time() + 60.0, 0)

    forgetting = await following(Evicting())
    asking = Asking(LateCache(), forgetting, Deadlines(5.0, 1.0, 0.0))
    lookup = await asking.look_up(FJORD)
    await asking.recall.drain()
    assert (lookup.answer, lookup.reason) == (None, CacheReason.ENTRY_GONE)


async def looked_up(cache: SlowCache, prompt: str) -> Lookup:
    """Where others who ask the very same are waited for."""
    asking = Asking(cache, await following(NothingPurged()), Deadlines(5.0, 1.0, 5.0))
    lookup = await asking.look_up(prompt)
    await asking.recall.drain()
    await asyncio.sleep(0)  # what follows on a landing
    return lookup


def answer() -> Remembered:
    return Remembered(b"{}", "cheap", 0, time.time() + 60.0, 0)


async def test_who_is_answered_by_what_means_the_same_claims_nothing() -> None:
    """That is two commands of Redis, of four."""

    class Known(SlowCache):
        async def get(self, place: Place, within_s: float, *, expired: bool = False) -> Remembered | None:
            await super().get(place, within_s, expired=expired)
            return answer() if place.entry == "0" * 32 else None

    lookup = await looked_up(Known(), "what is a fjord?")
    assert lookup.reason is CacheReason.SEMANTIC
    lookup.land()


@pytest.mark.parametrize("is_ours", [True, False])
async def test_what_another_has_remembered_while_it_was_looked_for_is_found_with_the_claim(
    is_ours: bool,
) -> None:
    class Late(SlowCache):
        async def nearest(
            self, place: Place, vector: Vector, count: int, within_s: float, about: Sequence[str] = ()
        ) -> Sequence[Neighbour]:
            return (await super().nearest(place, vector, count, within_s, about))[:0]

        async def claim(self, _: Place, within_s: float) -> tuple[bool, Remembered | None]:
            assert within_s < self.given[-1], "of one deadline with all that came before"
            released.append(False)
            return is_ours, answer()

    class Claims(NoClaims):
        def release(self, _: Place) -> None:
            released[-1] = True

    released: list[bool] = []
    cache = Late()
    cache.claims = Claims()
    lookup = await looked_up(cache, "what is a fjord?")
    assert lookup.reason is CacheReason.COALESCED
    assert released == [True]


async def test_many_callers_neighbours_are_judged_one_in_each_turn_of_the_event_loop() -> None:
    """They come at once, and a turn in which all were judged would keep everybody else waiting."""
    judged: list[int] = []

    class NotedJudge(Judge):
        def verdict(
            self,
            ours: View,
            theirs: View,
            threshold: float | None = None,
            checks: Collection[CriticalCheck] = ALL_CHECKS,
        ) -> Verdict:
            judged.append(turn())
            return super().verdict(ours, theirs, threshold, checks)

    judge = NotedJudge(**vars(shipped()))
    asking = Asking(SlowCache(), await following(NothingPurged()), Deadlines(60.0, 60.0, 0.0), judge)
    with counted_turns() as turn:
        await asyncio.gather(*(asking.look_up(f"what is fjord number {n}?") for n in range(8)))
    await asking.recall.drain()
    assert len(judged) == len(set(judged)) == 8


@pytest.mark.parametrize("padding", [0, 100_000])
async def test_a_prompt_of_any_length_is_asked_whether_it_is_about_just_now(padding: int) -> None:
    """A long one beside the event loop, since that takes a millisecond a kilobyte."""
    asking = Asking(SlowCache(), await following(NothingPurged()), Deadlines(60.0, 60.0, 0.0))
    prompt = "a fjord is deep. " * (padding // 17) + "What is the weather in Bergen?"
    lookup = await asking.look_up(prompt)
    assert lookup.reason is CacheReason.TIME_DEPENDENT


async def test_an_answer_that_is_too_large_is_not_remembered_and_counted() -> None:
    snapshot = compiled(Setup("http://a/v1", "http://b/v1").objects())
    outcomes: list[str] = []
    forgetting = Forgetting(LocalNearCache(10**9), NothingPurged(), JsonLog(io.BytesIO()))
    embedders, deadlines = Embedders(Encoder(), {}, NO_BILLS), Deadlines(1.0, 1.0, 0.0)
    recall = Recall(SlowCache(), forgetting, embedders, shipped(), deadlines, outcomes.append)
    await recall.follow(snapshot)
    place = Place(snapshot.indexes["default/answers"], "0" * 52, "0" * 32)
    body = b" " * (MOST_ANSWER_BYTES + 1)
    recall.remember(Lookup(CacheReason.NO_NEIGHBOUR, place=place), snapshot.policies[0], body, "cheap", 1)
    assert outcomes == ["AnswerTooLarge"]
    assert forgetting.recalled(place) is None


class FullCache(SlowCache):
    """The answer of one prompt was evicted and its vector was not, so that the only other is not among the nearest."""

    ORPHAN, OTHER = "0" * 32, "1" * 32

    async def get(self, place: Place, within_s: float, *, expired: bool = False) -> Remembered | None:
        await asyncio.sleep(0)
        assert within_s > 0
        is_there = place.entry == self.OTHER and not expired
        return Remembered(b"{}", "cheap", 0, time.time() + 60.0, 0) if is_there else None

    async def nearest(
        self, _: Place, vector: Vector, count: int, within_s: float, about: Sequence[str] = ()
    ) -> Sequence[Neighbour]:
        assert within_s > 0
        assert about == ()
        words = np.ones((1, 384), dtype=np.int8)
        prompts = {self.ORPHAN: "what is a fjord?", self.OTHER: "what is a fjord for?"}
        found = [Neighbour(entry, 1.0, prompt, vector, words) for entry, prompt in prompts.items()]
        return found if count > CANDIDATES else found[:1]


class RatherSure(Judge):
    """That the other's answer is right, but not enough for a hit."""

    def verdict(
        self,
        ours: View,
        theirs: View,
        threshold: float | None = None,
        checks: Collection[CriticalCheck] = ALL_CHECKS,
    ) -> Verdict:
        if theirs.reading.text == "what is a fjord for?":
            return Verdict(CacheReason.BELOW_THRESHOLD, "it is not known", 0.6)
        return super().verdict(ours, theirs, threshold, checks)


@pytest.mark.parametrize("is_purged", [False, True])
async def test_what_stands_behind_an_orphan_stands_in_unless_it_is_purged_while_it_is_fetched(
    *, is_purged: bool
) -> None:
    """An orphan takes the place of another among the nearest, which is the one that may be served."""

    class Purging(NothingPurged):
        async def purge(self, scope: Scope) -> int:
            assert scope.index_id
            return 1

    class PurgedCache(FullCache):
        async def get(self, place: Place, within_s: float, *, expired: bool = False) -> Remembered | None:
            answer = await super().get(place, within_s, expired=expired)
            if answer is not None:
                await forgetting.purge(Scope(place.index.id))
            return answer

    use = {"cache": {"indexRef": {"name": "answers"}, "staleIfError": "1h"}}
    forgetting = await following(Purging())
    cache, judge = PurgedCache() if is_purged else FullCache(), RatherSure(**vars(shipped()))
    asking = Asking(cache, forgetting, Deadlines(5.0, 60.0, 0.0), judge, use)
    lookup = await asking.look_up(FJORD)
    await asking.recall.drain()
    assert (lookup.answer, lookup.reason) == (None, CacheReason.ENTRY_GONE)
    found = await asking.recall.stand_in(lookup, asking.policy)
    assert (found and found[1]) == (None if is_purged else StaleReason.UNSURE)


async def test_a_hit_leaves_no_verdicts_to_the_garbage_collector() -> None:
    """Which would end them in a task of its own, whenever it comes to them."""
    left: list[object] = []

    class HitCache(SlowCache):
        async def get(self, place: Place, within_s: float, *, expired: bool = False) -> Remembered | None:
            await super().get(place, within_s, expired=expired)
            return None if len(self.given) == 1 else Remembered(b"{}", "cheap", 0, time.time() + 60.0, 0)

    asking = Asking(HitCache(), await following(NothingPurged()), Deadlines(5.0, 60.0, 0.0))
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=left.append)
    try:
        lookup = await asking.look_up(FJORD)
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)
    lookup.land()
    assert lookup.reason is CacheReason.SEMANTIC
    assert left == []
