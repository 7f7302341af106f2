"""Where a thing is said to be, over made-up sentences with each of two places."""

from itertools import combinations

import pytest

from tollway_dataplane.judgement.placing import placed_otherwise
from tollway_dataplane.prompts.reading import read

_PLACES = [
    ("near", "next to", "close to", "beside"),
    ("under", "beneath", "below"),
    ("above", "on top of"),
    ("inside", "within"),
    ("outside", "outside of"),
    ("behind", "in back of"),
    ("in front of",),
    ("along",),
]
_SENTENCES = ["Can I park {} the shop?", "What grows {} our old fence?", "Put the sensor {} the tank"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sentence.format(one), sentence.format(other))
        for sentence in _SENTENCES
        for ones, others in combinations(_PLACES, 2)
        for one in ones
        for other in others
    ],
)
def test_a_thing_in_one_place_is_not_in_another(one: str, other: str) -> None:
    """Whatever words say it."""
    assert placed_otherwise(read(one), read(other))
    assert placed_otherwise(read(other), read(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sentence.format(one), sentence.format(other))
        for sentence in _SENTENCES
        for place in _PLACES
        for one, other in combinations(place, 2)
    ],
)
def test_a_place_has_several_names(one: str, other: str) -> None:
    """Near it is next to it."""
    assert not placed_otherwise(read(one), read(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is there a shop in the station?", "Is there a shop near the station?"),
        ("Is it safe to walk through the park?", "Is it safe to walk around the park?"),
        ("How long is the drive to Boston?", "How long is the drive around Boston?"),
        ("How far is the hotel from the beach?", "How far is the hotel along the beach?"),
        ("Can I use this cream on wounds?", "Can I use this cream around wounds?"),
        ("Increase my limit to 500 dollars", "Increase my limit by 500 dollars"),
    ],
)
def test_what_excludes_the_other_is_told_apart(one: str, other: str) -> None:
    """Also from the little words that may mean many places."""
    assert placed_otherwise(read(one), read(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset it in the app?", "How do I reset it on the app?"),
        ("Search within a file", "Search in a file"),
        ("Opening hours on weekends", "Opening hours at weekends"),
        ("Travel across Europe", "Travel around Europe"),
        ("What is behind the rule?", "What is the reason for the rule?"),
        ("What is the idea behind the rule?", "What is the idea in the rule?"),
        ("Is it used to park near here?", "Is parking here possible?"),
        ("Can I pay by card?", "Can I pay with a card?"),
        ("Group the rows by region", "Group the rows according to region"),
    ],
)
def test_what_can_be_said_for_it_is_no_difference(one: str, other: str) -> None:
    """Most little words stand for each other."""
    assert not placed_otherwise(read(one), read(other))
    assert not placed_otherwise(read(other), read(one))
