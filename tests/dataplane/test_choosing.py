"""Who chooses a model, and by what, while the encoder is well, slow and broken."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.snapshot import Snapshot
from tollway_dataplane.background import running
from tollway_dataplane.cache.lookup import Lookup
from tollway_dataplane.choosing import MOST_EARLIER, MOST_KNOWN, Choosing, Known
from tollway_dataplane.core.decision import CacheReason, RouteReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.errors import EmbedderFault
from tollway_dataplane.prompts.reading import Encoded
from tollway_dataplane.routing.complexity import Assessment, Eases, Prompt
from tollway_dataplane.routing.fitting import Choice
from tollway_dataplane.routing.router import shipped

SETUP = Setup("http://a/v1", "http://b/v1")
SIMPLE, HARD = "What are your opening hours?", "What are your obligations?"


def by_embedding(**complexity: object) -> dict[str, object]:
    return {"complexity": {"classifier": "Embedding", **complexity}, "simpleShare": "50%"}


def setup(**complexity: object) -> Snapshot:
    return compiled(SETUP.but(policy={"route": by_embedding(**complexity)}).objects())


class Encoder:
    """Each text has a direction of its own."""

    def __init__(self, pause_s: float = 0.0, *, is_broken: bool = False) -> None:
        self.asked: list[str] = []
        self.reads = 0
        self.pause_s = pause_s
        self.is_broken = is_broken

    async def embed(self, text: str, _: float = inf) -> Encoded:
        self.reads += 1
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


async def talk(choosing: Choosing, snapshot: Snapshot, turns: Sequence[str]) -> Choice:
    messages = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in (("user", turn), ("assistant", "So."))
    ]
    request = ChatRequest("r", "auto", messages[:-1], prompt=turns[-1])
    return await choosing.choose(request, None, next(iter(snapshot.tenants.values())), snapshot.policies[0])


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


async def test_examples_that_could_not_be_embedded_are_tried_until_they_can_and_that_is_said() -> None:
    snapshot, encoder = setup(examples={"simple": [SIMPLE], "complex": [HARD]}), Encoder(is_broken=True)
    said, mended = list[int](), asyncio.Event()

    def told(lacking: int) -> None:
        said.append(lacking)
        encoder.is_broken = len(said) < 4
        if not lacking:
            mended.set()

    choosing = Choosing(encoder, shipped(), 1.0, told)
    await choosing.prepare(snapshot)
    await choosing.follow(snapshot)
    async with running(choosing.run(first_s=0.0, most_s=0.0)):
        await mended.wait()
        assert (await choose(choosing, snapshot, HARD)).reason is RouteReason.COMPLEX
    assert said == [2, 2, 2, 2, 0]


@pytest.mark.parametrize("encoder", [Encoder(is_broken=True), Encoder(pause_s=60)], ids=["broken", "slow"])
async def test_without_a_vector_words_decide_and_that_is_said(encoder: Encoder) -> None:
    choice = await choose(Choosing(encoder, shipped(), 0.01), setup(), "Please explain why.")
    assert choice.assessment is not None
    assert (choice.model, choice.reason, choice.assessment.was_embedded) == (
        "rich",
        RouteReason.KEYWORD,
        False,
    )


@pytest.mark.parametrize("now", [None, 0.3, 0.95, 1.0])
@pytest.mark.parametrize(("least", "model"), [("30%", "rich"), ("100%", "cheap")])
async def test_under_a_floor_what_has_no_vector_is_complex_wherever_labels_move_the_dial_and_is_not_counted(
    least: str, model: str, now: float | None
) -> None:
    judge = {"type": "Model", "model": "rich"}
    route = {
        "complexity": {"classifier": "Embedding"},
        "minQuality": {"least": "90%", "judge": judge, "minSimpleShare": least},
    }
    snapshot = compiled(SETUP.but(policy={"route": route}).objects())
    if now is not None:
        (policy,) = snapshot.policies
        moved = replace(policy, route=replace(policy.route, simple_share=now))
        snapshot = replace(snapshot, policies=(moved,))
    choice = await choose(Choosing(Encoder(is_broken=True), shipped(), 1.0), snapshot, SIMPLE)
    assert (choice.model, choice.ease) == (model, None)


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


EXAMPLES = {"simple": [SIMPLE, "Hi", "Thanks!", "Bye"], "complex": [HARD]}


async def test_a_chat_that_became_complex_stays_so_and_each_turn_is_read_once() -> None:
    snapshot, encoder = setup(examples=EXAMPLES), Encoder()
    choosing = Choosing(encoder, shipped(), 1.0)
    await choosing.prepare(snapshot)
    turns = [SIMPLE, "Hi", HARD, "Thanks!", SIMPLE, "Bye"]
    reads = encoder.reads
    found = [(await talk(choosing, snapshot, turns[:count])).reason for count in range(1, len(turns) + 1)]
    assert found == [RouteReason.SIMPLE] * 2 + [RouteReason.COMPLEX] + [RouteReason.SESSION] * 3
    assert encoder.reads - reads == len(turns)


async def test_another_pod_decides_alike_of_a_chat_that_it_has_not_seen() -> None:
    snapshot = setup(examples=EXAMPLES)
    choosing = Choosing(Encoder(), shipped(), 1.0)
    await choosing.prepare(snapshot)
    assert (await talk(choosing, snapshot, [SIMPLE, HARD, "Hi", SIMPLE])).reason is RouteReason.SESSION


async def test_where_each_turn_decides_the_earlier_ones_are_not_read() -> None:
    route = {**by_embedding(examples=EXAMPLES), "sessions": "PerTurn"}
    snapshot, encoder = compiled(SETUP.but(policy={"route": route}).objects()), Encoder()
    choosing = Choosing(encoder, shipped(), 1.0)
    await choosing.prepare(snapshot)
    assert (await talk(choosing, snapshot, ["What else?", HARD, SIMPLE])).reason is RouteReason.SIMPLE
    assert "What else?" not in encoder.asked


@pytest.mark.parametrize(("at", "reason"), [(0, RouteReason.SESSION), (1, RouteReason.SIMPLE)])
async def test_of_a_long_chat_the_first_turns_are_looked_at(at: int, reason: RouteReason) -> None:
    snapshot, encoder = setup(examples=EXAMPLES), Encoder()
    choosing = Choosing(encoder, shipped(), 1.0)
    await choosing.prepare(snapshot)
    turns = [SIMPLE] * (MOST_EARLIER + 2)
    turns[MOST_EARLIER - 1 + at] = HARD
    assert (await talk(choosing, snapshot, turns)).reason is reason


async def test_earlier_turns_that_cannot_be_read_are_told_by_words_and_tried_again() -> None:
    snapshot, encoder = setup(examples=EXAMPLES), Encoder()
    choosing = Choosing(encoder, shipped(), 1.0)
    await choosing.prepare(snapshot)
    assert (await talk(choosing, snapshot, [SIMPLE])).reason is RouteReason.SIMPLE
    encoder.is_broken = True
    assert (await talk(choosing, snapshot, ["Please explain.", SIMPLE])).reason is RouteReason.SESSION
    assert (await talk(choosing, snapshot, [HARD, SIMPLE])).reason is RouteReason.SIMPLE
    encoder.is_broken = False
    assert (await talk(choosing, snapshot, [HARD, SIMPLE])).reason is RouteReason.SESSION


async def test_what_was_chosen_is_sent_to_a_canary_or_to_who_can_hold_it_with_what_was_found() -> None:
    route = by_embedding()
    canary = {
        "name": "next",
        "model": "openai/gpt-4.1-nano",
        "endpoint": "http://c/v1",
        "canary": {"of": "cheap", "share": "100%"},
    }
    tried = compiled(SETUP.but(policy={"route": route, "models": [*SETUP.models(), canary]}).objects())
    tight = compiled(SETUP.but(policy={"route": route}, cheap_model={"contextWindow": 10}).objects())
    for snapshot, model, reason in (
        (tried, "next", RouteReason.CANARY),
        (tight, "rich", RouteReason.CONTEXT_WINDOW),
    ):
        choice = await choose(Choosing(Encoder(), shipped(), 1.0), snapshot, SIMPLE)
        assert (choice.model, choice.reason) == (model, reason)
        assert choice.assessment is not None
        assert choice.assessment.reason is RouteReason.SIMPLE


def test_no_more_is_kept_of_what_was_said_than_there_is_room_for_and_the_latest_of_it() -> None:
    asked: list[str] = []

    class Counting:
        def assess(self, prompt: Prompt) -> Assessment:
            asked.append(prompt.text)
            return Assessment(RouteReason.SIMPLE, 0.9, 0.5)

    known = Known(Counting(), Eases(shipped().dial.for_share))
    prompts = [Prompt(str(number)) for number in range(MOST_KNOWN + 1)]
    for each in prompts[:MOST_KNOWN]:
        known.assess(each)
    assert known.said(prompts[0]) is not None
    known.assess(prompts[-1])
    assert known.said(prompts[1]) is None
    assert known.said(prompts[0]) == known.said(prompts[-1])
    assert len(asked) == MOST_KNOWN + 1
