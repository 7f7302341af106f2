"""The cache's part of the story: gates in order, exact before semantic, each answer counted by its reason. A fault
of the cache or of the embedder is a miss, never a failed request.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tollway_api.routing_policy import CacheMode
from tollway_api.snapshot import CacheUse, Index, Policy, Snapshot, Tenant
from tollway_dataplane.cache.comparing import Comparing
from tollway_dataplane.cache.embedders import Embedders
from tollway_dataplane.cache.flights import Flight, Flights
from tollway_dataplane.cache.forgetting import Forgetting
from tollway_dataplane.cache.lookup import Deadlines, Lookup, Patience, Question
from tollway_dataplane.cache.remembering import Remembering
from tollway_dataplane.core.decision import CacheReason, StaleReason
from tollway_dataplane.core.facts import ChatRequest, JsonObject, Turn
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.judgement.cacheability import bypass_reason, unfit_reason
from tollway_dataplane.judgement.identity import (
    MOST_LOOKED_THROUGH,
    entry_of,
    normalise,
    partition_of,
    said_in,
    turns_of,
)
from tollway_dataplane.judgement.judge import Judge
from tollway_dataplane.ports import AnswerCache, Place, Remembered
from tollway_dataplane.record import Record
from tollway_dataplane.spending.embedding_bills import Payer

# A millisecond's work each, which others wait for no longer.
_MOST_READ_AT_ONCE: Final = 2_000
_MOST_NORMALISED_AT_ONCE: Final = 10_000
# Between two looks for an answer that another data plane is asking for, growing.
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.2


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
        self._deadlines = deadlines
        self._flights = Flights()
        self._remembering = Remembering(cache, forgetting, embedders, on_store)
        self._comparing = Comparing(cache, self._remembering, embedders, judge, deadlines.embed)

    async def follow(self, snapshot: Snapshot) -> None:
        """From now on what is remembered goes where the snapshot says. Ends when nothing else is under way."""
        await self._remembering.follow(snapshot)

    async def look_up(
        self, request: ChatRequest, tenant: Tenant, policy: Policy, index: Index | None, record: Record
    ) -> Lookup:
        """What looking costs is noted in the record."""
        bypass = bypass_reason(request, policy)
        if bypass is not None:
            return Lookup(bypass)
        if policy.cache is None or index is None or request.prompt is None:
            return Lookup(CacheReason.NO_CACHE)
        said = said_in(request.messages)
        if _is_long(request.prompt, said):
            prompt, turns = await asyncio.to_thread(_normal, request.prompt, request.messages)
        else:
            prompt, turns = _normal(request.prompt, request.messages)
        identity, entry = partition_of(request, tenant, policy, index, turns), entry_of(prompt, turns)
        question: Question | None = None
        while (partition := self._forgetting.partition(identity, index, tenant)) is not None:
            place = Place(index, partition, entry)
            # What this process has kept is not waited for, so nothing can have been purged since it was named.
            if (answer := self._forgetting.recalled(place)) is not None:
                return Lookup(CacheReason.EXACT, answer, place=place)
            if question is None:
                reading, waiting = Patience(self._deadlines.read), Patience(self._deadlines.coalesce)
                question = Question(prompt, turns, turns or said, reading, waiting, Payer(tenant, record))
            lookup = await self._at(place, question, policy.cache)
            if not self._is_outdated(lookup, place):
                return lookup
            lookup.land()
        return Lookup(CacheReason.CACHE_UNAVAILABLE)

    def _is_outdated(self, lookup: Lookup, place: Place) -> bool:
        """Whether it was purged, or nobody knows any more whether it was, while something was waited for. Then what was
        found must not be served, and what will be answered is to be remembered under the name that holds by now.
        """
        if lookup.answer is None:
            return self._forgetting.voids(place)
        return not self._forgetting.serves(place)

    async def _at(self, place: Place, question: Question, use: CacheUse) -> Lookup:
        try:
            answer = await self._remembering.found(place, question.reading)
            if answer is not None:
                return Lookup(CacheReason.EXACT, answer, place=place)
            broken = None
        except CacheFault as fault:
            # What is broken for reading is not asked again for this request; the store finds out by itself.
            broken = Lookup(CacheReason(fault.reason), place=place)
        if unfit := await _unfit(question, use, place.index):
            return Lookup(unfit)
        if broken is not None:
            return broken
        if use.mode is CacheMode.READ_ONLY:
            return await self._comparing.by_meaning(place, question)
        return await self._in_turn(place, question)

    async def _in_turn(self, place: Place, question: Question) -> Lookup:
        """After somebody else who is asking the very same, here or at another data plane, if there is one; what that
        one was told is remembered unless it must not be.
        """
        key = place.key
        with question.waiting.spend() as within_s:
            has_landed = await self._flights.another(key, within_s)
        if has_landed and (answer := self._forgetting.recalled(place)) is not None:
            return Lookup(CacheReason.COALESCED, answer, place=place)
        if self._forgetting.voids(place):
            return Lookup(CacheReason.NO_NEIGHBOUR, place=place)
        flight = self._flights.begin(key)
        try:
            if flight.is_waited_for and self._deadlines.coalesce:
                lookup = await self._among_all(place, question, flight)
            else:
                lookup = await self._comparing.by_meaning(place, question)
        except BaseException:
            flight.land()
            raise
        if lookup.answer is not None:
            flight.land()
        return replace(lookup, flight=flight)

    async def _among_all(self, place: Place, question: Question, flight: Flight) -> Lookup:
        lookup = await self._comparing.by_meaning(place, question)
        if lookup.answer is not None:
            return lookup
        # Not before, since who is answered from memory asks nobody.
        with question.reading.spend() as within_s:
            claiming = asyncio.create_task(self._claimed(place, within_s))
            # One that is under way still when all is over may yet be granted.
            flight.then(lambda: claiming.add_done_callback(lambda _: self._landed(place)))
            is_ours, answer = await asyncio.shield(claiming)
        if answer is None and not is_ours:
            with question.waiting.spend() as within_s:
                answer = await self._from_elsewhere(place, within_s)
        return lookup if answer is None else Lookup(CacheReason.COALESCED, answer, place=place)

    def _landed(self, place: Place) -> None:
        """Who waits elsewhere waits on for an answer that is about to be remembered."""
        if not self._remembering.is_under_way(place):
            self._cache.claims.release(place)

    async def _claimed(self, place: Place, within_s: float) -> tuple[bool, Remembered | None]:
        """False where another data plane is asking for it, and what that has remembered by now. A cache that cannot say
        so keeps nobody waiting.
        """
        try:
            is_ours, answer = await self._cache.claim(place, within_s)
        except CacheFault:
            return True, None
        if answer is not None:
            self._remembering.keep(place, answer)
        return is_ours, answer

    async def _from_elsewhere(self, place: Place, within_s: float) -> Remembered | None:
        """What another data plane is asking for, once it is there. None when the time is over, when that one has given
        up, or died, so that it is our turn, and when the cache does not answer.
        """
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + within_s, _FIRST_PAUSE_S
        while loop.time() < until:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
            is_ours, answer = await self._claimed(place, self._deadlines.read)
            if answer is not None or is_ours:
                return answer
        return None

    async def stand_in(self, lookup: Lookup, policy: Policy) -> tuple[Remembered, StaleReason] | None:
        """What may be served when nobody else has answered, and no better is there."""
        place, grace_ms = lookup.place, policy.cache.stale_if_error_ms if policy.cache else None
        if place is None or grace_ms is None:
            return None
        least = time.time() - grace_ms / 1_000
        try:
            answer = await self._cache.get(place, self._deadlines.read, expired=True)
            if answer is not None and answer.expires_at > least and self._may_stand_in(place):
                return answer, StaleReason.EXPIRED
            if lookup.stand_in is None:
                return None
            answer = await self._cache.get(lookup.stand_in.place, self._deadlines.read)
        except CacheFault:
            return None
        if answer is None or not self._may_stand_in(lookup.stand_in.place):
            return None
        return answer, StaleReason.UNSURE

    def _may_stand_in(self, place: Place) -> bool:
        """Asked of what was fetched, since it may have been purged or evicted meanwhile."""
        return self._forgetting.serves(place) and not self._forgetting.is_evicted(place)

    async def at(self, place: Place) -> Remembered | None:
        """What is remembered there, for who does not wait for it. Raises CacheFault."""
        return await self._cache.get(place, self._deadlines.embed)

    def remember(self, lookup: Lookup, policy: Policy, body: bytes, model: str, cost_nano: int) -> None:
        """Stores a good answer."""
        self._remembering.remember(lookup, policy, body, model, cost_nano)

    async def drain(self) -> None:
        """Waits for what is under way."""
        await self._comparing.drain()
        await self._remembering.drain()


def _normal(prompt: str, messages: Sequence[JsonObject]) -> tuple[str, tuple[Turn, ...]]:
    return normalise(prompt), turns_of(messages)


def _is_long(prompt: str, said: Sequence[Turn]) -> bool:
    """Whether there is much to look through, which is done beside the event loop."""
    if not said:
        return _MOST_NORMALISED_AT_ONCE < len(prompt) <= MOST_LOOKED_THROUGH
    lengths = (len(prompt), *(len(turn.text) for turn in said))
    return sum(length for length in lengths if length <= MOST_LOOKED_THROUGH) > _MOST_NORMALISED_AT_ONCE


async def _unfit(question: Question, use: CacheUse, index: Index) -> CacheReason | None:
    """Beside the event loop where there is much to read."""
    prompt, said = question.prompt, question.said
    if len(prompt) + sum(len(turn.text) for turn in said) <= _MOST_READ_AT_ONCE:
        return unfit_reason(prompt, use, index, said)
    return await asyncio.to_thread(unfit_reason, prompt, use, index, said)
