"""An endpoint for vectors: what it answers is checked before it comes near an index."""

from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.servers import Provider, provider, served
from tollway_api.reach import OWN
from tollway_api.semantic_cache_index import EmbeddingProvider
from tollway_api.snapshot import Embedding
from tollway_dataplane.adapters.openai_embedder import OpenAIEmbedder
from tollway_dataplane.adapters.openai_upstream import OpenAIUpstream, open_upstream
from tollway_dataplane.errors import EmbedderFault

KEY = "sk-of-the-embedder"


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with open_upstream(reach=OWN) as opened:
        yield opened


@pytest.fixture
def simulated() -> Iterator[Provider]:
    with provider("vectors", require_key=KEY) as started:
        yield started


def embedding(endpoint: str, dimensions: int = 256, key: str | None = KEY) -> Embedding:
    return Embedding(EmbeddingProvider.OPENAI_COMPATIBLE, "m", dimensions, endpoint, key)


async def test_its_vectors_come_in_the_order_of_the_texts_and_of_unit_length(
    upstream: OpenAIUpstream, simulated: Provider
) -> None:
    embedder = OpenAIEmbedder(embedding(simulated.endpoint), upstream)
    one, other = await embedder.vectors_of(["a fjord", "a delta"])
    (again,) = await embedder.vectors_of(["a delta"])
    assert one.shape == (256,)
    assert one.dtype == np.float32
    assert np.allclose(other, again)
    assert not np.allclose(one, other)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert simulated.last_body() == {"input": ["a delta"], "encoding_format": "float", "model": "m"}


async def test_vectors_of_another_length_are_refused_and_not_asked_for_again_at_once(
    upstream: OpenAIUpstream, simulated: Provider
) -> None:
    embedder = OpenAIEmbedder(embedding(simulated.endpoint, dimensions=16), upstream)
    for _ in range(3):
        with pytest.raises(EmbedderFault, match="vectors of m have 256 dimensions, not 16"):
            await embedder.vectors_of(["a fjord"])
    assert simulated.total == 1


async def test_a_refusal_never_repeats_the_key(upstream: OpenAIUpstream, simulated: Provider) -> None:
    embedder = OpenAIEmbedder(embedding(simulated.endpoint, key="sk-wrong"), upstream)
    with pytest.raises(EmbedderFault, match="answered 401") as refused:
        await embedder.vectors_of(["a fjord"])
    assert "sk-wrong" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[]}',
        b'{"data":[{"index":0,"embedding":"AAAA"}]}',
        b'{"data":[{"index":0,"embedding":[[1]]}]}',
        b'{"data":[{"index":0,"embedding":[0,0,0,0,0,0,0,0]}]}',
        b'{"data":[{"index":0,"embedding":[1e39,0,0,0,0,0,0,0]}]}',
        b'{"data":[{"embedding":[1,0,0,0,0,0,0,0]}]}',
        b'{"data":7}',
        b"[]",
        b"no JSON",
    ],
)
async def test_what_makes_no_sense_is_a_fault(upstream: OpenAIUpstream, body: bytes) -> None:
    async def answer(_: Request) -> Response:
        return Response(body, media_type="application/json")

    app = Starlette(routes=[Route("/v1/embeddings", answer, methods=["POST"])])
    with served(app) as url, pytest.raises(EmbedderFault, match="the endpoint of m"):
        await OpenAIEmbedder(embedding(f"{url}/v1", dimensions=8), upstream).vectors_of(["a fjord"])
