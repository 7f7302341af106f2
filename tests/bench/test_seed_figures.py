"""Figures of the seed's load, from outcomes that are made up."""

import pytest

from bench.replay import Outcome
from bench.seed_figures import CHEAP, RICH, Billed, Measured, Noted, Phase, digest, figures
from bench.seed_report import as_markdown, picture
from bench.traffic import Ask, Kind

ASKS = [
    Ask(0.0, "a", Kind.NEW, 1, "some"),
    Ask(0.1, "a", Kind.REPEAT, 1, "some"),
    Ask(0.2, "a, please", Kind.PARAPHRASE, 1, "some"),
    Ask(0.3, "b", Kind.NEAR_MISS, 2, "some"),
    Ask(0.4, "c", Kind.NEW, 3, "some"),
]


def outcome(number: int, source: str, answered: str, took_ms: float, status: int = 200) -> Outcome:
    model = "" if status != 200 else "cheap" if source == "live" else "rich"
    return Outcome(
        number,
        100.0 * number,
        0.0,
        took_ms,
        status,
        source,
        model,
        f"r{number}",
        digest(answered) if answered else "",
    )


def measured() -> Measured:
    live = Noted("BelowThreshold", "Simple", "", 300.0)
    hit = Noted("Exact", "", "", 0.0)
    waited = Noted("Coalesced", "", "", 0.0)
    after = [
        outcome(0, "live", "a", 310.0),
        outcome(1, "exact", "a", 200.0),  # while the first was under way
        outcome(2, "semantic", "a", 12.0),
        outcome(3, "semantic", "a", 14.0),  # wrongly
        outcome(4, "live", "", 30.0, status=503),
    ]
    notes = [live, waited, hit, hit, Noted("BelowThreshold", "Simple", "ProvidersUnavailable", 0.0)]
    before = [outcome(number, "", ask.prompt, 340.0) for number, ask in enumerate(ASKS)]
    return Measured(
        Phase(ASKS, before, [], Billed({RICH: 0.005}), 0.0),
        Phase(ASKS, after, notes, Billed({CHEAP: 0.0001}), 0.05),
        Phase(ASKS, after, notes, Billed({}), 0.01),
        200.0,
    )


def test_a_hit_is_wrong_where_its_answer_was_made_for_something_of_another_meaning() -> None:
    found = figures(measured())
    assert found["hit_share"] == 0.75
    assert found["wrong_hits"] == 1
    assert found["reachable_share"] == 0.4


def test_who_waited_for_the_same_question_of_somebody_else_is_no_fast_hit() -> None:
    found = figures(measured())
    assert found["hits_that_waited"] == 1
    assert found["hit_mean_ms"] == 13.0


def test_the_providers_own_time_is_taken_off_what_live_requests_took() -> None:
    found = figures(measured())
    assert found["after_p50_without_provider_ms"] == 12.0
    assert found["after_p99_ms"] == pytest.approx(306.7)


def test_spend_is_by_answer_so_that_who_has_none_saves_nothing() -> None:
    found = figures(measured())
    assert found["usd_per_1000_answers"] == [1.0, 0.025]
    assert found["spend_saved"] == 0.975
    # A quarter of the answers is not from memory: of that seven tenths by the dear model, the others at a tenth of it.
    assert found["spend_saved_routed_as_in_the_audit"] == pytest.approx(1 - 0.25 * (0.7 + 0.3 * 0.1))


def test_the_report_has_the_audits_figures_beside_ours_and_a_picture() -> None:
    begun = {"commit": "c", "machine": "m", "when": "w", "busy": 0.1, "command": "python -m bench.seed"}
    text = as_markdown({**begun, **figures(measured())})
    assert "| answered from memory | 45 % | 75.0% of 40.0% that can be |" in text
    assert "| errors after | 0.1 % | 20.000%" in text
    assert picture(measured()).startswith("<svg")
