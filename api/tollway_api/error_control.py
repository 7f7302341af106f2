"""How often is an answer wrong that is served at less cost than another would be, and from which score on may it be
served? From counts of judged answers to a confidence interval that holds at every time, and from there to the operating
point. Pure: the data plane serves by it, and the operator says it in the status. It is of two kinds: what the cache
serves by meaning is wrong where it answers another question, and a simple model's answer where the complex one's is
better. Below, a hit is either.

The method is a bet against an error rate. For any g > 0, and a label x that is 1 (wrong) with probability m,

    g^x / (1 - m + g m)

has mean 1. So its product over all labels is the capital of somebody who bets at fair odds that the rate is not m:
below it for g < 1, above it for g > 1. If the rate is m (or, for g < 1, at least m in every single label, whatever came
before) that capital ever reaches 1/alpha with probability at most alpha (Ville 1939). So an m at which it does is no
rate to believe in, and the others are a confidence interval, which may be looked at after every label. Several g share
the stake, since nobody knows the best one beforehand. This is the betting of Waudby-Smith and Ramdas (arXiv 2010.09686)
for labels of two kinds, and the sub-Bernoulli mixture of Howard, Ramdas, McAuliffe and Sekhon (arXiv 1810.08240). It
needs counts only, so labels may come in any order, from many pods.

Of all points a few are tested first, and others only where those before them have passed (fixed-sequence testing, as
in "Learn then Test", Angelopoulos et al., arXiv 2110.01052). By probability: the anchor, which is the user's own
threshold, and then ever looser ones; and the strictest, and then ever looser ones up to the anchor. By ease, where
nobody has said where to begin: the strictest of each quarter of the points, and then ever looser ones. To serve where
the error rate is too high, the first such point of a sequence has to pass wrongly, so the sequences share the error and
nothing is lost to the number of points.

Missing labels: of some sampled hits nobody can say whether they were right, and which ones that are may hang on whether
they were (what a judge is sure of has a label while the model is away that would be asked about the rest). Nothing is
assumed of them. To show that a point holds, every one of them counts as wrong, and to show that it does not, as right:
bounds for the worst case (Manski, "Nonparametric bounds on treatment effects", American Economic Review 80, 1990;
Horowitz and Manski, Journal of the American Statistical Association 95, 2000). Since a label with what is missing
counted as wrong is at least the label that is missing, the bets above stay what they are. A hit that was given up
before anything was known of either answer is no part of the sample (missing by design: Rubin, "Inference and missing
data", Biometrika 63, 1976); it is counted to be seen, and moves nothing.

Forgetting: labels are counted in time slices, of which the newest `SLICES` are a window. Every slice begins sequences
of its own with its share of `ALPHA`, so what is said holds for each window: the probability that at any time in it a
point is taken for proven whose error rate is above the bound is at most `ALPHA`. No budget could be spent on all
windows to come without asking for more and more labels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, takewhile
from operator import add
from typing import Final, NamedTuple

ALPHA: Final = 0.05
SLICES: Final = 4
# Probabilities, as the judge sees them, from which on may be served; the strictest first.
POINTS: Final = (0.999, 0.995, 0.99, 0.98, 0.97, 0.95, 0.92, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)
# Of prompts by how easy they are: the share of others that the router finds harder. The last is reached by all.
EASES: Final = tuple(round(1 - each / 20, 2) for each in range(1, 21))
# By how much the odds are bet to be lower than claimed; their reciprocals bet on higher ones.
_LOWER: Final = (0.05, 0.2, 0.4, 0.6, 0.75, 0.87, 0.94)
_HIGHER: Final = tuple(1 / each for each in _LOWER)
# The logarithms of the capital at which a bet is won, of which each slice begins two, at the two ends of an interval;
# and of that at which the judge's own word is not taken any more.
ENOUGH: Final = math.log(2 * SLICES / ALPHA)
_DOUBT: Final = math.log(1.25)
_PRECISION: Final = 24  # halvings
_QUARTERS: Final = 4


class Scale(StrEnum):
    """What hits are ordered by."""

    PROBABILITY = "Probability"  # that a remembered answer may be reused, as the cache's judge sees it
    EASE = "Ease"  # of a prompt, as the router sees it

    @property
    def points(self) -> tuple[float, ...]:
        """From which on may be served; the strictest first."""
        return POINTS if self is Scale.PROBABILITY else EASES

    def reached(self, score: float) -> int | None:
        """The place of the strictest point that a score reaches."""
        return next((place for place, point in enumerate(self.points) if score >= point), None)


class Label(StrEnum):
    """What became of a sampled hit."""

    WRONG = "wrong"
    RIGHT = "right"
    MISSING = "missing"  # both answers were there, and nobody could say
    SKIPPED = "skipped"  # given up before anything was known of either answer


class Counts(NamedTuple):
    """Sampled hits, by their labels."""

    wrong: int = 0
    right: int = 0
    missing: int = 0
    skipped: int = 0

    @property
    def judged(self) -> int:
        return self.wrong + self.right

    @property
    def total(self) -> int:
        """Of the sample."""
        return self.judged + self.missing

    @property
    def at_worst(self) -> "Counts":
        return Counts(self.wrong + self.missing, self.right)

    @property
    def at_best(self) -> "Counts":
        return Counts(self.wrong, self.right + self.missing)

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*map(add, self, other))


Tally = Mapping[int, Counts]  # of one time slice, by the strictest point that the hits reach


class Verdict(StrEnum):
    MET = "Met"  # shown to hold at the point that is served
    TOO_FEW_LABELS = "TooFewLabels"  # neither shown to hold nor to be broken
    BREACHED = (
        "Breached"  # shown to be broken at the point from which would be served, and nowhere shown to hold
    )


@dataclass(frozen=True, slots=True)
class Bound:
    """What is asked of what is served. Rates and scores are from 0 to 1."""

    max_error_rate: float
    judge_error_rate: float  # of the labels; below a half
    threshold: float  # what the user would serve at without a bound
    least_threshold: float  # of the operating point
    bypasses: bool  # whether nothing is served before it is shown to be right often enough
    scale: Scale = Scale.PROBABILITY
    most_threshold: float | None = (
        None  # of the operating point, whatever labels say; None: nothing may be served
    )

    @property
    def observed(self) -> float:
        """The share of labels that say wrong where the true rate is the bound (Rogan and Gladen 1978)."""
        return self.judge_error_rate + (1 - 2 * self.judge_error_rate) * self.max_error_rate

    def true_rate(self, observed: float) -> float:
        return min(1.0, max(0.0, (observed - self.judge_error_rate) / (1 - 2 * self.judge_error_rate)))

    @property
    def points(self) -> tuple[float, ...]:
        """Those that may be served at, the strictest first; never none."""
        most = 1.0 if self.most_threshold is None else self.most_threshold
        allowed = tuple(each for each in self.scale.points if self.least_threshold <= each <= most)
        return allowed or self.scale.points[:1]

    @property
    def anchor(self) -> float:
        return min((each for each in self.points if each >= self.threshold), default=self.points[0])

    @property
    def sequences(self) -> Sequence[Sequence[float]]:
        """In which the points are tested, each the strictest first; the sequence with the loosest ones first."""
        points, anchor = self.points, self.anchor
        if self.scale is Scale.PROBABILITY:
            return [each for each in points if each <= anchor], [each for each in points if each > anchor]
        size = math.ceil(len(points) / _QUARTERS)
        return [points[start : start + size] for start in range(0, len(points), size)][::-1]

    @property
    def trusted(self) -> float:
        """Where the judge's own calibration promises the bound: of hits above it, each is right with at least that
        probability. The loosest such point, or the strictest there is.
        """
        promised = [each for each in self.points if each >= max(self.anchor, 1 - self.max_error_rate)]
        return min(promised, default=self.points[0])

    @property
    def first(self) -> float:
        """From where would be served while nothing is shown."""
        if self.most_threshold is not None:
            return self.points[0]
        return self.anchor if self.bypasses else self.trusted

    def within(self, point: float | None) -> float | None:
        """The score that is served at a point: never looser than is allowed, nor stricter, also where no point is."""
        if point is None or self.most_threshold is None:
            return self.most_threshold if point is None else max(point, self.least_threshold)
        return max(min(point, self.most_threshold), self.least_threshold)


class Interval(NamedTuple):
    """Of a rate: what is seen of judged hits, and the ends of what may be believed at once with confidence
    1 - ALPHA, whatever the missing ones are.
    """

    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where something that is bounded stands. The counts are of the labels of hits from `threshold` on, or where there
    is none, from the point from which would be served first.
    """

    threshold: float | None  # a point; None: none may be served at
    verdict: Verdict
    counts: Counts
    bound: Bound
    sampled: int = 0  # of all scores, also those that nobody judges

    @property
    def serves_from(self) -> float | None:
        """The least score that is served; None: nothing is."""
        return self.bound.within(self.threshold)

    @property
    def left_to_simple(self) -> float:
        """Of a router's dial: the share of prompts whose ease is served."""
        return 0.0 if self.serves_from is None else round(1 - self.serves_from, 9)

    @property
    def share(self) -> float:
        """Of all that is sampled, what the counts are of."""
        return (self.counts.total + self.counts.skipped) / self.sampled if self.sampled else 0.0

    @property
    def interval(self) -> Interval:
        counts, rate = self.counts, self.bound.true_rate
        estimate = rate(counts.wrong / counts.judged) if counts.judged else 0.0
        lower, upper = _boundary(counts.at_best, _HIGHER), _boundary(counts.at_worst, _LOWER)
        return Interval(estimate, rate(lower), rate(upper))

    @property
    def shares_right(self) -> Interval:
        """The same of what is right."""
        estimate, lower, upper = self.interval
        return Interval(1 - estimate, 1 - upper, 1 - lower)


def label_field(scale: Scale, place: int, label: Label) -> str:
    """What labels are counted under, by the point that the hit reached."""
    return f"{scale.points[place]:g} {label}"


_FIELDS: Final = {
    scale: {
        label_field(scale, place, label): (place, label)
        for place in range(len(scale.points))
        for label in Label
    }
    for scale in Scale
}


def tally_of(scale: Scale, fields: Mapping[bytes, bytes]) -> Tally:
    """What was counted in a time slice. What is not ours there is passed over."""
    tally: dict[int, Counts] = {}
    for name, value in fields.items():
        found = _FIELDS[scale].get(name.decode("utf-8", "replace"))
        if found is not None and value.isdigit():
            place, label = found
            tally[place] = tally.get(place, Counts()).plus(Counts(**{label.value: int(value)}))
    return tally


def capital(counts: Counts, rate: float, stakes: Sequence[float]) -> float:
    """Of bets against `rate`, as a logarithm. It rises with the rate for stakes below 1, and falls for those above."""
    grown = [
        counts.wrong * math.log(stake) - counts.total * math.log1p((stake - 1) * rate) for stake in stakes
    ]
    most = max(grown)
    return most + math.log(sum(math.exp(each - most) for each in grown) / len(grown))


def _boundary(counts: Counts, stakes: Sequence[float]) -> float:
    """The end of the interval on one side: from there on the labels speak against every rate. By halving what may
    still be believed.
    """
    believed, refuted = (0.0, 1.0) if stakes is _LOWER else (1.0, 0.0)
    if not counts.total:
        return refuted
    for _ in range(_PRECISION):
        middle = (believed + refuted) / 2
        if capital(counts, middle, stakes) < ENOUGH:
            believed = middle
        else:
            refuted = middle
    return refuted


def standing(slices: Sequence[Tally], bound: Bound) -> Standing:
    """The newest slice first; what is beyond `SLICES` is forgotten."""
    suffixes = _suffixes(slices)
    columns = zip(*(_reaching(each, bound) for each in suffixes), strict=True)
    at = dict(zip(bound.points, columns, strict=True))

    def speaks_against(point: float, odds: float) -> bool:
        """Also where only the newest slices do: what was before may have been another time."""
        return any(capital(each.at_best, bound.observed, _HIGHER) >= odds for each in at[point])

    sequences = bound.sequences
    proof = math.log(len(sequences) * SLICES / ALPHA)

    def holds(point: float) -> bool:
        proves = capital(at[point][-1].at_worst, bound.observed, _LOWER) >= proof
        return proves and not speaks_against(point, ENOUGH)

    passed = next(filter(None, ([*takewhile(holds, each)] for each in sequences)), [])
    # Of points that no label tells apart, the strictest: nothing would be won by another. But the anchor was chosen.
    alike = passed if bound.scale is Scale.PROBABILITY else bound.points
    labels = at[passed[-1]][-1].total if passed else 0
    proven = max((each for each in alike if passed and at[each][-1].total == labels), default=None)
    served = proven
    if not bound.bypasses and (proven is None or proven > bound.trusted):
        trusted = (each for each in reversed(bound.points) if each >= bound.trusted)
        served = next((each for each in trusted if not speaks_against(each, _DOUBT)), proven)
    is_broken = speaks_against(bound.first, ENOUGH)
    return Standing(
        served,
        Verdict.MET
        if served is not None and served == proven
        else (Verdict.BREACHED if is_broken else Verdict.TOO_FEW_LABELS),
        at[bound.first if served is None else served][-1],
        bound,
        sum(each.total + each.skipped for each in suffixes[-1].values()),
    )


def _suffixes(slices: Sequence[Tally]) -> list[Tally]:
    """The newest slice, the two newest together, and so on; the whole window last."""
    sums: list[Tally] = [{}]
    for tally in slices[:SLICES]:
        before = sums[-1]
        places = before.keys() | tally.keys()
        sums.append({each: before.get(each, Counts()).plus(tally.get(each, Counts())) for each in places})
    return sums[1:] or sums


def _reaching(tally: Tally, bound: Bound) -> list[Counts]:
    """All that reach each of the points."""
    points = bound.scale.points
    every = accumulate((tally.get(place, Counts()) for place in range(len(points))), Counts.plus)
    return [counts for point, counts in zip(points, every, strict=True) if point in bound.points]
