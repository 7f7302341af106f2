"""The error bound of a cache: the interval covers, the operating point moves as it should."""

import math
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import pytest

from tollway_api.error_control import (
    ALPHA,
    EASES,
    ENOUGH,
    POINTS,
    SLICES,
    Bound,
    Counts,
    Scale,
    Standing,
    Tally,
    Verdict,
    capital,
    standing,
)

LOWER, HIGHER = (0.05, 0.5, 0.9), (20.0, 2.0, 1.1)


def bound(
    most: float = 0.02, least: float = 0.8, *, judge: float = 0.0, bypasses: bool = True, at: float = 0.95
) -> Bound:
    return Bound(most, judge, at, least, bypasses)


def tally(**by_point: tuple[int, int]) -> Tally:
    """Wrong and right labels of hits, by the point that they reach: `p95=(1, 99)`."""
    return {POINTS.index(float(f"0.{name[1:]}")): Counts(*counts) for name, counts in by_point.items()}


@pytest.mark.parametrize(("rate", "stakes"), [*product((0.01, 0.3, 0.9), (LOWER, HIGHER))])
def test_a_bet_is_fair_where_the_rate_is_as_claimed(rate: float, stakes: tuple[float, ...]) -> None:
    """The mean capital over everything that twelve labels can say is what was staked."""
    mean = sum(
        math.comb(12, wrong) * rate**wrong * (1 - rate) ** (12 - wrong)
        * math.exp(capital(Counts(wrong, 12 - wrong), rate, stakes))
        for wrong in range(13)
    )  # fmt: skip
    assert mean == pytest.approx(1)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05])
def test_the_interval_covers_at_every_time_at_once(rate: float) -> None:
    """Looked at after every one of 1,000 labels, and in nearly all of 50 runs never wrong."""
    rng = np.random.default_rng(1)
    grid = bound(judge=0.0)
    missed = 0
    for _ in range(50):
        wrong = np.cumsum(rng.random(1_000) < rate)
        # The ends are monotone between labels that say wrong, so it is enough to look where something turns.
        turns = np.flatnonzero(np.diff(wrong, prepend=0, append=wrong[-1] + 1))
        at = {int(each) + shift for each in turns for shift in (-1, 0)} & set(range(1_000))
        found = [
            Standing(None, Verdict.MET, Counts(int(wrong[n]), n + 1 - int(wrong[n])), grid)
            for n in sorted(at)
        ]
        missed += any(not each.interval.lower <= rate <= each.interval.upper for each in found)
    assert missed / 50 <= ALPHA


def test_an_interval_narrows_around_what_is_seen() -> None:
    few, many = (standing([tally(p95=(n // 100, n - n // 100))], bound()).interval for n in (100, 10_000))
    assert few.lower < many.lower < 0.01 == many.estimate < many.upper < few.upper


def test_without_labels_nothing_is_known() -> None:
    known = standing([], bound())
    assert known.interval == (0.0, 0.0, 1.0)
    assert (known.verdict, known.threshold) == (Verdict.TOO_FEW_LABELS, None)


def test_the_judges_own_error_is_taken_out() -> None:
    """5 % of labels are false: of hits that are all right one label in twenty says wrong."""
    found = standing([tally(p95=(500, 9_500))], bound(judge=0.05))
    assert found.interval.estimate == 0.0
    assert found.verdict is Verdict.MET
    assert standing([tally(p95=(500, 9_500))], bound()).verdict is Verdict.BREACHED


@pytest.mark.parametrize(
    ("labels", "threshold"),
    [
        pytest.param(tally(p95=(0, 200)), None, id="too few"),
        pytest.param(tally(p95=(0, 600)), 0.95, id="the anchor, and nothing is known of looser ones"),
        pytest.param(tally(p95=(0, 900), p92=(2, 298), p9=(100, 100)), 0.92, id="the loosest that holds"),
        pytest.param(
            tally(p98=(0, 600), p95=(200, 400)), 0.98, id="a stricter one, where the anchor does not"
        ),
        pytest.param(tally(p95=(100, 500), p8=(0, 9_000)), None, id="not one behind one that does not hold"),
    ],
)
def test_the_loosest_point_is_served_that_is_shown_to_hold(labels: Tally, threshold: float | None) -> None:
    strict = {POINTS.index(0.999): Counts(0, 500)}
    found = standing([{**strict, **labels} if threshold == 0.98 else labels], bound())
    assert found.threshold == threshold


def test_no_point_is_looser_than_allowed() -> None:
    plenty = tally(p95=(0, 9_000), p8=(0, 9_000))
    assert standing([plenty], bound(least=0.95)).threshold == 0.95
    assert standing([plenty], bound(least=0.93)).threshold == 0.95, "a point is at least what is allowed"
    assert bound(least=0.9999).points == POINTS[:1], "and there is always one"


def test_while_nothing_is_shown_the_judges_calibration_is_trusted_if_so_wanted() -> None:
    """Of hits from 0.98 on, the judge says itself that at most 2 % are wrong."""
    trusting = bound(bypasses=False)
    assert standing([], trusting).threshold == 0.98
    assert standing([], bound(most=0.2, bypasses=False)).threshold == 0.95, "never looser than the user's own"
    assert standing([], bound(most=0.001, bypasses=False)).threshold == POINTS[0]


def test_trust_ends_when_labels_speak_against_it() -> None:
    trusting = bound(bypasses=False)
    doubtful = standing([tally(p98=(6, 60), p995=(0, 20))], trusting)
    assert (doubtful.threshold, doubtful.verdict) == (0.99, Verdict.TOO_FEW_LABELS)
    broken = standing([tally(p999=(30, 100))], trusting)
    assert (broken.threshold, broken.verdict) == (None, Verdict.BREACHED)


def test_what_is_shown_goes_before_trust() -> None:
    trusting = bound(bypasses=False)
    assert standing([tally(p98=(0, 900), p92=(0, 600))], trusting).threshold == 0.92


def test_what_is_older_than_the_window_is_forgotten() -> None:
    slices: list[Tally] = [{} for _ in range(SLICES)]
    assert standing([*slices[:-1], tally(p95=(0, 900))], bound()).threshold == 0.95
    assert standing([*slices, tally(p95=(0, 900))], bound()).threshold is None


def test_a_change_for_the_worse_counts_before_it_outweighs_the_past() -> None:
    before, now = tally(p95=(0, 9_000)), tally(p95=(20, 80))
    assert standing([before], bound()).threshold == 0.95
    assert capital(Counts(20, 9_080), 0.02, LOWER) > ENOUGH, "all together they would still prove it"
    assert standing([now, before], bound()).threshold is None


@pytest.mark.parametrize(
    ("probability", "place"), [(1.0, 0), (0.999, 0), (0.998, 1), (0.95, POINTS.index(0.95)), (0.49, None)]
)
def test_a_hit_counts_for_the_strictest_point_that_it_reaches(probability: float, place: int | None) -> None:
    assert Scale.PROBABILITY.reached(probability) == place


@pytest.mark.parametrize(
    ("rate", "most", "judge"),
    [
        pytest.param(0.03, 0.02, 0.05, id="above the bound"),
        pytest.param(0.02, 0.02, 0.05, id="at the bound"),
        pytest.param(0.1, 0.1, 0.2, id="at the bound, by a poor judge"),
    ],
)
def test_an_unsafe_point_is_hardly_ever_shown_to_hold(rate: float, most: float, judge: float) -> None:
    """Looked at every 50 labels. Hits are wrong, and the judge is, by draws that know nothing of what is tested."""
    rng, asked = np.random.default_rng(2), bound(most, judge=judge)
    shown = 0
    for _ in range(100):
        counts = Counts()
        for _ in range(60):
            said_wrong = (rng.random(50) < rate) ^ (rng.random(50) < judge)
            counts = counts.plus(Counts(int(said_wrong.sum()), int((~said_wrong).sum())))
            if standing([{POINTS.index(0.95): counts}], asked).threshold is not None:
                shown += 1
                break
    assert shown / 100 <= ALPHA


def test_a_safe_point_is_shown_to_hold_by_labels_of_which_some_are_false() -> None:
    """Or what is never shown would be safe for nothing."""
    rng, asked = np.random.default_rng(3), bound(judge=0.05)
    for _ in range(20):
        said_wrong = int(((rng.random(10_000) < 0.002) ^ (rng.random(10_000) < 0.05)).sum())
        labels = {POINTS.index(0.95): Counts(said_wrong, 10_000 - said_wrong)}
        assert standing([labels], asked).verdict is Verdict.MET


def hidden(said_wrong: npt.NDArray[np.bool_], share: float) -> Counts:
    """So large a share of the labels is missing, those that say wrong before all others."""
    lost = int(share * len(said_wrong))
    wrong = int(said_wrong.sum())
    gone = min(wrong, lost)
    return Counts(wrong - gone, len(said_wrong) - wrong - (lost - gone), lost)


@pytest.mark.parametrize(
    ("rate", "most"),
    [pytest.param(0.12, 0.1, id="above the bound"), pytest.param(0.1, 0.1, id="at the bound")],
)
def test_an_unsafe_point_is_hardly_ever_shown_to_hold_by_what_is_left_where_wrong_labels_are_missing(
    rate: float, most: float
) -> None:
    """A tenth of the labels is missing, and most of them are those that say wrong. Left out, they would be forgotten:
    then the point would be shown to hold every time.
    """
    rng, asked = np.random.default_rng(4), bound(most)
    shown = forgotten = 0
    for _ in range(60):
        counts = Counts()
        is_shown = False
        for _ in range(30):
            counts = counts.plus(hidden(rng.random(100) < rate, 0.1))
            is_shown |= standing([{POINTS.index(0.95): counts}], asked).threshold is not None
        shown += is_shown
        left = Counts(counts.wrong, counts.right)
        forgotten += standing([{POINTS.index(0.95): left}], asked).threshold is not None
    assert shown / 60 <= ALPHA
    assert forgotten == 60


def test_an_interval_covers_whatever_the_missing_labels_are() -> None:
    counts = Counts(10, 890, 100)
    found = Standing(0.95, Verdict.MET, counts, bound()).interval
    assert found.estimate == pytest.approx(10 / 900)
    assert found.lower < 10 / 1_000
    assert found.upper > 110 / 1_000
    ends = [Standing(0.95, Verdict.MET, each, bound()).interval for each in (counts.at_best, counts.at_worst)]
    assert (found.lower, found.upper) == (ends[0].lower, ends[1].upper)


def test_at_the_lower_end_missing_labels_count_as_right_and_at_the_upper_as_wrong() -> None:
    lower, upper = Counts(wrong=50, right=950), Counts(wrong=550, right=450)
    found, low, high = (
        Standing(0.95, Verdict.MET, each, bound()).interval
        for each in (Counts(wrong=50, right=450, missing=500), lower, upper)
    )
    assert (found.lower, found.upper) == (low.lower, high.upper)


def test_missing_labels_prove_nothing_and_break_nothing() -> None:
    """A model that is away for long closes no point that was not open, and opens none."""
    away = {POINTS.index(0.95): Counts(missing=5_000)}
    found = standing([away], bound())
    assert (found.threshold, found.verdict) == (None, Verdict.TOO_FEW_LABELS)
    trusting = standing([away], bound(bypasses=False))
    assert trusting.threshold == 0.98, "what was trusted still is"


def test_a_few_missing_labels_are_borne_and_many_are_not() -> None:
    few, many = (
        {POINTS.index(0.95): Counts(wrong=5, right=4_995 - missing, missing=missing)} for missing in (25, 250)
    )
    assert standing([few], bound()).threshold == 0.95
    assert standing([many], bound()).threshold is None
    assert standing([many], bound(0.1)).threshold == 0.95, "5 % are borne by a bound of 10 %"


def test_what_was_given_up_before_anything_was_known_moves_nothing() -> None:
    labels = {POINTS.index(0.95): Counts(right=600, skipped=9_000)}
    found, without = (standing([each], bound()) for each in (labels, tally(p95=(0, 600))))
    assert (found.threshold, found.interval) == (without.threshold, without.interval)
    assert found.counts.skipped == 9_000


class Stream:
    """Near matches of which each is right with the probability that the judge gives it, and from the middle of a run on
    with `drift` less. A tenth is judged, all while nothing is served; the judge is wrong one time in twenty.
    """

    BLOCKS, BLOCK = 32, 5_000  # between two looks at the labels; the window is half of a run

    def __init__(self, seed: int, drift: float, missing: float = 0.0) -> None:
        self._rng = np.random.default_rng(seed)
        self._drift = drift
        self._missing = missing  # share of the labels, those first that say wrong

    def served(self, asked: Bound) -> tuple[int, int]:
        """How many hits there were in all, and how many of them were wrong."""
        rng, slices = self._rng, list[dict[int, Counts]]()
        hits = wrong = 0
        point: float | None = None
        for block in range(self.BLOCKS):
            if block % (self.BLOCKS // 2 // SLICES) == 0:
                slices.insert(0, {})
            likely = 1 - 0.3 * rng.random(self.BLOCK) ** 4
            drift = self._drift if block >= self.BLOCKS // 2 else 0.0
            right = rng.random(self.BLOCK) < likely * (1 - drift)
            is_served = likely >= (2.0 if point is None else point)
            hits, wrong = hits + int(is_served.sum()), wrong + int((is_served & ~right).sum())
            is_judged = rng.random(self.BLOCK) < (1.0 if point is None else 0.1)
            said_right = right ^ (rng.random(self.BLOCK) < 0.05)
            for place, of in enumerate(self._by_point(likely)):
                said = said_right[of & is_judged]
                more = hidden(~said, self._missing)
                slices[0][place] = slices[0].get(place, Counts()).plus(more)
            point = standing(slices, asked).serves_from
        return hits, wrong

    @staticmethod
    def _by_point(likely: npt.NDArray[np.float64]) -> list[npt.NDArray[np.bool_]]:
        edges = (2.0, *POINTS)
        return [(likely < above) & (likely >= point) for above, point in pairwise(edges)]


@pytest.mark.parametrize("drift", [0.0, 0.04])
def test_what_is_served_is_wrong_no_more_often_than_the_bound_says(drift: float) -> None:
    """Over whole runs, at the end of which nothing can be served any more where there is drift."""
    runs = [Stream(seed, drift).served(bound(judge=0.05)) for seed in range(40)]
    assert sum(wrong <= 0.02 * hits for hits, wrong in runs) >= 38
    assert min(hits for hits, _ in runs) > 10_000, "and it is no use to serve nothing"


@pytest.mark.parametrize("drift", [0.0, 0.15])
def test_the_bound_holds_also_where_a_tenth_of_the_labels_is_missing_and_those_are_the_wrong_ones(
    drift: float,
) -> None:
    """Which costs hits: nobody knows that the right ones are not missing."""
    runs = [Stream(seed, drift, 0.1).served(bound(0.15, judge=0.05)) for seed in range(40)]
    assert sum(wrong <= 0.15 * hits for hits, wrong in runs) >= 38
    assert min(hits for hits, _ in runs) > 10_000


def eased(most: float | None = None, least: float = 0.0) -> Bound:
    """At most one in ten worse, by ease."""
    return Bound(0.1, 0.0, 0.5, least, True, Scale.EASE, most)


def judged(**by_share: tuple[int, ...]) -> Tally:
    """Counts of prompts by the share that is no harder, in percent: `p30=(1, 99)`."""
    return {EASES.index(round(1 - int(name[1:]) / 100, 2)): Counts(*of) for name, of in by_share.items()}


def test_the_dial_goes_to_the_largest_share_that_holds_wherever_that_is() -> None:
    tallies = [judged(p30=(0, 600), p60=(30, 570), p100=(500, 100))]
    known = standing(tallies, eased())
    assert (known.left_to_simple, known.verdict) == (0.6, Verdict.MET)
    assert known.counts == Counts(30, 1_170)
    assert known.share == pytest.approx(1_200 / 1_800)


def test_nothing_is_left_to_the_simple_model_before_that_is_shown_but_what_it_has_anyway() -> None:
    assert standing([], eased()).left_to_simple == 0
    kept = standing([], eased(most=0.93))
    assert (kept.left_to_simple, kept.verdict) == (0.07, Verdict.TOO_FEW_LABELS)
    broken = standing([judged(p10=(300, 300))], eased(most=0.93))
    assert (broken.left_to_simple, broken.verdict) == (0.07, Verdict.BREACHED)


def test_the_dial_stays_within_what_is_allowed() -> None:
    good = [judged(p5=(0, 9_000), p70=(0, 9_000), p100=(0, 9_000))]
    assert standing(good, eased(least=0.3)).left_to_simple == 0.7
    assert standing([judged(p5=(0, 9_000))], eased(most=0.9)).left_to_simple == 0.1, "not less"


def test_what_is_beyond_and_not_judged_moves_nothing() -> None:
    known = standing([judged(p20=(0, 900), p100=(0, 0, 0, 8_100))], eased())
    assert (known.left_to_simple, known.share, known.verdict) == (0.2, 0.1, Verdict.MET)


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_a_floor_that_does_not_hold_is_hardly_ever_taken_for_proven(start: float) -> None:
    """Looked at ten times among 4,000 labels, where every share is worse than it may be by a little."""
    rng, wrongly = np.random.default_rng(2), 0
    for _ in range(40):
        ease = np.floor(20 * (start + (1 - start) * rng.random(4_000))) / 20
        worse = rng.random(4_000) < 0.11
        found: dict[int, Counts] = {}
        for i in range(4_000):
            place = Scale.EASE.reached(round(float(ease[i]), 2))
            assert place is not None
            found[place] = found.get(place, Counts()).plus(Counts(int(worse[i]), int(not worse[i])))
            if i % 400 == 0 and standing([found], eased()).threshold is not None:
                wrongly += 1
                break
    assert wrongly / 40 <= ALPHA
