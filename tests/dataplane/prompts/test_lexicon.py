"""How two words stand to each other."""

import pytest

from tollway_dataplane.prompts.everyday_words import OPPOSED, POLARITY, SAME
from tollway_dataplane.prompts.lexicon import Relation, Relatives, english, positives


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


def test_words_without_a_tie_are_unrelated() -> None:
    """Of words that are related in every way there is, none is overlooked by looking only at those with a tie."""
    by_hand = {word for words in (POLARITY, SAME, dict(OPPOSED)) for word in words}
    words = [
        *sorted(by_hand)[::4],
        *"troubleshoot troubleshooting prednisone prednisones scotland england banana mortgage parrot animal".split(),
        *"deliver delivery reset unreset lock unlock connect disconnect possible impossible frost defrost".split(),
    ]
    among = Relatives(english(), words)
    found = {(one, other): among[one].get(other, Relation.UNRELATED) for one in words for other in words}
    assert found == {(one, other): english().relation(one, other) for one in words for other in words}
    assert set(found.values()) == set(Relation)


@pytest.mark.parametrize(
    ("low", "positive"),
    [("faster", "fast"), ("bigger", "big"), ("heaviest", "heavy"), ("safest", "safe"), ("tallest", "tall")],
)
def test_the_positive_of_a_comparative_is_among_what_it_may_be(low: str, positive: str) -> None:
    assert positive in positives(low)


def test_a_word_without_such_an_ending_is_no_comparative() -> None:
    assert positives("fast") == positives("er") == frozenset()
