"""Which model answers where the router knows how likely the simple one is good enough."""

from dataclasses import replace

import pytest

from tests.conftest import Start
from tests.dataplanes import Running, Setup
from tollway_api.own_weights import OwnWeights, write
from tollway_api.snapshot import encode
from tollway_dataplane.routing.router import shipped

EASY = "What is the capital of France?"
HARD = (
    "A factory makes 240 bolts an hour on each of 3 machines. On Monday one machine stops for 2 hours, on Tuesday two "
    "stop for 3 hours each, and from Wednesday on a fourth makes half as many. Each box takes 36 bolts and each truck "
    "48 boxes. Orders of 11 trucks are due on Friday at noon. Prove whether they can be met, and if not, by how many "
    "hours the shifts of 8 hours must be prolonged."
)
BY_SHARE = {"complexity": {"classifier": "Embedding"}, "simpleShare": "50%"}


def told(reply_headers: dict[str, str]) -> tuple[str, dict[str, float]]:
    reason, *facts = reply_headers["x-tollway-route-reason"].split("; ")
    return reason, {name: float(value) for name, _, value in (each.partition("=") for each in facts)}


@pytest.mark.parametrize("cached", [True, False], ids=["with a cache", "without"])
async def test_the_model_is_chosen_by_probability(start: Start, setup: Setup, cached: bool) -> None:
    without = {} if cached else {"cache": None}
    gateway: Running = await start(setup.but(policy={"route": BY_SHARE, **without}))
    for prompt, model, reason in ((EASY, "cheap", "Simple"), (HARD, "rich", "Complex")):
        reply = await gateway.ask(prompt)
        assert reply.headers["x-tollway-model"] == model
        said, facts = told(dict(reply.headers))
        assert said == reason
        assert (facts["probability"] >= facts["threshold"]) == (reason == "Simple")


async def test_examples_of_a_policy_come_before_what_was_learned(start: Start, setup: Setup) -> None:
    complexity = {"classifier": "Embedding", "examples": {"simple": [HARD], "complex": [EASY]}}
    gateway = await start(setup.but(policy={"route": {**BY_SHARE, "complexity": complexity}}))
    assert (await gateway.ask("What's the capital of France?")).headers["x-tollway-model"] == "rich"
    assert (await gateway.ask(HARD)).headers["x-tollway-model"] == "cheap"


async def test_of_more_of_the_quality_less_is_left_to_the_simple_model(start: Start, setup: Setup) -> None:
    thresholds = []
    for quality in ("80%", "99%"):
        route = {"complexity": {"classifier": "Embedding"}, "quality": quality}
        gateway = await start(setup.but(policy={"route": route, "cache": None}))
        _, facts = told(dict((await gateway.ask(EASY)).headers))
        thresholds.append(facts["threshold"])
    assert thresholds[0] < thresholds[1]


async def test_a_chat_with_a_hard_turn_stays_with_the_complex_model(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(policy={"route": BY_SHARE}))
    messages: list[dict[str, str]] = []
    found = []
    for prompt in (EASY, HARD, "Thanks!"):
        messages.append({"role": "user", "content": prompt})
        reply = await gateway.ask(prompt, more={"messages": messages})
        found.append(
            (reply.headers["x-tollway-model"], reply.headers["x-tollway-route-reason"].split(";")[0])
        )
        messages.append({"role": "assistant", "content": "So it is."})
    assert found == [("cheap", "Simple"), ("rich", "Complex"), ("rich", "Session")]


async def test_a_policys_own_weights_decide(start: Start, setup: Setup) -> None:
    route = {"complexity": {"classifier": "Embedding", "weights": weights(shift=-20.0)}, "quality": "90%"}
    gateway = await start(setup.but(policy={"route": route}))
    reply = await gateway.ask(EASY)
    assert reply.headers["x-tollway-model"] == "rich"
    assert told(dict(reply.headers)) == ("Complex", {"probability": 0.0, "threshold": 0.5})


async def test_weights_of_another_version_are_not_used_and_that_is_said(start: Start, setup: Setup) -> None:
    usual = await start(setup.but(policy={"route": BY_SHARE}))
    expected = (await usual.ask(EASY)).headers["x-tollway-route-reason"]
    snapshot = usual.snapshot
    (policy,) = snapshot.policies
    other = replace(policy, route=replace(policy.route, weights="w1.0123456789ab.AAAA"))
    await usual.dataplane.live.offer(encode(replace(snapshot, policies=(other,))))
    reply = await usual.ask("What is the capital of Spain?")
    assert reply.headers["x-tollway-model"] == "cheap"
    assert reply.headers["x-tollway-route-reason"].endswith("; not by own weights")
    assert not expected.endswith("; not by own weights")


async def test_a_model_between_answers_what_is_too_doubtful_for_the_simple_one(
    start: Start, setup: Setup
) -> None:
    cheap, rich = setup.models()
    models = [
        {**cheap, "quality": "0.5", "pricing": {"input": "1", "output": "1"}},
        {**cheap, "name": "middle", "quality": "0.8", "pricing": {"input": "2", "output": "2"}},
        {**rich, "quality": "0.9", "pricing": {"input": "20", "output": "20"}},
    ]
    # Of the likelier half of prompts nothing is lost, and of the others all: too much also for the one between.
    half = shipped().dial.for_share(0.5)
    complexity = {"classifier": "Embedding", "weights": weights(curve=((half, 0.5, 1.0), (0.1, 1.0, 0.5)))}
    route = {"complexity": complexity, "quality": "95%"}
    gateway = await start(setup.but(policy={"route": route, "models": models, "cache": None}))
    found = [await gateway.ask(prompt) for prompt in (EASY, HARD)]
    assert [(each.headers["x-tollway-model"], told(dict(each.headers))[0]) for each in found] == [
        ("middle", "Middle"),
        ("rich", "Complex"),
    ]


def weights(shift: float = 0.0, curve: tuple[tuple[float, float, float], ...] = ((0.5, 1.0, 1.0),)) -> str:
    return write(OwnWeights(300, 1.0, shift, (0.0,) * 62, curve))
