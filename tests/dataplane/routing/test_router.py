"""The router's learned part: from its file, what it says, and what its dial comes to."""

import json
from importlib.resources import files
from typing import Any, cast

import numpy as np
import pytest

from tollway_api.meta import ModelName
from tollway_api.own_weights import FITTED_OVER, OwnWeights
from tollway_api.snapshot import Step
from tollway_dataplane.core.network import Doubles, Network
from tollway_dataplane.prompts.prompt_features import NAMES
from tollway_dataplane.routing.router import NOBODY, Dial, Fitted, Point, Router, advantages, shipped
from tools.router_fingerprint import fingerprint

DIMENSIONS = 384
CURVE = (Point(0.9, 0.2, 1.01), Point(0.8, 0.5, 0.97), Point(0.7, 0.7, 0.98), Point(0.5, 1.0, 0.9))
NOWHERE = np.zeros(DIMENSIONS, dtype=np.float32)


def content() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("tollway_dataplane.routing") / "router.json").read_bytes())
    return found


def test_the_file_that_ships_is_small_and_of_the_encoders_size() -> None:
    assert shipped().axes.shape[1] == DIMENSIONS
    assert len((files("tollway_dataplane.routing") / "router.json").read_bytes()) < 200_000


def test_of_open_questions_the_longer_one_with_more_numbers_is_less_likely_simple() -> None:
    router = shipped()
    short = "Tom has 3 apples and buys 2. How many has he?"
    steps = " Then he gives 4 to Ann, who had 7 and eats 2 each day for 3 days, and he finds 12 more."
    found = [router.probability(text, NOWHERE) for text in (short, short[:-16] + 3 * steps + short[-17:])]
    assert found[0] > found[1]


def test_words_and_numbers_each_speak_against_the_simple_model_in_open_questions_alone() -> None:
    class Blind:
        def logits(self, table: Doubles) -> Doubles:
            return np.zeros(len(table))

    table = np.zeros((4, len(NAMES)))
    table[1, NAMES.index("words")] = table[2, NAMES.index("numbers")] = 2.0
    table[3] = table[1] + table[2]
    blind = cast("Network", Blind())  # which sees neither
    neither, words, numbers, both = advantages(blind, blind, table)
    assert neither > numbers > words > both
    table[:, NAMES.index("choice")] = 1
    assert len({*advantages(blind, blind, table)}) == 1


def test_what_is_taken_off_makes_it_less_likely() -> None:
    router = shipped()
    found = [router.probability("What is a fjord?", NOWHERE, less) for less in (0.0, 1.0, 1_000.0)]
    assert found == sorted(found, reverse=True)
    assert 0 <= found[-1] < 1e-6


@pytest.mark.parametrize(
    ("least", "threshold"), [(0.9, 0.5), (0.95, 0.7), (0.975, 0.7), (0.99, 0.9), (1.5, NOBODY)]
)
def test_a_quality_is_kept_from_the_loosest_threshold_that_kept_it(least: float, threshold: float) -> None:
    assert Dial(CURVE).for_quality(least) == threshold


@pytest.mark.parametrize(
    ("share", "threshold"), [(0.0, NOBODY), (0.3, 0.8), (0.7, 0.7), (0.9, 0.5), (1.0, 0.0)]
)
def test_a_share_is_left_from_the_strictest_threshold_that_left_it(share: float, threshold: float) -> None:
    assert Dial(CURVE).for_share(share) == threshold


def test_a_file_of_other_features_or_of_parts_that_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="other features"):
        Router.parse(json.dumps({**content(), "features": ["words"]}))
    few = {name: content()["simple"][name] for name in ("out", "shift", "bias")}
    fitting = {**few, "hidden": [[0.0] * len(few["out"])], "middle": [0.0], "spread": [1.0], "direct": [0.0]}
    with pytest.raises(ValueError, match="do not fit"):
        Router.parse(json.dumps({**content(), "simple": fitting}))


def test_weights_are_fitted_over_what_the_constant_says() -> None:
    assert fingerprint() == FITTED_OVER


def own(slope: float = 1.0, shift: float = 0.0, weights: tuple[float, ...] = (0.0,) * 62) -> OwnWeights:
    return OwnWeights(300, slope, shift, weights, CURVE)


def test_own_weights_correct_what_the_shipped_router_says() -> None:
    router, text = shipped(), "What is a fjord?"
    usual = router.probability(text, NOWHERE, 0.3)
    assert Fitted.of(own(), router).probability(text, NOWHERE, 0.3) == pytest.approx(usual)
    assert Fitted.of(own(shift=1.0), router).probability(text, NOWHERE, 0.3) > usual
    asks = tuple(float(name == "what") for name in NAMES) + (0.0,) * 32
    for weight in (1.0, -1.0):
        found = Fitted.of(own(weights=tuple(weight * each for each in asks)), router)
        assert (found.probability(text, NOWHERE, 0.3) > usual) == (weight > 0)
    assert Fitted.of(own(), router).dial == Dial(CURVE)


def test_weights_of_something_else_than_what_is_seen_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Fitted.of(own(weights=(0.0,)), shipped())


def step(name: str, shortfall: float, reach: float) -> Step:
    return Step(ModelName(name), shortfall, reach)


# Of a quarter of the prompts each the simple model loses more.
FALLING = Dial((Point(0.9, 0.25, 0.99), Point(0.7, 0.5, 0.96), Point(0.5, 0.75, 0.91), Point(0.3, 1.0, 0.84)))


@pytest.mark.parametrize(
    ("least", "thresholds"),
    [
        (0.994, (0.95, 0.9)),  # half of 0.01, of the first quarter
        (0.97, (0.85, 0.7)),  # 0.01 of the simple model and half of the 0.03 that follow
        (0.93, (0.7, 0.4)),  # 0.04 and half of 0.05
        (0.5, (0.5, 0.0)),  # what everything keeps leaves nothing to the complex model
    ],
)
def test_several_models_keep_the_quality_together(least: float, thresholds: tuple[float, ...]) -> None:
    steps = (step("a", 1.0, 0.5), step("b", 0.5, 1.0))
    assert FALLING.for_steps(steps, least) == pytest.approx(thresholds)


def test_what_no_threshold_keeps_is_left_to_the_complex_model() -> None:
    steps = (step("a", 1.0, 0.5), step("b", 0.5, 1.0))
    assert FALLING.for_steps(steps, 1.1) == (NOBODY, NOBODY)


@pytest.mark.parametrize("least", [0.8, 0.9, 0.95, 0.98, 0.999])
def test_one_step_is_what_two_models_are_and_a_useless_one_changes_nothing(least: float) -> None:
    dial = shipped().dial
    usual = dial.for_quality(least)
    assert dial.for_steps((), least) == (usual,)
    assert dial.for_steps((step("a", 1.0, 1.0),), least) == pytest.approx((usual,))
    first, last = dial.for_steps((step("a", 1.0, 0.5), step("b", 0.5, 1.0)), least)
    assert first >= usual >= last


def test_thresholds_fall_however_many_models_there_are() -> None:
    steps = (step("a", 1.0, 0.05), step("b", 0.6, 0.3), step("c", 0.2, 1.0))
    for least in (0.8, 0.9, 0.95, 0.99):
        found = shipped().dial.for_steps(steps, least)
        assert list(found) == sorted(found, reverse=True)
