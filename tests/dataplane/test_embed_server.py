"""The embed server with the real model, asked by the official client."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator

import numpy as np
import openai
import pytest

from tests.dataplanes import SharedEmbedder
from tests.embed_servers import Served, serving
from tollway_api.environment import settings_from
from tollway_dataplane.settings import EmbedServerSettings

MODEL = "all-MiniLM-L6-v2"
PASSWORD = "How do I reset my password?"


@pytest.fixture
async def served(embedder: SharedEmbedder) -> AsyncIterator[Served]:
    async with serving(embedder, EmbedServerSettings()) as server:
        yield server


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_a_vector_is_the_encoders_own_to_the_last_bit(
    served: Served, embedder: SharedEmbedder, form: str
) -> None:
    own = (await embedder.embed(PASSWORD)).vector
    asked = {"model": MODEL, "input": PASSWORD, "encoding_format": form}
    async with served.http.post(f"{served.url}/v1/embeddings", json=asked) as response:
        given = (await response.json())["data"][0]["embedding"]
    sent = np.frombuffer(base64.b64decode(given), "<f4") if form == "base64" else np.array(given, np.float32)
    assert np.array_equal(sent, own)
    reply = await served.client.embeddings.create(model=MODEL, input=PASSWORD)
    assert np.array_equal(np.array(reply.data[0].embedding, np.float32), own)
    assert (reply.model, reply.usage.prompt_tokens, reply.usage.total_tokens) == (MODEL, 9, 9)


async def test_many_texts_come_back_in_their_order(served: Served, embedder: SharedEmbedder) -> None:
    texts = [f"a prompt about the number {n} " + "and more " * (n % 7) for n in range(50)]
    reply = await served.client.embeddings.create(model=MODEL, input=texts, dimensions=384)
    assert [each.index for each in reply.data] == list(range(50))
    for text, each in zip(texts, reply.data, strict=True):
        # The model's arithmetic in 8 bits depends a little on what shares its batch.
        assert float(np.array(each.embedding) @ (await embedder.embed(text)).vector) > 0.99


async def test_what_many_ask_at_a_time_shares_runs_of_the_encoder(served: Served) -> None:
    asking = (
        served.client.embeddings.create(model=MODEL, input=f"Where is lake number {number}?")
        for number in range(64)
    )
    replies = await asyncio.gather(*asking)
    assert len({tuple(reply.data[0].embedding) for reply in replies}) == 64
    metrics = await served.metrics()
    assert metrics["tollway_embed_request_duration_seconds_count"] == 64
    assert metrics["tollway_embed_batch_texts_sum"] == 64
    assert metrics["tollway_embed_batch_texts_count"] <= 32
    assert metrics["tollway_embed_tokens_total"] == sum(reply.usage.prompt_tokens for reply in replies)
    assert metrics["tollway_embed_texts_waiting"] == metrics["tollway_embed_requests_in_flight"] == 0


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"model": "another", "input": "x"}, 404, "model_not_found", "model"),
        ({"input": "x"}, 400, "invalid_request", "model"),
        ({"model": MODEL}, 400, "invalid_request", "input"),
        ({"model": MODEL, "input": ""}, 400, "invalid_request", "input"),
        ({"model": MODEL, "input": []}, 400, "invalid_request", "input"),
        ({"model": MODEL, "input": ["x", ""]}, 400, "invalid_request", "input"),
        ({"model": MODEL, "input": ["x"] * 2_049}, 400, "invalid_request", "input"),
        ({"model": MODEL, "input": [1, 2, 3]}, 400, "invalid_request", "input"),
        ({"model": MODEL, "input": [[1, 2], [3]]}, 400, "invalid_request", "input"),
        ({"model": MODEL, "input": "x", "dimensions": 256}, 400, "invalid_request", "dimensions"),
        (
            {"model": MODEL, "input": "x", "encoding_format": "int8"},
            400,
            "invalid_request",
            "encoding_format",
        ),
        ({"model": MODEL, "input": "x" * 9_000_000}, 413, "request_too_large", None),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else None,
)
async def test_what_cannot_be_done_is_refused_in_openais_shape(
    served: Served, body: dict[str, object], status: int, code: str, param: str | None
) -> None:
    sent, headers = io.BytesIO(json.dumps(body).encode()), {"content-type": "application/json"}
    async with served.http.post(f"{served.url}/v1/embeddings", data=sent, headers=headers) as response:
        error = (await response.json())["error"]
        assert (response.status, error["code"], error["param"]) == (status, code, param)
        assert error["type"] in {"invalid_request_error", "not_found_error"}


async def test_it_says_what_there_is(served: Served) -> None:
    assert [model.id async for model in served.client.models.list()] == [MODEL]
    assert (await served.client.models.retrieve(MODEL)).id == MODEL
    async with served.http.get(f"{served.url}/v1/completions") as response:
        error = (await response.json())["error"]
        assert (response.status, error["message"]) == (
            404,
            "no such path: /v1/completions; there are: POST /v1/embeddings, GET /v1/models",
        )
    for path, said in (("/livez", b"ok"), ("/readyz", b'{"status":"ready"}')):
        async with served.http.get(f"{served.admin_url}{path}") as response:
            assert (response.status, await response.read()) == (200, said)


@pytest.mark.parametrize("key", ["one", "other"])
async def test_callers_need_one_of_the_keys_where_there_are_any(embedder: SharedEmbedder, key: str) -> None:
    digest = "sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"  # of "other"
    settings = settings_from({"TOLLWAY_API_KEYS": f"one, {digest}"}, EmbedServerSettings)
    assert "one" not in repr(settings)
    async with serving(embedder, settings, key) as server:
        assert (await server.client.embeddings.create(model=MODEL, input="x")).data
        stranger = server.client.with_options(api_key="stranger")
        for asking in (stranger.embeddings.create(model=MODEL, input="x"), stranger.models.list()):
            with pytest.raises(openai.AuthenticationError, match="the API key is missing or wrong"):
                await asking
        async with server.http.post(f"{server.url}/v1/embeddings", json={}) as response:
            assert response.status == 401


async def test_who_is_refused_for_others_is_told_when_to_come_back(embedder: SharedEmbedder) -> None:
    async with serving(embedder, EmbedServerSettings(most_waiting_texts=16)) as server:
        texts = [f"{number} " + "a long text " * 80 for number in range(16)]
        asking = [server.client.embeddings.create(model=MODEL, input=texts) for _ in range(20)]
        replies = await asyncio.gather(*asking, return_exceptions=True)
        refused = [each for each in replies if isinstance(each, openai.RateLimitError)]
        answered = [each for each in replies if isinstance(each, openai.types.CreateEmbeddingResponse)]
        assert len(refused) + len(answered) == 20
        assert refused
        assert answered
        assert {each.response.headers["retry-after"] for each in refused} == {"1"}
        assert {each.code for each in refused} == {"overloaded"}
        patient = server.client.with_options(max_retries=5)
        assert (await patient.embeddings.create(model=MODEL, input="x")).data
