"""Which model answers a request: the policy's classifier is asked, with the vector of the prompt that the cache has
computed, or one that is waited for as long as it may take. Called by `service`; never fails for want of a vector.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Final

from tollway_api.meta import ModelName
from tollway_api.routing_policy import Classifier as ClassifierName
from tollway_api.snapshot import Policy, Route, Snapshot, Tenant
from tollway_dataplane.core.complexity import Classifier, Examples, Prompt, embedding, heuristic
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.router import Router
from tollway_dataplane.core.routing import Choice, assessed, settled
from tollway_dataplane.errors import EmbedderFault
from tollway_dataplane.lookup import Lookup
from tollway_dataplane.ports import Encoder, Vector

# The encoder reads no further than its 256 tokens, and these have hardly ever more characters.
_MOST_CHARACTERS: Final = 2_000


class Choosing:
    def __init__(self, encoder: Encoder, router: Router, embed_deadline_s: float) -> None:
        self._encoder = encoder
        self._router = router
        self._embed_deadline_s = embed_deadline_s
        self._classifiers: dict[Route, Classifier] = {}

    async def prepare(self, snapshot: Snapshot) -> None:
        """Before any request runs on it: embeds the examples that are new, off the loop. While the encoder cannot, they
        do not count.
        """
        with suppress(EmbedderFault):
            for route in _by_embedding(snapshot) - self._classifiers.keys():
                self._classifiers[route] = await self._made(route)

    async def follow(self, snapshot: Snapshot) -> None:
        """Forgets what no policy asks for any more."""
        for gone in self._classifiers.keys() - _by_embedding(snapshot):
            del self._classifiers[gone]

    async def _made(self, route: Route) -> Classifier:
        simple, hard = [
            await asyncio.gather(*map(self._vector, texts))
            for texts in (route.simple_examples, route.complex_examples)
        ]
        examples = Examples.of(simple, hard) if simple or hard else None
        return embedding(route, self._router, examples)

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
        """
        return settled(named, tenant, policy) or await self.routed(request, policy, lookup)

    async def routed(self, request: ChatRequest, policy: Policy, lookup: Lookup | None = None) -> Choice:
        """Of whoever leaves the choice to the router."""
        route = policy.route
        if route.classifier is ClassifierName.HEURISTIC:
            return assessed(heuristic(route).assess(Prompt.of(request)), route)
        classifier = self._classifiers.get(route) or embedding(route, self._router)
        view = lookup.view if lookup else None
        prompt = Prompt.of(request, view.vector if view else None)
        # What was too slow for the cache is not waited for once more.
        was_slow = lookup is not None and lookup.reason is CacheReason.EMBEDDER_UNAVAILABLE
        if prompt.vector is None and not was_slow:
            prompt = replace(prompt, vector=await self._in_time(prompt.text))
        return assessed(classifier.assess(prompt), route)

    async def _in_time(self, text: str) -> Vector | None:
        try:
            async with asyncio.timeout(self._embed_deadline_s):
                return await self._vector(text)
        except (EmbedderFault, TimeoutError):
            return None

    async def _vector(self, text: str) -> Vector:
        return (await self._encoder.embed(text[:_MOST_CHARACTERS])).vector


def _by_embedding(snapshot: Snapshot) -> set[Route]:
    routes = (policy.route for policy in snapshot.policies)
    return {route for route in routes if route.classifier is ClassifierName.EMBEDDING}
