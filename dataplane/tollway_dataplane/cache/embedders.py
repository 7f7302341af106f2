"""The embedders that the current snapshot's indexes want, one for each embedding. What the judge's own encoder computes
anyway is not computed twice. Called by `recall` and `reembedding`.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Final

from tollway_api import wire
from tollway_api.semantic_cache_index import EmbeddingProvider
from tollway_api.snapshot import CircuitBreaker, Embedding, IndexVersion, Snapshot
from tollway_dataplane.core.breaker import Breaker
from tollway_dataplane.errors import EmbedderFault, EmbeddingUnpaid, TextRefused, VectorsUnfit
from tollway_dataplane.judgement.judge import is_own
from tollway_dataplane.ports import Embedder, Encoder, MakeEmbedder, PaidEmbedder, Vector
from tollway_dataplane.prompts.reading import Encoded
from tollway_dataplane.spending.embedding_bills import EmbeddingBills, Payer

# As policies have it by default for their models.
_BREAKER: Final = CircuitBreaker(
    failure_share=0.5, window_ms=30_000, min_requests=10, open_for_ms=30_000, half_open_probes=3
)


class Embedders:
    """`make` has what makes an embedder ready, by who provides it."""

    def __init__(
        self, encoder: Encoder, make: Mapping[EmbeddingProvider, MakeEmbedder], bills: EmbeddingBills
    ) -> None:
        self._encoder = encoder
        self._bills = bills
        self._own = _Own(encoder)
        self._make = make
        self._ready: Mapping[Embedding, Embedder] = {}
        self._asked: Mapping[str, Embedding] = {}  # by look-ups, by index id
        self._unfit: dict[Embedding, str] = {}
        self._breakers: Mapping[Embedding, Breaker] = {}

    async def prepare(self, snapshot: Snapshot) -> None:
        """Makes ready what its indexes want, before any request runs on it. One that cannot be made is asked for in
        vain, which is a miss.
        """
        wanted = {
            version.embedding
            for index in snapshot.indexes.values()
            for version in index.versions
            if not is_own(version.embedding)
        }
        ready = {embedding: self._ready.get(embedding) or await self._made(embedding) for embedding in wanted}
        self._ready = ready
        self._breakers = {each: self._breakers.get(each) or Breaker(_BREAKER, 0.0) for each in wanted}
        self._asked = {index.id: index.version.embedding for index in snapshot.indexes.values()}
        self._unfit = {embedding: why for embedding, why in self._unfit.items() if embedding in wanted}

    def unfit(self) -> dict[str, str]:
        """Why the vectors do not fit that an index's look-ups were given last, by the id of each index with such
        vectors.
        """
        return {index_id: self._unfit[each] for index_id, each in self._asked.items() if each in self._unfit}

    async def _made(self, embedding: Embedding) -> Embedder:
        try:
            return await self._make[embedding.provider](embedding)
        except EmbedderFault as fault:
            return _Broken(str(fault))

    def of(self, embedding: Embedding) -> Embedder:
        if is_own(embedding):
            return self._own
        return self._ready.get(embedding) or _Broken(f"{embedding.model} is not in use any more")

    async def anew(self, version: IndexVersion, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors of what is remembered, for a version of its index. Raises EmbedderFault."""
        embedder = self.of(version.embedding)
        if version.embedding.price and isinstance(embedder, PaidEmbedder):
            return await self._bills.of_index(embedder, texts, wire.owner_of(wire.index_name(version)))
        return await embedder.vectors_of(texts)

    async def encode(
        self, text: str, embedding: Embedding, payer: Payer, within_s: float
    ) -> tuple[Encoded, Vector]:
        """What the judge reads of a text, and its vector by an embedding. Raises EmbedderFault, or TimeoutError."""
        if is_own(embedding):
            encoded = await self._read(text, within_s)
            return encoded, encoded.vector
        try:
            encoded, vector = await asyncio.gather(
                self._read(text, within_s), self._in_time(text, embedding, payer, within_s)
            )
        except VectorsUnfit as fault:
            self._unfit[embedding] = str(fault)
            raise
        self._unfit.pop(embedding, None)
        return encoded, vector

    async def _read(self, text: str, within_s: float) -> Encoded:
        async with asyncio.timeout(within_s):
            return await self._encoder.embed(text, within_s)

    async def _in_time(self, text: str, embedding: Embedding, payer: Payer, within_s: float) -> Vector:
        """Nobody waits for an endpoint that does not answer anybody: it has a circuit breaker, as models have."""
        clock, draw = asyncio.get_running_loop().time, random.random()  # noqa: S311 - only spreads them out
        breaker = self._breakers.get(embedding)
        if breaker is None:
            return await self._paid(text, embedding, payer)  # which says that it is not in use
        if not breaker.admits(clock(), draw):
            raise EmbedderFault(f"{embedding.model} did not answer lately, and is left alone for a while")
        is_probe = breaker.take(clock())
        try:
            async with asyncio.timeout(within_s):
                vector = await self._paid(text, embedding, payer)
        except (TextRefused, VectorsUnfit):
            breaker.answered(clock(), is_probe=is_probe)
            raise
        except EmbeddingUnpaid:
            breaker.left(is_probe=is_probe)
            raise
        except (EmbedderFault, TimeoutError):
            breaker.failed(clock(), draw, is_probe=is_probe)
            raise
        except BaseException:  # the caller is gone, of which nothing can be said
            breaker.left(is_probe=is_probe)
            raise
        breaker.answered(clock(), is_probe=is_probe)
        return vector

    async def _paid(self, text: str, embedding: Embedding, payer: Payer) -> Vector:
        embedder = self.of(embedding)
        if embedding.price and isinstance(embedder, PaidEmbedder):
            return await self._bills.of_tenant(embedder, text, payer)
        (vector,) = await embedder.vectors_of([text])
        return vector


class _Own:
    """The judge's encoder as an index's embedder."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    async def vectors_of(self, texts: Sequence[str]) -> Sequence[Vector]:
        return [each.vector for each in await asyncio.gather(*map(self._encoder.embed, texts))]


class _Broken:
    def __init__(self, why: str) -> None:
        self._why = why

    async def vectors_of(self, _: Sequence[str]) -> Sequence[Vector]:
        raise EmbedderFault(self._why)
