"""What a status says of the simple model's answers."""

from dataclasses import replace

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.conditions import ConditionReason, ConditionStatus
from tollway_api.error_control import EASES, Counts, Standing, Tally, standing
from tollway_api.snapshot import Policy
from tollway_operator.quality_status import quality_met, quality_status

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def policy(**floor: object) -> Policy:
    route = {"complexity": {"classifier": "Embedding"}, "minQuality": {"least": "90%", **floor}}
    return compiled(Setup("http://a/v1", "http://b/v1", policy={"route": route}).objects()).policies[0]


def known(of: Policy, *counts: int, beyond: int = 0) -> Standing:
    """With so many labels of prompts of ease 0.6: worse, good enough, missing, skipped; and so many harder ones."""
    assert of.route.min_quality is not None
    tally: Tally = {EASES.index(0.6): Counts(*counts), EASES.index(0.1): Counts(skipped=beyond)}
    return standing([tally], of.route.min_quality.bound)


@pytest.mark.parametrize(
    ("least", "labels", "status", "reason", "said"),
    [
        ("0%", (0, 0), UNKNOWN, "TooFewLabels", "the complex model answers all of them"),
        ("20%", (0, 0), UNKNOWN, "TooFewLabels", "the simple model answers 20 % of prompts"),
        ("0%", (20, 1_980), TRUE, "QualityMet", "to the easiest 40 % of prompts by the router's curve, 99 % were"),
        ("0%", (300, 700), FALSE, "QualityBreached", "the floor of 90 % does not hold there"),
    ],
)  # fmt: skip
def test_the_condition_says_numbers_and_what_is_done(
    least: str, labels: tuple[int, int], status: ConditionStatus, reason: str, said: str
) -> None:
    of = policy(minSimpleShare=least)
    found = quality_met(of, known(of, *labels), "")
    assert (found[0], found[1]) == (status, reason)
    assert said in found[2]


def test_what_nobody_could_judge_is_said() -> None:
    of = policy()
    assert "whatever the 7 are that nobody could judge" in quality_met(of, known(of, 3, 1_990, 7), "")[2]
    message = quality_met(of, known(of, 0, 400, 0, 401), "")[2]
    assert (
        "Most of the sample, 401 pairs of answers, got no label; tollway_route_labels_total says" in message
    )


def test_of_what_is_not_known_nothing_is_claimed() -> None:
    of = policy()
    assert quality_met(None, None, "")[1] is ConditionReason.PENDING
    assert quality_met(of, None, "")[1] is ConditionReason.PENDING
    assert quality_met(of, None, "away") == (UNKNOWN, ConditionReason.STORE_UNAVAILABLE, "away")
    plain = replace(of, route=replace(of.route, min_quality=None))
    assert quality_met(plain, None, "")[1] is ConditionReason.NO_BOUND
    assert quality_status(plain, None) is None


def test_the_interval_and_the_dial_are_shown_in_shares_of_one() -> None:
    of = policy()
    shown = quality_status(of, known(of, 20, 1_980, beyond=2_000))
    assert shown is not None
    assert (shown.estimate, shown.labels, shown.simple_share) == ("0.9900", 2_000, "0.4000")
    assert (shown.measured_share, shown.simple_share) == ("0.5000", "0.4000"), "of its own traffic"
    assert 0.9 < float(shown.lower) < 0.99 < float(shown.upper)
    nothing = quality_status(of, known(of, 300, 700))
    assert nothing is not None
    assert nothing.simple_share == "0.0000"
