"""Who chooses a model, and by what, while the encoder is well, slow and broken."""

import asyncio

import numpy as np
import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.snapshot import Snapshot
from tollway_dataplane.choosing import Choosing
from tollway_dataplane.core.decision import CacheReason, RouteReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.reading import Encoded
from tollway_dataplane.core.router import shipped
from tollway_dataplane.core.routing import Choice
from tollway_dataplane.errors import EmbedderFault
from tollway_dataplane.lookup import Lookup

SIMPLE, HARD = "What are your opening hours?", "What are your obligations?"


def setup(**complexity: object) -> Snapshot:
    route = {"complexity": {"classifier": "Embedding", **complexity}, "simpleShare": "50%"}
    return compiled(Setup("http://a/v1", "http://b/v1", policy={"route": route}).objects())


class Encoder:
    """Each text has a direction of its own."""

    def __init__(self, pause_s: float = 0.0, *, is_broken: bool = False) -> None:
        self.asked: list[str] = []
        self.pause_s = pause_s
        self.is_broken = is_broken

    async def embed(self, text: str) -> Encoded:
        if text not in self.asked:
            self.asked.append(text)
        place = self.asked.index(text)
        await asyncio.sleep(self.pause_s)
        if self.is_broken:
            raise EmbedderFault("broken")
        return Encoded(np.eye(384, dtype=np.float32)[place], np.zeros((0, 384), dtype=np.float32), [])


async def choose(choosing: Choosing, snapshot: Snapshot, prompt: str, lookup: Lookup | None = None) -> Choice:
    request = ChatRequest("r", "auto", [{"role": "user", "content": prompt}], prompt=prompt)
    tenant = next(iter(snapshot.tenants.values()))
    return await choosing.choose(request, None, tenant, snapshot.policies[0], lookup)


async def test_examples_decide_of_what_they_are() -> None:
    snapshot = setup(examples={"simple": [SIMPLE], "complex": [HARD]})
    choosing = Choosing(Encoder(), shipped(), 1.0)
    await choosing.prepare(snapshot)
    found = [(await choose(choosing, snapshot, prompt)).reason for prompt in (SIMPLE, HARD)]
    assert found == [RouteReason.SIMPLE, RouteReason.COMPLEX]


async def test_examples_are_embedded_once_for_as_long_as_a_policy_has_them() -> None:
    snapshot, encoder = setup(examples={"simple": [SIMPLE]}), Encoder()
    choosing = Choosing(encoder, shipped(), 1.0)
    for _ in range(2):
        await choosing.prepare(snapshot)
        await choosing.follow(snapshot)
    assert encoder.asked == [SIMPLE]
    encoder.asked.clear()
    await choosing.follow(setup())
    await choosing.prepare(snapshot)
    assert encoder.asked == [SIMPLE]


async def test_examples_that_could_not_be_embedded_are_tried_again_with_the_next_snapshot() -> None:
    snapshot, encoder = setup(examples={"complex": [HARD]}), Encoder(is_broken=True)
    choosing = Choosing(encoder, shipped(), 1.0)
    await choosing.prepare(snapshot)
    encoder.is_broken = False
    assert (await choose(choosing, snapshot, HARD)).reason is RouteReason.SIMPLE
    await choosing.prepare(snapshot)
    assert (await choose(choosing, snapshot, HARD)).reason is RouteReason.COMPLEX


@pytest.mark.parametrize("encoder", [Encoder(is_broken=True), Encoder(pause_s=60)], ids=["broken", "slow"])
async def test_without_a_vector_words_decide_and_that_is_said(encoder: Encoder) -> None:
    choice = await choose(Choosing(encoder, shipped(), 0.01), setup(), "Please explain why.")
    assert choice.assessment is not None
    assert (choice.model, choice.reason, choice.assessment.was_embedded) == (
        "rich",
        RouteReason.KEYWORD,
        False,
    )


async def test_what_was_too_slow_for_the_cache_is_not_waited_for_once_more() -> None:
    encoder = Encoder()
    lookup = Lookup(CacheReason.EMBEDDER_UNAVAILABLE)
    choice = await choose(Choosing(encoder, shipped(), 1.0), setup(), SIMPLE, lookup)
    assert encoder.asked == []
    assert choice.reason is RouteReason.SIMPLE


async def test_of_a_long_prompt_no_more_is_embedded_than_the_encoder_reads() -> None:
    encoder = Encoder()
    await choose(Choosing(encoder, shipped(), 1.0), setup(), "word " * 100_000)
    (asked,) = encoder.asked
    assert len(asked) < 10_000


async def test_by_words_nothing_is_embedded() -> None:
    snapshot = compiled(Setup("http://a/v1", "http://b/v1").objects())
    encoder = Encoder()
    choosing = Choosing(encoder, shipped(), 1.0)
    await choosing.prepare(snapshot)
    assert (await choose(choosing, snapshot, SIMPLE)).reason is RouteReason.SIMPLE
    assert encoder.asked == []
