"""Which words of one prompt have their like in another."""

import pytest

from tollway_dataplane.prompts.lexicon import Relation
from tollway_dataplane.prompts.reading import read
from tollway_dataplane.prompts.word_forms import (
    alike,
    are_forms,
    is_misspelling,
    related,
    slips,
    without_like,
)


def test_a_form_a_synonym_and_a_slip_of_the_keyboard_are_a_words_like() -> None:
    ours, theirs = read("How do I delete the recieved photos?"), read("Removing a received photo")
    assert without_like(ours, theirs) == []
    assert without_like(theirs, ours) == []


def test_what_only_one_prompt_has_is_without_like() -> None:
    ours = read("What is the price of gold?")
    assert [ours.low[i] for i in without_like(ours, read("What is the price?"))] == ["gold"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Is it safe to fly?", "Is it not safe to fly?", True),
        ("Can I feed a parrot?", "Can I feed a hamster?", True),
        ("My parcel has not arrived yet", "I wait for a delivery since the weekend", False),
    ],
)
def test_prompts_are_alike_with_two_words_apart_at_most(one: str, other: str, expected: bool) -> None:
    assert alike(read(one), read(other)) is expected
    assert alike(read(other), read(one)) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("recieve", "receive", True),
        ("acommodation", "accommodation", True),
        ("prednisone", "prednisolone", False),
        ("house", "mouse", False),
        ("card", "care", False),
    ],
)
def test_a_slip_makes_of_a_word_what_is_none(one: str, other: str, expected: bool) -> None:
    assert is_misspelling(one, other) is expected
    assert is_misspelling(other, one) is expected


@pytest.mark.parametrize(
    ("written", "among", "expected"),
    [
        ("receive", "I recieve no mail", ["recieve"]),  # a word, and none
        ("recieve", "I receive no mail", ["receive"]),  # none, and a word
        ("acommodation", "Is acomodation dear?", ["acomodation"]),  # none, and none
        ("card", "Where is my care?", []),  # a word, and a word
    ],
)
def test_slips_are_found_among_the_words_of_a_prompt(written: str, among: str, expected: list[str]) -> None:
    assert slips(written, read(among)) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("truncate", "truncating", True),
        ("troubleshoot", "troubleshooting", True),
        ("demonetised", "demonetization", True),
        ("iterate", "iteration", True),
        ("semaglutide", "semaglutine", False),
        ("troubleshooter", "troubleshootee", False),
        ("chlorin", "chlorine", False),
        ("prednisone", "prednisolone", False),
    ],
)
def test_words_that_no_dictionary_has_are_known_by_how_verbs_are_inflected(
    one: str, other: str, expected: bool
) -> None:
    assert are_forms(one, other) is expected
    assert are_forms(other, one) is expected


def test_related_words_are_those_of_the_other_prompt_either_way_round() -> None:
    ours, theirs = read("How do I buy a hot drink?"), read("Where do I purchase a cold meal?")
    assert related(ours, theirs)["buy"] == {"purchase": Relation.SYNONYM}
    assert related(theirs, ours)["purchase"] == {"buy": Relation.SYNONYM}
    assert related(ours, theirs)["hot"] == {"cold": Relation.OPPOSITE}
    assert related(theirs, ours)["where"] == {}
