"""May what is remembered of another prompt answer this one? The nearest are fetched, and the judge is asked of each.
Called by `recall` where the very same prompt is not remembered.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from tollway_api.snapshot import ErrorControl, Index
from tollway_dataplane.cache.embedders import Embedders
from tollway_dataplane.cache.lookup import Candidate, Lookup, Patience, Question
from tollway_dataplane.cache.orphan_vectors import OrphanVectors
from tollway_dataplane.cache.remembering import Remembering
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.errors import CacheFault, EmbedderFault, EmbeddingUnpaid
from tollway_dataplane.judgement.conversation import may_compare, sought_by
from tollway_dataplane.judgement.judge import Judge, View
from tollway_dataplane.judgement.verification import verify
from tollway_dataplane.ports import AnswerCache, Neighbour, Place, Vector
from tollway_dataplane.prompts.reading import read

CANDIDATES: Final = 5
# Many chats may end in the same words, and the nearest by those are told apart by what was said before.
CANDIDATES_OF_A_CHAT: Final = 16
# Some forty kilobytes each, with what was found of it, two hundred for the longest.
VIEWS_KEPT: Final = 256
# The judge was trained on candidates no further than this, and of those hardly any at the end may be reused.
LEAST_SIMILARITY: Final = 0.6
# Whose answer is rather right than wrong may stand in where there is no other. Of chats it is not known: what was said
# before is compared only where the question is likely enough to be the same.
STANDS_IN: Final = 0.5
_UNLIKELY: Final = frozenset(
    {CacheReason.BELOW_THRESHOLD, CacheReason.BELOW_STRICT_THRESHOLD, CacheReason.ERROR_BOUND}
)
# The encoder reads no further than about this, so longer prompts are not compared by meaning.
MOST_CHARACTERS: Final = 1_000


class Comparing:
    def __init__(
        self,
        cache: AnswerCache,
        remembering: Remembering,
        embedders: Embedders,
        judge: Judge,
        embed_deadline_s: float,
    ) -> None:
        self._cache = cache
        self._remembering = remembering
        self._embedders = embedders
        self._judge = judge
        self._embed_deadline_s = embed_deadline_s
        # A remembered prompt comes again with each question that is like it.
        self._remembered_view = lru_cache(VIEWS_KEPT)(self._view_of_remembered)
        self._orphans = OrphanVectors(cache)
        self._turn = asyncio.Lock()

    async def drain(self) -> None:
        """Waits for what is under way."""
        await self._orphans.drain()

    async def by_meaning(self, place: Place, question: Question) -> Lookup:
        prompt, turns = question.prompt, question.turns
        if len(prompt) > MOST_CHARACTERS or not may_compare(turns):
            return Lookup(CacheReason.PROMPT_TOO_LONG, place=place)
        try:
            embedding, within_s = place.index.version.embedding, self._embed_deadline_s
            with question.payer.record.trace.embedding(embedding):
                encoded, vector = await self._embedders.encode(prompt, embedding, question.payer, within_s)
        except EmbeddingUnpaid:
            return Lookup(CacheReason.EMBEDDING_UNPAID, place=place)
        except (EmbedderFault, TimeoutError):
            return Lookup(CacheReason.EMBEDDER_UNAVAILABLE, place=place)
        view = self._judge.view_of(prompt, encoded, turns)
        try:
            lookup = await self._semantic(place, view, vector, question.reading)
        except CacheFault as fault:
            lookup = Lookup(CacheReason(fault.reason), place=place, view=view)
        return replace(lookup, vector=vector)

    async def _semantic(self, place: Place, view: View, vector: Vector, patience: Patience) -> Lookup:
        """The nearest neighbour whose answer may serve; otherwise what speaks against the very nearest."""
        # Long chats take milliseconds to read, and to compare, in which others want to be answered.
        about = await asyncio.to_thread(sought_by, view.reading, view.turns) if view.turns else ()
        count = CANDIDATES_OF_A_CHAT if view.turns else CANDIDATES
        with patience.spend() as within_s:
            neighbours = await self._cache.nearest(place, vector, count, within_s, about)
        lookup, orphans = await self._served(place, view, neighbours, patience)
        if not orphans:
            return lookup
        self._orphans.lay(orphans)
        if lookup.answer is not None or lookup.candidate is not None:
            return lookup
        # They have taken the places of others.
        with patience.spend() as within_s:
            more = await self._cache.nearest(place, vector, count + len(orphans), within_s, about)
        seen = {each.entry for each in neighbours}
        unseen = [each for each in more if each.entry not in seen]
        others, orphans = await self._served(place, view, unseen, patience)
        self._orphans.lay(orphans)
        if others.answer is not None:
            return others
        stand_in = _likelier(lookup.stand_in, others.stand_in)
        return replace(lookup, candidate=others.candidate, stand_in=stand_in)

    async def _served(
        self, place: Place, view: View, neighbours: Sequence[Neighbour], patience: Patience
    ) -> tuple[Lookup, list[Place]]:
        """Also those that would have served, had their answers not been gone."""
        async with aclosing(self._verdicts(view, neighbours, place.index)) as verdicts:
            return await self._first_of(verdicts, place, view, patience)

    async def _first_of(
        self,
        verdicts: AsyncIterator[tuple[CacheReason, float, Neighbour]],
        place: Place,
        view: View,
        patience: Patience,
    ) -> tuple[Lookup, list[Place]]:
        refused: Lookup | None = None
        candidate: Candidate | None = None
        stand_in: Candidate | None = None
        orphans: list[Place] = []
        async for reason, probability, neighbour in verdicts:
            found = replace(place, entry=neighbour.entry)
            if reason is CacheReason.SEMANTIC and place.index.accuracy is not None:
                candidate = candidate or Candidate(found, probability)
                reason = _within(probability, place.index, place.index.accuracy)  # noqa: PLW2901 - by the bound
            if reason is CacheReason.SEMANTIC:
                answer = await self._remembering.found(found, patience)
                if answer is not None:
                    similarity = neighbour.similarity
                    hit = Lookup(reason, answer, similarity, probability, place, view, candidate=candidate)
                    return hit, orphans
                orphans.append(found)
                reason, candidate = CacheReason.ENTRY_GONE, None  # noqa: PLW2901 - and the next may serve
            is_of_chat = view.turns or neighbour.turns
            if reason in _UNLIKELY and probability >= STANDS_IN and not is_of_chat:
                stand_in = _likelier(stand_in, Candidate(found, probability))
            refused = refused or Lookup(reason, None, neighbour.similarity, probability, place, view)
        refused = refused or Lookup(CacheReason.NO_NEIGHBOUR, place=place, view=view)
        return replace(refused, candidate=candidate, stand_in=stand_in), orphans

    async def _verdicts(
        self, view: View, neighbours: Sequence[Neighbour], index: Index
    ) -> AsyncGenerator[tuple[CacheReason, float, Neighbour], None]:
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
        # The judge's cosine, whatever the index's embedding makes of the two.
        if float(view.vector @ neighbour.vector) < LEAST_SIMILARITY:
            return CacheReason.BELOW_THRESHOLD, 0.0
        if view.turns:
            return await asyncio.to_thread(self._verdict, view, neighbour, index)
        # One in each turn of the event loop: many callers' neighbours come at once, and each takes a millisecond.
        await self._turn.acquire()
        try:
            return self._verdict(view, neighbour, index)
        finally:
            asyncio.get_running_loop().call_soon(self._turn.release)

    def _verdict(self, view: View, neighbour: Neighbour, index: Index) -> tuple[CacheReason, float]:
        theirs = self._remembered_view(
            neighbour.prompt, neighbour.vector.tobytes(), neighbour.words.tobytes()
        )
        if neighbour.turns:
            theirs = replace(theirs, turns=neighbour.turns)  # which may be long, and are not kept
        verdict = verify(view, theirs, index, self._judge)
        return verdict.reason, verdict.probability

    def _view_of_remembered(self, prompt: str, vector: bytes, words: bytes) -> View:
        """By bytes, which can be looked up, as arrays cannot."""
        whole = np.frombuffer(vector, np.float32)
        return self._judge.view(read(prompt), whole, np.frombuffer(words, np.int8).reshape(-1, len(whole)))


def _likelier(one: Candidate | None, other: Candidate | None) -> Candidate | None:
    return max((each for each in (one, other) if each), key=lambda each: each.probability, default=None)


def _within(probability: float, index: Index, accuracy: ErrorControl) -> CacheReason:
    """Whether a neighbour that is likely enough for the loosest point is so for the one that holds now."""
    if probability >= index.threshold:
        return CacheReason.SEMANTIC
    is_wanted = probability >= accuracy.bound.threshold
    return CacheReason.ERROR_BOUND if is_wanted else CacheReason.BELOW_THRESHOLD
