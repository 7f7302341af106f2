"""The names of Redis keys: what is counted of one kind meets under one of them, and what is of another kind never."""

from dataclasses import replace

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_api.semantic_cache_index import CriticalCheck, JudgeType
from tollway_api.snapshot import Accuracy, Index

SETUP = Setup("http://a/v1", "http://b/v1", index={"accuracy": {"maxErrorRate": "2%", "sampleRate": "5%"}})
(INDEX,) = compiled(SETUP.objects()).indexes.values()
assert INDEX.accuracy is not None
BOUNDED = INDEX.accuracy


def newest(index: Index = INDEX, accuracy: Accuracy = BOUNDED) -> str:
    """Where a label of that moment is counted."""
    return wire.label_keys(index, accuracy, 1_000_000_000_000)[0]


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
    index: Index, accuracy: Accuracy
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
