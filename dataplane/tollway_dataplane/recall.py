"""The cache's part of the story: gates in order, exact before semantic, each answer counted by its reason. A fault
of the cache or of the embedder is a miss, never a failed request.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from tollway_api import wire
from tollway_api.routing_policy import CacheMode
from tollway_api.snapshot import Accuracy, Index, IndexVersion, Policy, Snapshot, Tenant
from tollway_dataplane.core.cacheability import bypass_reason, unfit_reason
from tollway_dataplane.core.conversation import may_compare, sought_by
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.facts import ChatRequest, Turn
from tollway_dataplane.core.identity import entry_of, normalise, partition_of, turns_of
from tollway_dataplane.core.judge import Judge, View, is_own
from tollway_dataplane.core.reading import read
from tollway_dataplane.core.verification import verify
from tollway_dataplane.embedders import Embedders
from tollway_dataplane.errors import CacheFault, EmbedderFault
from tollway_dataplane.flights import Flight, Flights
from tollway_dataplane.forgetting import Forgetting
from tollway_dataplane.ports import (
    MOST_ANSWER_BYTES,
    AnswerCache,
    FoundBy,
    Neighbour,
    Place,
    Remembered,
    Vector,
)

CANDIDATES: Final = 5
# Many chats may end in the same words, and the nearest by those are told apart by what was said before.
CANDIDATES_OF_A_CHAT: Final = 16
# The judge was trained on candidates no further than this, and of those hardly any at the end may be reused.
LEAST_SIMILARITY: Final = 0.6
# The encoder reads no further than about this, so longer prompts are not compared by meaning.
MOST_CHARACTERS: Final = 1_000
# Between two looks for an answer that another data plane is asking for, growing.
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.2
_MOST_PENDING_STORES: Final = 1_000
_EMBED_BESIDE_S: Final = 2.0  # for a version that lookups do not ask; nobody waits for it


@dataclass(frozen=True, slots=True)
class Candidate:
    """The likeliest neighbour in an index whose error rate is bounded, whether it was served or not."""

    place: Place
    probability: float


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the cache said, and what is needed to store the answer when it did not have one."""

    reason: CacheReason
    answer: Remembered | None = field(default=None, repr=False)
    similarity: float | None = None  # cosine of the candidate that was served, or of the nearest one
    probability: float | None = None  # that its answer may be reused, as the judge sees it
    place: Place | None = None  # None: nothing is to be stored
    view: View | None = field(default=None, repr=False)  # None: only the very same prompt will find it
    vector: Vector | None = field(default=None, repr=False)  # of the version that was asked
    flight: Flight | None = field(default=None, repr=False)
    candidate: Candidate | None = None

    def land(self) -> None:
        """To be called once what the lookup is for has ended, because others may be waiting for that."""
        if self.flight is not None:
            self.flight.land()


class _Patience:
    """How long one look-up may wait for the cache, over all that it asks of it."""

    def __init__(self, seconds: float) -> None:
        self._left_s = seconds

    @contextmanager
    def spend(self) -> Iterator[float]:
        """The seconds that are left; what the body takes is taken from them."""
        began = time.perf_counter()
        try:
            yield max(0.0, self._left_s)
        finally:
            self._left_s -= time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds."""

    read: float  # for all that one look-up asks of the cache
    embed: float
    coalesce: float  # for somebody else who is asking the very same


class Recall:
    def __init__(
        self,
        cache: AnswerCache,
        forgetting: Forgetting,
        embedders: Embedders,
        judge: Judge,
        deadlines: Deadlines,
        on_store: Callable[[str], None],
    ) -> None:
        self._cache = cache
        self._forgetting = forgetting
        self._embedders = embedders
        self._judge = judge
        self._deadlines = deadlines
        self._flights = Flights(deadlines.coalesce)
        self._on_store = on_store
        self._stores: set[asyncio.Task[None]] = set()
        self._storing: set[str] = set()  # keys of entries
        self._indexes: Mapping[str, Index] = {}  # those that are there now, by id

    async def follow(self, snapshot: Snapshot) -> None:
        """From now on what is remembered goes into the indexes of the snapshot and their versions, also by requests
        that began before it. Ends when nothing else is under way any more, which takes no longer than a store's
        deadline.
        """
        before, self._indexes = self._indexes, snapshot.indexes
        for index_id in before.keys() - snapshot.indexes.keys():
            self._forgetting.forget_index(index_id)
        if any(
            index_id not in snapshot.indexes or snapshot.indexes[index_id].versions != index.versions
            for index_id, index in before.items()
        ):
            await self.drain()

    async def look_up(
        self, request: ChatRequest, tenant: Tenant, policy: Policy, index: Index | None
    ) -> Lookup:
        bypass = bypass_reason(request, policy)
        if bypass is not None:
            return Lookup(bypass)
        if policy.cache is None or index is None or request.prompt is None:
            return Lookup(CacheReason.NO_CACHE)
        prompt, turns = normalise(request.prompt), turns_of(request.messages)
        partition = self._forgetting.partition(partition_of(request, tenant, policy, index), index, tenant)
        if partition is None:
            return Lookup(CacheReason.CACHE_UNAVAILABLE)
        place = Place(index, partition, entry_of(prompt, turns))
        patience = _Patience(self._deadlines.read)
        try:
            answer = await self._exact(place, patience)
            if answer is not None:
                return Lookup(CacheReason.EXACT, answer, place=place)
            broken = None
        except CacheFault as fault:
            # What is broken for reading is not asked again for this request; the store finds out by itself.
            broken = Lookup(CacheReason(fault.reason), place=place)
        if unfit := unfit_reason(prompt, policy.cache, index, turns):
            return Lookup(unfit)
        if broken is not None:
            return broken
        if policy.cache.mode is CacheMode.READ_ONLY:
            return await self._by_meaning(place, prompt, turns, patience)
        return await self._in_turn(place, prompt, turns, patience)

    async def _in_turn(
        self, place: Place, prompt: str, turns: tuple[Turn, ...], patience: "_Patience"
    ) -> Lookup:
        """After somebody else who is asking the very same, here or at another data plane, if there is one; what that
        one was told is remembered unless it must not be.
        """
        key = _key(place)
        if await self._flights.another(key) and (answer := self._forgetting.recalled(place)) is not None:
            return Lookup(CacheReason.COALESCED, answer, place=place)
        flight = self._flights.begin(key)
        try:
            if flight.is_waited_for and self._deadlines.coalesce:
                lookup = await self._among_all(place, prompt, turns, patience, flight)
            else:
                lookup = await self._by_meaning(place, prompt, turns, patience)
        except BaseException:
            flight.land()
            raise
        if lookup.answer is not None:
            flight.land()
        return replace(lookup, flight=flight)

    async def _among_all(
        self, place: Place, prompt: str, turns: tuple[Turn, ...], patience: "_Patience", flight: Flight
    ) -> Lookup:
        # While the prompt is embedded, so that it costs no time.
        claiming = asyncio.create_task(self._claimed(place))
        # One that is under way still when all is over may yet be granted.
        flight.then(lambda: claiming.add_done_callback(lambda _: self._landed(place)))
        lookup = await self._by_meaning(place, prompt, turns, patience)
        if lookup.answer is None and not await claiming:
            answer = await self._from_elsewhere(place)
            if answer is not None:
                return Lookup(CacheReason.COALESCED, answer, place=place)
        return lookup

    def _landed(self, place: Place) -> None:
        """Who waits elsewhere waits on for an answer that is about to be remembered."""
        if _key(place) not in self._storing:
            self._cache.claims.release(place)

    async def _claimed(self, place: Place) -> bool:
        """False where another data plane is asking for it; a cache that cannot say so keeps nobody waiting."""
        try:
            return await self._cache.claims.take(place, self._deadlines.read)
        except CacheFault:
            return True

    async def _from_elsewhere(self, place: Place) -> Remembered | None:
        """What another data plane is asking for, once it is there. None when the time is over, when that one has given
        up, or died, so that it is our turn, and when the cache does not answer.
        """
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + self._deadlines.coalesce, _FIRST_PAUSE_S
        while loop.time() < until:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
            try:
                is_ours = await self._cache.claims.take(place, self._deadlines.read)
                # Only then, since it may have come in between.
                answer = await self._cache.get(place, self._deadlines.read, latest=True)
            except CacheFault:
                return None
            if answer is not None:
                self._keep(place, answer)
            if answer is not None or is_ours:
                return answer
        return None

    async def _by_meaning(
        self, place: Place, prompt: str, turns: tuple[Turn, ...], patience: "_Patience"
    ) -> Lookup:
        if len(prompt) > MOST_CHARACTERS or not may_compare(turns):
            return Lookup(CacheReason.PROMPT_TOO_LONG, place=place)
        try:
            async with asyncio.timeout(self._deadlines.embed):
                encoded, vector = await self._embedders.encode(prompt, place.index.version.embedding)
        except (EmbedderFault, TimeoutError):
            return Lookup(CacheReason.EMBEDDER_UNAVAILABLE, place=place)
        view = self._judge.view_of(prompt, encoded, turns)
        try:
            lookup = await self._semantic(place, view, vector, patience)
        except CacheFault as fault:
            lookup = Lookup(CacheReason(fault.reason), place=place, view=view)
        return replace(lookup, vector=vector)

    async def _exact(self, place: Place, patience: "_Patience") -> Remembered | None:
        answer = self._forgetting.recalled(place)
        if answer is None and not self._forgetting.is_evicted(place):
            with patience.spend() as within_s:
                answer = await self._cache.get(place, within_s)
            if answer is not None:
                self._keep(place, answer)
        return answer

    def _keep(self, place: Place, answer: Remembered) -> bool:
        """In this process; whether the index is still there to remember it."""
        stands = place.index.id in self._indexes
        if stands:
            self._forgetting.keep(place, answer)
        return stands

    async def _semantic(self, place: Place, view: View, vector: Vector, patience: "_Patience") -> Lookup:
        """The nearest neighbour whose answer may serve; otherwise what speaks against the very nearest."""
        # Long chats take milliseconds to read, and to compare, in which others want to be answered.
        about = await asyncio.to_thread(sought_by, view.reading, view.turns) if view.turns else ()
        count = CANDIDATES_OF_A_CHAT if view.turns else CANDIDATES
        with patience.spend() as within_s:
            neighbours = await self._cache.nearest(place, vector, count, within_s, about)
        refused: Lookup | None = None
        candidate: Candidate | None = None
        async for reason, probability, neighbour in self._verdicts(view, neighbours, place.index):
            found = replace(place, entry=neighbour.entry)
            if reason is CacheReason.SEMANTIC and place.index.accuracy is not None:
                candidate = candidate or Candidate(found, probability)
                reason = _within(probability, place.index, place.index.accuracy)  # noqa: PLW2901 - by the bound
            if reason is CacheReason.SEMANTIC:
                with patience.spend() as within_s:
                    answer = await self._cache.get(found, within_s)
                if self._forgetting.is_evicted(found):
                    answer = None
                if answer is not None:
                    return Lookup(
                        reason, answer, neighbour.similarity, probability, place, view, candidate=candidate
                    )
                reason, candidate = CacheReason.ENTRY_GONE, None  # noqa: PLW2901 - and the next may serve
            refused = refused or Lookup(reason, None, neighbour.similarity, probability, place, view)
        return replace(
            refused or Lookup(CacheReason.NO_NEIGHBOUR, place=place, view=view), candidate=candidate
        )

    async def _verdicts(
        self, view: View, neighbours: Sequence[Neighbour], index: Index
    ) -> AsyncIterator[tuple[CacheReason, float, Neighbour]]:
        """The nearest first. Where the error rate is bounded, by the loosest point there may be, and the likeliest
        first, so that what is served at one point is also served at every looser one.
        """
        accuracy = index.accuracy
        if accuracy is None:
            for each in neighbours:
                yield *await self._judged(view, each, index), each
            return
        least = accuracy.bound.points[-1]
        loosest = replace(index, threshold=least, strict_threshold=max(least, index.strict_threshold))
        found = [(*await self._judged(view, each, loosest), each) for each in neighbours]
        for judged in sorted(found, key=lambda each: -each[1]):
            yield judged

    async def _judged(self, view: View, neighbour: Neighbour, index: Index) -> tuple[CacheReason, float]:
        if view.turns:
            return await asyncio.to_thread(self._verdict, view, neighbour, index)
        return self._verdict(view, neighbour, index)

    def _verdict(self, view: View, neighbour: Neighbour, index: Index) -> tuple[CacheReason, float]:
        # The judge's cosine, whatever the index's embedding makes of the two.
        if float(view.vector @ neighbour.vector) < LEAST_SIMILARITY:
            return CacheReason.BELOW_THRESHOLD, 0.0
        theirs = self._judge.view(read(neighbour.prompt), neighbour.vector, neighbour.words, neighbour.turns)
        verdict = verify(view, theirs, index, self._judge)
        return verdict.reason, verdict.probability

    async def at(self, place: Place) -> Remembered | None:
        """What is remembered there, for who does not wait for it. Raises CacheFault."""
        return await self._cache.get(place, self._deadlines.embed)

    def remember(self, lookup: Lookup, policy: Policy, body: bytes, model: str, cost_nano: int) -> None:
        """Stores a good answer: here at once, in Redis behind the reply."""
        place = lookup.place
        if place is None or policy.cache is None or policy.cache.mode is CacheMode.READ_ONLY:
            return
        if len(body) > MOST_ANSWER_BYTES:
            self._on_store("AnswerTooLarge")
            return
        if self._forgetting.voids(place):
            self._on_store("Purged")
            return
        answer = Remembered(body, model, cost_nano, expires_at=time.time() + place.index.ttl_ms / 1_000)
        if not self._keep(place, answer):
            self._on_store("IndexGone")
            return
        if len(self._stores) >= _MOST_PENDING_STORES:
            self._on_store("TooManyPending")
            return
        self._storing.add(_key(place))
        task = asyncio.create_task(self._store(lookup, place, answer))
        self._stores.add(task)
        task.add_done_callback(self._stores.discard)

    async def _store(self, lookup: Lookup, place: Place, answer: Remembered) -> None:
        try:
            await self._cache.put(place, await self._found_by(lookup, place), answer)
        except CacheFault as fault:
            self._on_store(fault.reason)
            self._cache.claims.release(place)
        else:
            self._on_store("Stored")
            self._cache.claims.forget(place)
        finally:
            self._storing.discard(_key(place))

    async def _found_by(self, lookup: Lookup, place: Place) -> FoundBy | None:
        """For the versions that are written now, of which the lookup's may be none any more. A version whose embedding
        is not to be had goes without, which is better than to remember nothing.
        """
        if lookup.view is None:
            return None
        vectors = []
        for version in self._indexes.get(place.index.id, place.index).versions:
            try:
                vectors.append((version, await self._vector(lookup.view, lookup, version)))
            except (EmbedderFault, TimeoutError):
                self._on_store("NotEmbedded")
        return FoundBy(lookup.view, vectors)

    async def _vector(self, view: View, lookup: Lookup, version: IndexVersion) -> Vector:
        if is_own(version.embedding):
            return view.vector
        asked = lookup.place.index.version.embedding if lookup.place else None
        if lookup.vector is not None and asked == version.embedding:
            return lookup.vector
        async with asyncio.timeout(_EMBED_BESIDE_S):
            (vector,) = await self._embedders.of(version.embedding).vectors_of([view.reading.text])
        return vector

    async def drain(self) -> None:
        """Waits for what is under way."""
        await asyncio.gather(*self._stores)
        await self._cache.claims.drain()


def _key(place: Place) -> str:
    return wire.entry_key(place.partition, place.entry)


def _within(probability: float, index: Index, accuracy: Accuracy) -> CacheReason:
    """Whether a neighbour that is likely enough for the loosest point is so for the one that holds now."""
    if probability >= index.threshold:
        return CacheReason.SEMANTIC
    is_wanted = probability >= accuracy.bound.threshold
    return CacheReason.ERROR_BOUND if is_wanted else CacheReason.BELOW_THRESHOLD
