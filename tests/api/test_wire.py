"""The names of Redis keys: what is counted of one kind meets under one of them, and what is of another kind never."""

from dataclasses import replace
from typing import Any

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_api.semantic_cache_index import CriticalCheck, JudgeType
from tollway_api.snapshot import Aws, ErrorControl, Index, Policy

SETUP = Setup("http://a/v1", "http://b/v1", index={"accuracy": {"maxErrorRate": "2%", "sampleRate": "5%"}})
(INDEX,) = compiled(SETUP.objects()).indexes.values()
assert INDEX.accuracy is not None
BOUNDED = INDEX.accuracy


def newest(index: Index = INDEX, accuracy: ErrorControl = BOUNDED) -> str:
    """Where a label of that moment is counted."""
    sample = wire.hits_of(replace(index, accuracy=accuracy))
    assert sample is not None
    return wire.label_keys(sample, 1_000_000_000_000)[0]


@pytest.mark.parametrize(
    ("index", "accuracy"),
    [
        pytest.param(replace(INDEX, strict_threshold=0.99), BOUNDED, id="strict threshold"),
        pytest.param(replace(INDEX, checks=(CriticalCheck.NUMBERS,)), BOUNDED, id="checks"),
        pytest.param(INDEX, replace(BOUNDED, judge=JudgeType.LABELS), id="who judges"),
        pytest.param(
            INDEX, replace(BOUNDED, bound=replace(BOUNDED.bound, judge_error_rate=0.05)), id="how often wrongly"
        ),
        pytest.param(
            INDEX, replace(BOUNDED, bound=replace(BOUNDED.bound, least_threshold=0.7)), id="the loosest point"
        ),
    ],
)  # fmt: skip
def test_labels_begin_anew_where_other_hits_are_counted_or_by_another_judge(
    index: Index, accuracy: ErrorControl
) -> None:
    assert newest(index, accuracy) != newest()


@pytest.mark.parametrize("name", ["JUDGE_WEIGHTS", "LABELS"])
def test_labels_begin_anew_with_other_weights_of_the_judge_or_when_they_mean_something_else(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = newest()
    monkeypatch.setattr(wire, name, "another")
    assert newest() != before


def test_labels_go_on_across_a_change_of_what_only_finds_candidates_or_how_many_are_judged() -> None:
    version = replace(INDEX.version, name="another", embedding=replace(INDEX.version.embedding, model="x"))
    assert newest(replace(INDEX, version=version, threshold=0.9)) == newest()
    assert newest(INDEX, replace(BOUNDED, sample_rate=0.5)) == newest()
    assert newest(INDEX, replace(BOUNDED, bound=replace(BOUNDED.bound, max_error_rate=0.01))) == newest()


FLOOR = {"complexity": {"classifier": "Embedding"}, "minQuality": {"least": "90%"}}
(POLICY,) = compiled(SETUP.but(policy={"route": FLOOR}).objects()).policies


def counted_at(policy: Policy) -> str:
    sample = wire.choices_of(policy)
    assert sample is not None
    return wire.label_keys(sample, 1_000_000_000_000)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"upstream_id": "another"},
        {"endpoint": "http://another/v1"},
        {"api_version": "2024-10-21"},
        {"aws": Aws("us-east-1")},
        {"extra_body": {"temperature": 2}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_labels_of_answers_begin_anew_with_what_else_answers(change: dict[str, Any]) -> None:
    models, cheap = POLICY.models, POLICY.route.simple
    other = replace(POLICY, models={**models, cheap: replace(models[cheap], **change)})
    assert counted_at(other) != counted_at(POLICY)


def test_labels_of_answers_go_on_wherever_the_dial_stands() -> None:
    moved = replace(POLICY, route=replace(POLICY.route, simple_share=0.4))
    assert counted_at(moved) == counted_at(POLICY)
    assert wire.choices_of(replace(POLICY, route=replace(POLICY.route, min_quality=None))) is None
