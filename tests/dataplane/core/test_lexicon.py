"""How two words stand to each other."""

import pytest

from tollway_dataplane.core.lexicon import Relation, english


@pytest.mark.parametrize(
    ("one", "other", "relation"),
    [
        ("deliver", "delivery", Relation.SAME),
        ("buy", "purchase", Relation.SYNONYM),
        ("road", "street", Relation.SYNONYM),
        ("hot", "cold", Relation.OPPOSITE),
        ("approve", "deny", Relation.OPPOSITE),
        ("subscribe", "unsubscribe", Relation.OPPOSITE),
        ("england", "scotland", Relation.SIBLING),
        ("banana", "mortgage", Relation.UNRELATED),
    ],
)
def test_a_relation_holds_both_ways(one: str, other: str, relation: Relation) -> None:
    assert english().relation(one, other) is relation
    assert english().relation(other, one) is relation


@pytest.mark.parametrize(
    ("word", "lemma"),
    [("deliveries", "delivery"), ("stopped", "stop"), ("making", "make"), ("cheapest", "cheap"), ("paid", "pay"),
     ("children", "child"), ("classes", "class"), ("status", "status")],
)  # fmt: skip
def test_a_word_is_known_by_its_lemma(word: str, lemma: str) -> None:
    assert english().lemma(word) == lemma


def test_a_name_is_told_from_a_common_word() -> None:
    assert english().is_name("scotland")
    assert not english().is_name("station")
