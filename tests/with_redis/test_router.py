"""Which model answers where the router knows how likely the simple one is good enough."""

import pytest

from tests.conftest import Start
from tests.dataplanes import Running, Setup

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
