"""Which model answers a request: the policy's classifier is asked, with the vector of the prompt that the cache has
computed, or one that is waited for as long as it may take; then `routing` says where that is sent. Called by
`service` and `judging`; never fails for want of a vector.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import Final

from tollway_api.meta import ModelName
from tollway_api.route import Classifier as ClassifierName
from tollway_api.snapshot import Policy, Route, Snapshot, Tenant
from tollway_dataplane.cache.lookup import Lookup, Patience
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.errors import EmbedderFault
from tollway_dataplane.ports import Encoder, Vector
from tollway_dataplane.routing.complexity import (
    Assessment,
    Classifier,
    Eases,
    Examples,
    Prompt,
    embedding,
    heuristic,
    predictor_of,
    prompts_of,
    texts_of,
)
from tollway_dataplane.routing.fitting import Choice
from tollway_dataplane.routing.router import Router
from tollway_dataplane.routing.routing import is_complex, placed, routed, settled

# The encoder reads no further than its 256 tokens, and these have hardly ever more characters.
MOST_CHARACTERS: Final = 2_000
# Of the earlier turns of a chat; always the first ones, so that none is forgotten as it grows.
MOST_EARLIER: Final = 32
# Of each policy: some 300 bytes each.
MOST_KNOWN: Final = 4_096
# Until examples that could not be embedded are tried again, and at most.
FIRST_RETRY_S: Final = 1.0
MOST_RETRY_S: Final = 60.0


class Known:
    """A classifier by embedding, and what it has said lately: of a chat that goes on all turns but the last come
    again.
    """

    def __init__(self, classifier: Classifier, eases: Eases) -> None:
        self._classifier = classifier
        self.eases = eases
        self._said: dict[bytes, Assessment] = {}  # the latest last

    def said(self, prompt: Prompt) -> Assessment | None:
        key = _key(prompt)
        if (found := self._said.pop(key, None)) is not None:
            self._said[key] = found
        return found

    def assess(self, prompt: Prompt) -> Assessment:
        found = self._classifier.assess(prompt)
        if found.was_embedded:  # else it would stand when the encoder is well again
            self._said[_key(prompt)] = found
            if len(self._said) > MOST_KNOWN:
                del self._said[next(iter(self._said))]
        return found


def _nobody(_: int) -> None:
    return


class Choosing:
    def __init__(
        self,
        encoder: Encoder,
        router: Router,
        embed_deadline_s: float,
        on_lacking: Callable[[int], None] = _nobody,
    ) -> None:
        """`on_lacking` is told how many examples of policies do not count, each time that this may have changed."""
        self._encoder = encoder
        self._router = router
        self._embed_deadline_s = embed_deadline_s
        self._on_lacking = on_lacking
        self._classifiers: dict[Route, Known] = {}
        self._wanted: AbstractSet[Route] = frozenset()  # by the snapshot that runs
        self._lacks = asyncio.Event()

    async def prepare(self, snapshot: Snapshot) -> None:
        """Before any request runs on it: embeds the examples that are new, off the loop. While the encoder cannot, they
        do not count.
        """
        await self._embed(_by_embedding(snapshot))

    async def follow(self, snapshot: Snapshot) -> None:
        """Forgets what no policy asks for any more."""
        self._wanted = _by_embedding(snapshot)
        for gone in self._classifiers.keys() - self._wanted:
            del self._classifiers[gone]
        self._say()

    async def run(self, first_s: float = FIRST_RETRY_S, most_s: float = MOST_RETRY_S) -> None:
        """Embeds what could not be when its snapshot came, ever less often, until it can."""
        while True:
            await self._lacks.wait()
            wait_s = first_s
            while self._lacks.is_set():
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, most_s)
                await self._embed(self._wanted)
                self._say()

    async def _embed(self, wanted: AbstractSet[Route]) -> None:
        for route in wanted - self._classifiers.keys():
            with suppress(EmbedderFault):
                self._classifiers[route] = await self._made(route)

    def _say(self) -> None:
        lacking = self._wanted - self._classifiers.keys()
        count = sum(len(each.simple_examples) + len(each.complex_examples) for each in lacking)
        if lacking:
            self._lacks.set()
        else:
            self._lacks.clear()
        self._on_lacking(count)

    async def _made(self, route: Route) -> Known:
        simple, hard = [
            await asyncio.gather(*map(self._vector, texts))
            for texts in (route.simple_examples, route.complex_examples)
        ]
        examples = Examples.of(simple, hard) if simple or hard else None
        return self._known(route, examples)

    def _known(self, route: Route, examples: Examples | None = None) -> Known:
        eases = Eases(predictor_of(route, self._router).dial.for_share)
        return Known(embedding(route, self._router, examples), eases)

    async def choose(
        self,
        request: ChatRequest,
        named: ModelName | None,
        tenant: Tenant,
        policy: Policy,
        lookup: Lookup | None = None,
    ) -> Choice:
        """The model for the first attempt. `named` is what `named_model` says of the request; `lookup` what the cache
        said, where it was asked.

        Raises Refusal 400 where no model that may answer can do what is asked.
        """
        choice = settled(request, named, tenant, policy) or await self.routed(request, policy.route, lookup)
        return placed(choice, request, tenant, policy)

    async def routed(self, request: ChatRequest, route: Route, lookup: Lookup | None = None) -> Choice:
        """The router's choice, for a caller who has named no model."""
        if route.classifier is ClassifierName.HEURISTIC:
            told = heuristic(route)
            *before, text = texts_of(request)
            return routed(told.of(text), map(told.of, before), route)
        *earlier, last = prompts_of(request)
        known = self._classifiers.get(_kept_as(route)) or self._known(route)
        if lookup is not None and lookup.view is not None:
            last = replace(last, vector=lookup.view.vector)
        # What was too slow for the cache is not waited for once more.
        was_slow = lookup is not None and lookup.reason is CacheReason.EMBEDDER_UNAVAILABLE
        patience = Patience(0.0 if was_slow else self._embed_deadline_s)
        (found,) = await self._assessed([last], known, patience)
        threshold_of, bounded = known.eases.threshold_of, route.min_quality
        # Where answers are judged: by all turns of what might be left to the simple model one day.
        # Of what could not be embedded nothing is shown, wherever the dial stands.
        if_unknown = bounded is not None and bounded.bound.most_threshold == 0.0
        most = None if bounded is None else threshold_of(1 - bounded.bound.least_threshold)
        may_be_simple = (
            not is_complex(found, route) if most is None else found.at(most, if_unknown=if_unknown).is_simple
        )
        if not (may_be_simple and route.sticky):
            earlier = []
        turns = [found, *await self._assessed(earlier[:MOST_EARLIER], known, patience)]
        if bounded is None:
            return routed(found, turns[1:], route)
        threshold = threshold_of(route.simple_share or 0.0)
        dialled, *others = (each.at(threshold, if_unknown=if_unknown) for each in turns)
        return replace(routed(dialled, others, route), ease=known.eases.of(turns))

    async def _assessed(
        self, prompts: Sequence[Prompt], known: Known, patience: Patience
    ) -> list[Assessment]:
        said = list(map(known.said, prompts))
        unread = {
            each.text
            for each, found in zip(prompts, said, strict=True)
            if found is None and each.vector is None
        }
        vectors: dict[str, Vector] = await self._in_time(unread, patience) if unread else {}
        return [
            found or known.assess(replace(each, vector=vectors.get(each.text, each.vector)))
            for each, found in zip(prompts, said, strict=True)
        ]

    async def _in_time(self, texts: set[str], patience: Patience) -> dict[str, Vector]:
        """The vectors of those texts that could be read before patience is at its end."""
        found: dict[str, Vector] = {}

        async def read(text: str) -> None:
            with suppress(EmbedderFault):
                found[text] = await self._vector(text, within_s)

        with patience.spend() as within_s:
            if within_s > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(within_s):
                        await asyncio.gather(*map(read, texts))
        return found

    async def _vector(self, text: str, within_s: float = inf) -> Vector:
        return (await self._encoder.embed(text[:MOST_CHARACTERS], within_s)).vector


def _key(prompt: Prompt) -> bytes:
    """Not the text, of which nothing is to be kept."""
    beside = f"{prompt.turns} {prompt.has_tools} {prompt.is_structured}\n"
    return hashlib.blake2b((beside + prompt.text).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _by_embedding(snapshot: Snapshot) -> set[Route]:
    routes = (policy.route for policy in snapshot.policies)
    return {_kept_as(route) for route in routes if route.classifier is ClassifierName.EMBEDDING}


def _kept_as(route: Route) -> Route:
    """Whose dial moves is the same wherever it stands."""
    return route if route.min_quality is None else replace(route, simple_share=0.0)
