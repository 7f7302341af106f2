"""The cache's part of a request."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from tests.dataplanes import Setup, compiled
from tollway_dataplane.adapters.near_cache import LocalNearCache
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.judge import shipped
from tollway_dataplane.core.reading import Encoded
from tollway_dataplane.embedders import Embedders
from tollway_dataplane.ports import FoundBy, Neighbour, Place, Remembered, Vector
from tollway_dataplane.recall import Deadlines, Recall


class SlowCache:
    """Takes a while for every answer, and notes how long it might have taken."""

    def __init__(self) -> None:
        self.given: list[float] = []

    async def get(self, _: Place, within_s: float) -> Remembered | None:
        await self._answer(within_s)
        return None

    async def nearest(self, _: Place, vector: Vector, count: int, within_s: float) -> Sequence[Neighbour]:
        await self._answer(within_s)
        words = np.ones((1, 384), dtype=np.int8)
        return [Neighbour("0" * 32, 1.0, "what is a fjord?", vector, words)][: count * len(vector)]

    async def put(self, place: Place, found_by: FoundBy | None, answer: Remembered) -> None:
        raise AssertionError((place, found_by, answer))

    async def _answer(self, within_s: float) -> None:
        self.given.append(within_s)
        await asyncio.sleep(0.01)


class Encoder:
    async def embed(self, text: str) -> Encoded:
        vector = np.full(384, 384**-0.5, dtype=np.float32)
        return Encoded(vector, np.ones((1, 384), dtype=np.float32), [(0, len(text))])


async def test_all_that_a_request_asks_of_the_cache_shares_one_deadline() -> None:
    snapshot = compiled(Setup("http://a/v1", "http://b/v1").objects())
    cache = SlowCache()
    recall = Recall(
        cache,
        LocalNearCache(1_000),
        Embedders(Encoder(), {}),
        shipped(),
        Deadlines(5.0, 1.0, 0.0),
        lambda _: None,
    )
    (index,), policy = snapshot.indexes.values(), snapshot.policies[0]
    prompt = "what is a fjord?"
    request = ChatRequest("r", "auto", [{"role": "user", "content": prompt}], prompt=prompt)
    lookup = await recall.look_up(request, snapshot.tenants["acme"], policy, index)  # type: ignore[index]  # a name is a name
    assert lookup.reason is CacheReason.ENTRY_GONE
    exact, search, hit = cache.given
    assert exact == pytest.approx(5.0)
    assert 5.0 - exact < 0.01 <= exact - search
    assert search - hit >= 0.01
