"""The router's learned part: from its file, what it says, and what its dial comes to."""

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from tollway_api import wire
from tollway_dataplane.core.router import NOBODY, Point, Router, shipped

DIMENSIONS = 384
CURVE = (Point(0.9, 0.2, 1.01), Point(0.8, 0.5, 0.97), Point(0.7, 0.7, 0.98), Point(0.5, 1.0, 0.9))
NOWHERE = np.zeros(DIMENSIONS, dtype=np.float32)


def content() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("tollway_dataplane.core") / "router.json").read_bytes())
    return found


def test_the_file_that_ships_is_small_and_of_the_encoders_size() -> None:
    assert shipped().axes.shape[1] == DIMENSIONS
    assert len((files("tollway_dataplane.core") / "router.json").read_bytes()) < 200_000


def test_of_open_questions_the_longer_one_with_more_numbers_is_less_likely_simple() -> None:
    router = shipped()
    short = "Tom has 3 apples and buys 2. How many has he?"
    steps = " Then he gives 4 to Ann, who had 7 and eats 2 each day for 3 days, and he finds 12 more."
    found = [router.probability(text, NOWHERE) for text in (short, short[:-16] + 3 * steps + short[-17:])]
    assert found[0] > found[1]


def test_what_is_taken_off_makes_it_less_likely() -> None:
    router = shipped()
    found = [router.probability("What is a fjord?", NOWHERE, less) for less in (0.0, 1.0, 1_000.0)]
    assert found == sorted(found, reverse=True)
    assert 0 <= found[-1] < 1e-6


@pytest.mark.parametrize(
    ("least", "threshold"), [(0.9, 0.5), (0.95, 0.7), (0.975, 0.7), (0.99, 0.9), (1.5, NOBODY)]
)
def test_a_quality_is_kept_from_the_loosest_threshold_that_kept_it(least: float, threshold: float) -> None:
    assert replace(shipped(), curve=CURVE).threshold_for_quality(least) == threshold


@pytest.mark.parametrize(
    ("share", "threshold"), [(0.0, NOBODY), (0.3, 0.8), (0.7, 0.7), (0.9, 0.5), (1.0, 0.0)]
)
def test_a_share_is_left_from_the_strictest_threshold_that_left_it(share: float, threshold: float) -> None:
    assert replace(shipped(), curve=CURVE).threshold_for_share(share) == threshold


def test_a_file_of_other_features_or_of_parts_that_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="other features"):
        Router.parse(json.dumps({**content(), "features": ["words"]}))
    few = {name: content()["simple"][name] for name in ("out", "shift", "bias")}
    fitting = {**few, "hidden": [[0.0] * len(few["out"])], "middle": [0.0], "spread": [1.0], "direct": [0.0]}
    with pytest.raises(ValueError, match="do not fit"):
        Router.parse(json.dumps({**content(), "simple": fitting}))


def test_the_weights_are_those_by_which_labels_are_told_apart() -> None:
    """Or the labels of answers to what was easy by the weights before would count for these."""
    text = (files("tollway_dataplane.core") / "router.json").read_text(encoding="utf-8")
    assert wire.fingerprint((text,)) == wire.ROUTER_WEIGHTS, "as tools/train_router.py says"
