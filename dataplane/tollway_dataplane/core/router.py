"""How likely is the simple model's answer good enough? Two small networks over what can be seen of a prompt and the
main axes of the encoder's vector of it: whether a simple model is right, and whether a complex one is. Pure; called by
`complexity`. Weights and how they came about: `docs/router-model-card.md`.
"""

import base64
import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from tollway_dataplane.core.network import Doubles, Network
from tollway_dataplane.core.prompt_features import NAMES, features

Floats = npt.NDArray[np.float32]
# A probability that no prompt has.
NOBODY: Final = 1.01
# The complex model was seen on questions with options alone. Elsewhere it is taken to be right this often, of all
# prompts alike, so that only what is hard for the simple one counts.
_USUALLY_RIGHT: Final = 0.85
# What a complex model is right at another one need not be: so much of it counts.
_TRUST: Final = 0.9
# Of open questions: off the log-odds for each unit of the words' and of the numbers' logarithm, since what is longer
# and has more numbers takes more steps, of which the questions with options that were learned from show little.
_FOR_WORDS: Final = 0.5
_FOR_NUMBERS: Final = 0.3
_USUAL_WORDS: Final = math.log1p(30)
_WORDS, _NUMBERS, _CHOICE = NAMES.index("words"), NAMES.index("numbers"), NAMES.index("choice")


class Point(NamedTuple):
    """What comes of it when the simple model answers from a probability on, over prompts the networks had not seen."""

    threshold: float
    simple_share: float  # of prompts
    quality: float  # share of the complex model's that is kept


@dataclass(frozen=True)
class Router:
    simple: Network  # log-odds that a simple model is right
    complex: Network
    axes: Floats  # (main axes, dimensions), of the encoder's vectors
    slope: float  # of the calibration
    shift: float
    curve: tuple[Point, ...]  # thresholds falling

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """From `router.json`. Raises ValueError where it was learned with other features, KeyError for what lacks."""
        content = json.loads(text)
        if content["features"] != list(NAMES):
            raise ValueError("learned with other features; run tools/train_router.py")
        packed = np.frombuffer(base64.b64decode(content["axes"]), dtype=np.int8)
        axes = packed.reshape(-1, content["dimensions"]).astype(np.float32) * np.float32(content["axesScale"])
        simple, hard = (Network.parse(content[name]) for name in ("simple", "complex"))
        if any(len(network.middle) != len(NAMES) + len(axes) for network in (simple, hard)):
            raise ValueError("the parts of the router do not fit each other")
        curve = tuple(Point(*each) for each in content["curve"])
        return cls(simple, hard, axes, float(content["slope"]), float(content["shift"]), curve)

    def probability(self, text: str, vector: Floats, less: float = 0.0) -> float:
        """`less` is taken off the log-odds."""
        row = np.concatenate([features(text), self.axes @ vector])
        advantage = float(advantages(self.simple, self.complex, row[np.newaxis])[0])
        return float(_logistic(np.array(self.slope * advantage + self.shift - less)))

    def threshold_for_quality(self, least: float) -> float:
        """The loosest that keeps so much of the complex model's quality, on what the curve was measured on."""
        kept = [point.threshold for point in self.curve if point.quality >= least]
        return min(kept, default=NOBODY)

    def threshold_for_share(self, share: float) -> float:
        """The strictest that leaves so much to the simple model, on what the curve was measured on."""
        if share <= 0:
            return NOBODY
        enough = [point.threshold for point in self.curve if point.simple_share >= share]
        return max(enough, default=0.0) if share < 1 else 0.0


def advantages(simple: Network, hard: Network, table: Doubles) -> Doubles:
    """How much likelier the simple model is right than the complex one, of the rows of a table: from -0.9 to 1."""
    is_open = table[:, _CHOICE] == 0
    less = _FOR_WORDS * (table[:, _WORDS] - _USUAL_WORDS) + _FOR_NUMBERS * table[:, _NUMBERS]
    easy = _logistic(simple.logits(table) - is_open * less)
    found: Doubles = easy - _TRUST * np.where(is_open, _USUALLY_RIGHT, _logistic(hard.logits(table)))
    return found


def _logistic(logits: Doubles) -> Doubles:
    found: Doubles = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    return found


@cache
def shipped() -> Router:
    """The one that comes with the package."""
    return Router.parse((files("tollway_dataplane.core") / "router.json").read_bytes())
