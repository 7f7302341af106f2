"""Asks an endpoint that speaks OpenAI's protocol for vectors, through the pooled client that chats go through. What it
answers is checked before it comes near an index.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Final

import numpy as np
import orjson

from tollway_api.meta import ModelName
from tollway_api.snapshot import Embedding, Model, Price, Protocol
from tollway_dataplane.core.facts import Operation, Usage
from tollway_dataplane.errors import EmbedderFault, TextRefused, UpstreamFault, VectorsUnfit
from tollway_dataplane.ports import Upstream, UpstreamCall, Vector

# Beside requests, which wait no longer than their own deadline.
_TIMEOUT_S: Final = 10.0
# An endpoint whose vectors are of another length is not asked for a while, because it may want money for each.
_REST_S: Final = 15.0
_REFUSED: Final = frozenset({400, 413, 422})


class OpenAIEmbedder:
    def __init__(self, embedding: Embedding, upstream: Upstream) -> None:
        self._embedding = embedding
        self._upstream = upstream
        self.model = Model(
            name=ModelName(embedding.model),
            upstream_id=embedding.model,
            protocol=Protocol.OPENAI,
            endpoint=embedding.endpoint,
            api_key=embedding.api_key,
            price=Price(embedding.price, 0),
            context_window=0,
            max_output_tokens=0,
            timeout_ms=int(_TIMEOUT_S * 1_000),
        )
        self._rests_until = 0.0
        self._mismatch = ""

    async def vectors_of(self, texts: Sequence[str]) -> Sequence[Vector]:
        vectors, _ = await self.billed(texts)
        return vectors

    async def billed(self, texts: Sequence[str]) -> tuple[Sequence[Vector], Usage | None]:
        if monotonic() < self._rests_until:
            raise VectorsUnfit(self._mismatch)
        fields = {"input": list(texts), "encoding_format": "float"}
        try:
            done = await self._upstream.complete(
                UpstreamCall(self.model, Operation.EMBEDDINGS, fields, _TIMEOUT_S)
            )
        except UpstreamFault as fault:
            said = f"answered {fault.status}" if fault.status else fault.message
            # Not the provider's own sentence, which may repeat the key or the prompt.
            kind = TextRefused if fault.status in _REFUSED else EmbedderFault
            message = f"the endpoint of {self._embedding.model}: {said}"
            raise kind(message, may_be_billed=fault.may_have_run) from fault
        return self._checked(done.body, len(texts)), done.usage

    def _checked(self, body: bytes, count: int) -> Sequence[Vector]:
        model, dimensions = self._embedding.model, self._embedding.dimensions
        try:
            rows = sorted(orjson.loads(body)["data"], key=lambda each: int(each["index"]))
            with np.errstate(over="ignore"):  # what is too large is infinite, and refused below
                vectors = [np.array(each["embedding"], dtype=np.float32) for each in rows]
        except (KeyError, TypeError, ValueError) as exc:
            raise EmbedderFault(f"the endpoint of {model} sent no vectors", may_be_billed=True) from exc
        if len(vectors) != count or any(each.ndim != 1 for each in vectors):
            raise EmbedderFault(f"the endpoint of {model} sent no vectors", may_be_billed=True)
        if wrong := next((len(each) for each in vectors if len(each) != dimensions), None):
            self._mismatch = f"the endpoint's vectors of {model} have {wrong} dimensions, not {dimensions}"
            self._rests_until = monotonic() + _REST_S
            raise VectorsUnfit(self._mismatch, may_be_billed=True)
        lengths = [float(np.linalg.norm(each)) for each in vectors]
        if not all(np.isfinite(length) and length > 0 for length in lengths):
            message = f"the endpoint of {model} sent a vector without a direction"
            raise EmbedderFault(message, may_be_billed=True)
        return [each / np.float32(length) for each, length in zip(vectors, lengths, strict=True)]
