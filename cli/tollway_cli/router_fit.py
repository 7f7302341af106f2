"""What an operator's labels teach the router, and whether that is worth anything: a ridge towards the shipped model,
held against it and against prompt length on prompts that were not learned from. Plain numpy, the same from the same
seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tollway_api.own_weights import OwnWeights
from tollway_cli.labels import Label
from tollway_cli.router_scores import apgr, curve_of
from tollway_dataplane.routing.router import Dial, Floats, Point, Router

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
FOLDS: Final = 5
RESAMPLES: Final = 1_000
POINTS: Final = 50  # of the curve, which travels with the weights
# Ridge on the weights, in labels: what a feature one standard deviation off means here is doubted that much.
PULL: Final = 100.0
# The same of the shipped model's own slope, from 1.
PULL_OF_SLOPE: Final = 3.0
_STEPS: Final = 50  # of Newton's method; it takes five
_PRECISE: Final = 1e-8
_LEAST_LIKELY: Final = 1e-6


@dataclass(frozen=True)
class Rows:
    """Labels as the router sees them."""

    labels: Sequence[Label]
    log_odds: Doubles  # the shipped model's
    seen: Doubles  # (labels, what is seen of a prompt), standardised

    @property
    def simple(self) -> Doubles:
        return np.array([each.simple for each in self.labels])

    @property
    def complex(self) -> Doubles:
        return np.array([each.complex for each in self.labels])

    @property
    def is_enough(self) -> Doubles:
        return np.array([float(each.is_enough) for each in self.labels])

    @property
    def lengths(self) -> Doubles:
        """Of the prompts, in characters."""
        return np.array([float(len(each.prompt)) for each in self.labels])

    @property
    def groups(self) -> npt.NDArray[np.intp]:
        return np.unique([each.group for each in self.labels], return_inverse=True)[1]


def rows_of(labels: Sequence[Label], vectors: Sequence[Floats], router: Router) -> Rows:
    table = np.array([router.seen(each.prompt, vector) for each, vector in zip(labels, vectors, strict=True)])
    return Rows(labels, router.log_odds(table), router.simple.standardised(table))


class Learned(NamedTuple):
    slope: float
    shift: float
    weights: Doubles

    def log_odds(self, rows: Rows, places: Places) -> Doubles:
        found: Doubles = self.slope * rows.log_odds[places] + self.shift + rows.seen[places] @ self.weights
        return found


Method = Callable[[Rows, Places], Learned]


def recalibrated(rows: Rows, places: Places) -> Learned:
    """Slope and shift alone (Platt, 1999): the shipped model's order, with probabilities that hold here."""
    slope, shift = _logistic_fit(rows, places, np.empty((len(places), 0)))
    return Learned(float(slope), float(shift), np.zeros(rows.seen.shape[1]))


def corrected(rows: Rows, places: Places) -> Learned:
    """And a weight for each thing that is seen of a prompt, none of them large."""
    slope, shift, *weights = _logistic_fit(rows, places, rows.seen[places])
    return Learned(float(slope), float(shift), np.array(weights))


METHODS: Final[tuple[Method, ...]] = (recalibrated, corrected)


def _logistic_fit(rows: Rows, places: Places, seen: Doubles) -> Doubles:
    """Newton's method on the logistic loss, with a ridge towards the shipped model."""
    table = np.column_stack([rows.log_odds[places], np.ones(len(places)), seen])
    start = np.zeros(table.shape[1])
    start[0] = 1.0
    pull = np.full(len(start), PULL)
    pull[:2] = PULL_OF_SLOPE, 1e-3
    found, label = start, rows.is_enough[places]
    for _ in range(_STEPS):
        likely = _likely(table @ found)
        gradient = table.T @ (likely - label) + pull * (found - start)
        curvature = (table.T * (likely * (1 - likely))) @ table + np.diag(pull)
        step = np.linalg.solve(curvature, gradient)
        found = found - step
        if np.abs(step).max() < _PRECISE:
            break
    return found


class Interval(NamedTuple):
    """Of 95 %, by resampling the labels (percentile bootstrap, Efron, 1981)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    own: OwnWeights
    is_corrected: bool  # not only recalibrated
    rows: Rows
    probability: Doubles  # of prompts that were not learned from
    areas: dict[str, Interval]  # APGR: "own weights", "shipped model", "prompt length"
    over_length: Interval  # own weights' APGR less prompt length's

    @property
    def is_better(self) -> bool:
        """Than prompt length, which is the likelier one then; `is_shown` says that it is no chance."""
        return self.over_length.value > 0

    @property
    def is_shown(self) -> bool:
        return self.over_length.low > 0

    @property
    def own_dial(self) -> Dial:
        return Dial(tuple(Point(*each) for each in self.own.curve))

    @property
    def by_length(self) -> Dial:
        """The same of prompt length, the shortest first."""
        ones = np.ones(len(self.probability))
        return Dial(curve_of(-self.rows.lengths, self.rows.simple, self.rows.complex, ones))

    def kept(self, threshold: float, seed: int) -> Interval:
        """Of the complex model's quality, where the simple one answers from a probability on."""
        simple, hard = self.rows.simple, self.rows.complex
        given = np.where(self.probability >= threshold, simple, hard)

        def share(places: Places) -> float:
            return float(given[places].sum() / hard[places].sum())

        return _interval(share, resamples(self.rows.groups, seed))


def fit(rows: Rows, seed: int) -> Fit:
    """By that of METHODS which is the better one on prompts that it had not learned from."""
    unseen = [_cross_validated(rows, method, seed) for method in METHODS]
    best = int(np.argmin([_loss(each, rows.is_enough) for each in unseen]))
    everything = np.arange(len(rows.labels))
    learned, probability = METHODS[best](rows, everything), _likely(unseen[best])
    curve = curve_of(probability, rows.simple, rows.complex, np.ones(len(probability)), POINTS)
    draws = resamples(rows.groups, seed)
    areas = {
        "own weights": _area(rows, -unseen[best]),
        "shipped model": _area(rows, -rows.log_odds),
        "prompt length": _area(rows, rows.lengths),
    }
    own, length = areas["own weights"], areas["prompt length"]
    return Fit(
        OwnWeights(len(rows.labels), learned.slope, learned.shift, tuple(learned.weights), curve),
        METHODS[best] is corrected,
        rows,
        probability,
        {name: _interval(area, draws) for name, area in areas.items()},
        _interval(lambda places: own(places) - length(places), draws),
    )


def _cross_validated(rows: Rows, method: Method, seed: int) -> Doubles:
    """Log-odds of each label by what was learned from the others, groups on one side."""
    part = np.random.default_rng(seed).permutation(rows.groups.max() + 1)[rows.groups] % FOLDS
    found = np.zeros(len(part))
    for fold in range(FOLDS):
        train, test = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        found[test] = method(rows, train).log_odds(rows, test)
    return found


def _area(rows: Rows, need: Doubles) -> Callable[[Places], float]:
    simple, hard = rows.simple, rows.complex
    return lambda places: apgr(need[places], simple[places], hard[places])


def resamples(groups: npt.NDArray[np.intp], seed: int) -> list[Places]:
    """The places themselves, and then as many draws of whole groups with repetition."""
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    random = np.random.default_rng(seed)
    draws = (random.integers(len(members), size=len(members)) for _ in range(RESAMPLES))
    return [np.arange(len(groups)), *(np.concatenate([members[each] for each in draw]) for draw in draws)]


def _interval(measure: Callable[[Places], float], draws: Sequence[Places]) -> Interval:
    with np.errstate(divide="ignore", invalid="ignore"):
        value, *others = map(measure, draws)
    low, high = np.nanpercentile(others, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def _loss(log_odds: Doubles, label: Doubles) -> float:
    likely = _likely(log_odds).clip(_LEAST_LIKELY, 1 - _LEAST_LIKELY)
    return float(-(label * np.log(likely) + (1 - label) * np.log(1 - likely)).mean())


def _likely(log_odds: Doubles) -> Doubles:
    found: Doubles = 1 / (1 + np.exp(-np.clip(log_odds, -60, 60)))
    return found
