"""What a status says of an index's error rate."""

from dataclasses import replace
from typing import Final

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.conditions import ConditionReason, ConditionStatus
from tollway_api.error_control import POINTS, Counts, Standing, Tally, standing
from tollway_api.snapshot import Index
from tollway_operator.accuracy_status import accuracy_met, accuracy_status

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def index(**accuracy: object) -> Index:
    spec = {"accuracy": {"maxErrorRate": "2%", **accuracy}}
    return compiled(Setup("http://a/v1", "http://b/v1", index=spec).objects()).indexes["default/answers"]


def known(of: Index, *counts: int) -> Standing:
    """With so many labels at 0.99: wrong, right, missing, skipped."""
    assert of.accuracy is not None
    tally: Tally = {POINTS.index(0.99): Counts(*counts)}
    return standing([tally], of.accuracy.bound)


@pytest.mark.parametrize(
    ("on_breach", "labels", "status", "reason", "said"),
    [
        ("Bypass", (0, 0), UNKNOWN, "TooFewLabels", "Nothing is served by meaning until"),
        ("Tighten", (0, 0), UNKNOWN, "TooFewLabels", "from 0.98 on, of which the cache's judge promises it itself"),
        ("Bypass", (3, 1_997), TRUE, "AccuracyMet", "Of 2000 judged hits from probability 0.95 on 0.15 % were wrong"),
        ("Bypass", (300, 700), FALSE, "AccuracyBreached", "the bound of 2 % does not hold at 0.95"),
        ("Tighten", (300, 700), FALSE, "AccuracyBreached", "from 0.995 on"),
    ],
)  # fmt: skip
def test_the_condition_says_numbers_and_what_is_done(
    on_breach: str, labels: tuple[int, int], status: ConditionStatus, reason: str, said: str
) -> None:
    of = index(onBreach=on_breach)
    found = accuracy_met(of, known(of, *labels), "")
    assert (found[0], found[1]) == (status, reason)
    assert said in found[2]


MOST: Final = "Most of the sample, {} hits, got no label; tollway_cache_labels_total says why."


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((3, 1_990, 7), "to 1.31 %, whatever the 7 are that nobody could judge, which is within 2 %"),
        ((0, 400, 401), MOST.format(401)),
        ((0, 400, 0, 401), MOST.format(401)),
        ((0, 0, 20, 30), MOST.format(50)),
    ],
    ids=("few", "most could not be judged", "most were given up", "all"),
)
def test_what_nobody_could_judge_is_said(labels: tuple[int, ...], said: str) -> None:
    of = index()
    assert said in accuracy_met(of, known(of, *labels), "")[2]


@pytest.mark.parametrize("labels", [(3, 1_997), (0, 400, 0, 400)])
def test_that_some_were_not_judged_is_not_said_where_they_change_nothing(labels: tuple[int, ...]) -> None:
    of = index()
    message = accuracy_met(of, known(of, *labels), "")[2]
    assert "nobody could judge" not in message
    assert "Most of" not in message


def test_of_what_is_not_known_nothing_is_claimed() -> None:
    of = index()
    assert accuracy_met(None, None, "")[1] is ConditionReason.PENDING
    assert accuracy_met(of, None, "")[1] is ConditionReason.PENDING
    assert accuracy_met(of, None, "Redis is away") == (
        UNKNOWN,
        ConditionReason.STORE_UNAVAILABLE,
        "Redis is away",
    )
    stale = known(index(maxErrorRate="3%"), 0, 5_000)
    assert accuracy_met(of, stale, "")[1] is ConditionReason.PENDING, "labels were judged by another bound"
    assert accuracy_met(replace(of, accuracy=None), None, "")[1] is ConditionReason.NO_BOUND


def test_the_interval_is_shown_in_shares_of_one() -> None:
    of = index()
    shown = accuracy_status(of, known(of, 3, 1_997))
    assert shown is not None
    assert (shown.error_rate, shown.labels, shown.threshold) == ("0.0015", 2_000, "0.95")
    assert float(shown.lower) < 0.0015 < float(shown.upper) < 0.02
    missing = accuracy_status(of, known(of, 3, 1_997, 500))
    assert missing is not None
    assert (missing.error_rate, missing.labels) == ("0.0015", 2_000), "of what was judged"
    assert float(missing.upper) > 0.2
    nothing = accuracy_status(of, known(of, 300, 700))
    assert nothing is not None
    assert nothing.threshold == ""
    assert accuracy_status(of, None) is None
