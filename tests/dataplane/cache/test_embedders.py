"""Whom prompts are embedded by, and that nobody waits for one who answers nobody."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.dataplane.cache.test_recall import Encoder
from tests.dataplanes import Setup, compiled
from tests.tenants import NO_BILLS
from tollway_api.meta import TenantName
from tollway_api.snapshot import Embedding
from tollway_dataplane.cache.embedders import Embedders
from tollway_dataplane.errors import EmbedderFault, TextRefused
from tollway_dataplane.ports import Embedder, Vector
from tollway_dataplane.record import Record
from tollway_dataplane.spending.embedding_bills import Payer

ELSEWHERE = {"provider": "OpenAICompatible", "model": "m", "dimensions": 2, "endpoint": "http://v/v1"}
SNAPSHOT = compiled(Setup("http://a/v1", "http://b/v1", index={"embedding": ELSEWHERE}).objects())
(INDEX,) = SNAPSHOT.indexes.values()
EMBEDDING = INDEX.version.embedding
PAYER = Payer(SNAPSHOT.tenants[TenantName("acme")], Record("r", "chat"))


@dataclass
class Endpoint:
    """Refuses texts, or never answers."""

    hangs: bool = True
    asked: int = 0

    async def vectors_of(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if texts == ["wrong"]:
            raise TextRefused("the endpoint of m: answered 400")
        return [np.ones(2, dtype=np.float32) for _ in texts]


async def ready(endpoint: Endpoint) -> Embedders:
    async def make(_: Embedding, /) -> Embedder:
        return endpoint

    made = Embedders(Encoder(), {EMBEDDING.provider: make}, NO_BILLS)
    await made.prepare(SNAPSHOT)
    return made


async def asked(embedders: Embedders, texts: Sequence[str], within_s: float) -> list[type[object]]:
    asking = (embedders.encode(text, EMBEDDING, PAYER, within_s) for text in texts)
    return [type(each) for each in await asyncio.gather(*asking, return_exceptions=True)]


async def test_an_endpoint_that_answers_nobody_is_not_waited_for() -> None:
    endpoint = Endpoint()
    embedders = await ready(endpoint)
    assert await asked(embedders, ["one"] * 10, 0.05) == [TimeoutError] * 10
    assert await asked(embedders, ["two"] * 10, 3600.0) == [EmbedderFault] * 10
    assert endpoint.asked == 10
    await embedders.prepare(SNAPSHOT)
    assert await asked(embedders, ["three"], 3600.0) == [EmbedderFault], "another snapshot changes nothing"


async def test_callers_who_leave_and_texts_that_are_refused_say_nothing_against_it() -> None:
    endpoint = Endpoint()
    embedders = await ready(endpoint)
    leaving = [asyncio.create_task(embedders.encode("x", EMBEDDING, PAYER, 3600.0)) for _ in range(20)]
    await asyncio.sleep(0.01)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    assert endpoint.asked == 20
    endpoint.hangs = False
    assert await asked(embedders, ["wrong"] * 20, 3600.0) == [TextRefused] * 20
    assert await asked(embedders, ["right"], 3600.0) == [tuple]
