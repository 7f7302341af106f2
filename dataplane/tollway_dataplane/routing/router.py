"""How likely is the simple model's answer good enough? Two small networks over what can be seen of a prompt and the
main axes of the encoder's vector of it: whether a simple model is right, and whether a complex one is. Pure; called by
`complexity`. Weights and how they came about: `docs/router-model-card.md`.
"""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from tollway_api.own_weights import OwnWeights
from tollway_api.snapshot import Step
from tollway_dataplane.core.network import Doubles, Network
from tollway_dataplane.prompts.prompt_features import NAMES, features

Floats = npt.NDArray[np.float32]
# A probability that no prompt has.
NOBODY: Final = 1.01
_TOLERANCE: Final = 1e-9  # of a threshold that was counted from itself
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
class Dial:
    """What positions of it come to, on the prompts that the curve was measured on."""

    curve: tuple[Point, ...]  # thresholds falling

    def for_quality(self, least: float) -> float:
        """The loosest threshold that keeps so much of the complex model's quality."""
        kept = [point.threshold for point in self.curve if point.quality >= least]
        return min(kept, default=NOBODY)

    def for_share(self, share: float) -> float:
        """The strictest threshold that leaves so much to the simple model."""
        if share <= 0:
            return NOBODY
        enough = [point.threshold for point in self.curve if point.simple_share >= share]
        return max(enough, default=0.0) if share < 1 else 0.0

    def most_share(self, least: float) -> float:
        """The greatest share of prompts that the simple model may be given while so much quality is kept."""
        return max((point.simple_share for point in self.curve if point.quality >= least), default=0.0)

    def for_steps(self, steps: Sequence[Step], least: float) -> tuple[float, ...]:
        """The loosest threshold of each step, so that all together keep so much of the complex model's quality; without
        steps, the simple model's alone.

        What the simple model loses between two thresholds a step loses in proportion to its shortfall. `reach` ties
        the thresholds to each other, so there is one number to find: how doubtful the last step's prompts may be.
        """
        if not steps:
            return (self.for_quality(least),)
        doubts = sorted(
            {(1 - point.threshold) / step.reach for point in self.curve for step in steps}, reverse=True
        )
        every = (tuple(1 - step.reach * doubt for step in steps) for doubt in doubts if doubt <= 1)
        keeping = (each for each in every if self._kept(steps, each) >= least)
        return next(keeping, (NOBODY,) * len(steps))

    def _kept(self, steps: Sequence[Step], thresholds: Sequence[float]) -> float:
        kept, before = 1.0, 1.0
        for step, threshold in zip(steps, thresholds, strict=True):
            above = [point for point in self.curve if point.threshold >= threshold - _TOLERANCE]
            until = above[-1].quality if above else 1.0
            kept -= step.shortfall * (before - until)
            before = until
        return kept


class Predictor(Protocol):
    """How likely is the simple model's answer to a prompt good enough, and what thresholds of that come to?"""

    @property
    def dial(self) -> Dial: ...

    def probability(self, text: str, vector: Floats, less: float = 0.0) -> float:
        """`less` is taken off the log-odds."""
        ...


@dataclass(frozen=True)
class Router:
    simple: Network  # log-odds that a simple model is right
    complex: Network
    axes: Floats  # (main axes, dimensions), of the encoder's vectors
    slope: float  # of the calibration
    shift: float
    dial: Dial

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Reads `router.json`. Raises ValueError where it was learned with other features, KeyError for what lacks."""
        content = json.loads(text)
        if content["features"] != list(NAMES):
            raise ValueError("learned with other features; run tools/train_router.py")
        packed = np.frombuffer(base64.b64decode(content["axes"]), dtype=np.int8)
        axes = packed.reshape(-1, content["dimensions"]).astype(np.float32) * np.float32(content["axesScale"])
        simple, hard = (Network.parse(content[name]) for name in ("simple", "complex"))
        if any(len(network.middle) != len(NAMES) + len(axes) for network in (simple, hard)):
            raise ValueError("the parts of the router do not fit each other")
        dial = Dial(tuple(Point(*each) for each in content["curve"]))
        return cls(simple, hard, axes, float(content["slope"]), float(content["shift"]), dial)

    def probability(self, text: str, vector: Floats, less: float = 0.0) -> float:
        row = self.seen(text, vector)
        return _likely(float(self.log_odds(row[np.newaxis])[0]) - less)

    def seen(self, text: str, vector: Floats) -> Doubles:
        """A row of what the networks look at."""
        return np.concatenate([features(text), self.axes @ vector])

    def log_odds(self, table: Doubles) -> Doubles:
        """The log-odds that the simple model's answer is good enough, for each row."""
        found: Doubles = self.slope * advantages(self.simple, self.complex, table) + self.shift
        return found


@dataclass(frozen=True)
class Fitted:
    """The shipped router, corrected by what was learned from a policy's own labels."""

    base: Router
    slope: float
    shift: float
    weights: Doubles  # of what the base sees, standardised as the network for the simple model has it
    dial: Dial

    @classmethod
    def of(cls, own: OwnWeights, base: Router) -> Self:
        """Raises ValueError for weights of something else than what the base sees."""
        if len(own.weights) != len(base.simple.middle):
            raise ValueError("the weights do not fit the router")
        dial = Dial(tuple(Point(*each) for each in own.curve))
        return cls(base, own.slope, own.shift, np.array(own.weights), dial)

    def probability(self, text: str, vector: Floats, less: float = 0.0) -> float:
        row = self.base.seen(text, vector)
        learned = float(self.base.simple.standardised(row) @ self.weights)
        shipped_log_odds = float(self.base.log_odds(row[np.newaxis])[0])
        return _likely(self.slope * shipped_log_odds + self.shift + learned - less)


def advantages(simple: Network, hard: Network, table: Doubles) -> Doubles:
    """How much likelier the simple model is right than the complex one, of the rows of a table: from -0.9 to 1."""
    is_open = table[:, _CHOICE] == 0
    less = _FOR_WORDS * (table[:, _WORDS] - _USUAL_WORDS) + _FOR_NUMBERS * table[:, _NUMBERS]
    easy = _logistic(simple.logits(table) - is_open * less)
    # Of most prompts nothing is asked of the second network.
    right = (
        _USUALLY_RIGHT if is_open.all() else np.where(is_open, _USUALLY_RIGHT, _logistic(hard.logits(table)))
    )
    found: Doubles = easy - _TRUST * right
    return found


def _likely(log_odds: float) -> float:
    return float(_logistic(np.array(log_odds)))


def _logistic(logits: Doubles) -> Doubles:
    # What `np.clip` gives, without what that does around it.
    found: Doubles = 1 / (1 + np.exp(-np.minimum(np.maximum(logits, -60), 60)))
    return found


@cache
def shipped() -> Router:
    """The one that comes with the package."""
    return Router.parse((files("tollway_dataplane.routing") / "router.json").read_bytes())
