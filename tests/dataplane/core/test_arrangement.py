"""What stands on either side of a word of order or contrast, over made-up sentences of a pattern and two words."""

from itertools import product

import pytest

from tollway_dataplane.core.arrangement import exchanged
from tollway_dataplane.core.chat_pairs import Chat
from tollway_dataplane.core.conversation import difference
from tollway_dataplane.core.facts import Turn
from tollway_dataplane.core.reading import read

PATTERNS = [
    "{}, then {}.",
    "{}, not {}.",
    "{}, and then {}.",
    "{} before {}.",
    "{} first, {} later.",
    "{} rather than {}.",
    "Sort by {}, then {}",
    "Why {}, then {}?",
    "Sort it by {}, then by {}",
    "They do {}, then they do {}.",
]
WORDS = [
    ("sand", "paint"),
    ("the buyer", "the seller"),
    ("left", "right"),
    ("Maria", "Tom"),
    ("the gas", "the water"),
    ("name", "date"),
]
EXCHANGED = [
    (pattern.format(one, other), pattern.format(other, one))
    for pattern, (one, other) in product(PATTERNS, WORDS)
]
# A clause that moves takes its word with it.
MOVED = [
    ("In the shower, why does the water get cold?", "Why does the water get cold in the shower?"),
    ("After I pay, what happens?", "What happens after I pay?"),
    ("Before I leave, do I pay?", "Do I pay before I leave?"),
    ("When my card is lost, what do I do first?", "What do I do first when my card is lost?"),
    ("When I open the app, why does it not load?", "Why does it not load when I open the app?"),
    ("Not now, thanks", "Thanks, not now"),
]


@pytest.mark.parametrize(("one", "other"), EXCHANGED)
def test_what_comes_first_is_not_exchanged(one: str, other: str) -> None:
    assert exchanged(read(one), read(other)) is not None
    assert exchanged(read(other), read(one)) is not None


@pytest.mark.parametrize(("one", "other"), EXCHANGED)
def test_nor_in_what_an_assistant_said(one: str, other: str) -> None:
    ours, theirs = (
        Chat(read("Why that order?"), (Turn("user", "What do I do?"), Turn("assistant", said)))
        for said in (one, other)
    )
    assert difference(ours, theirs) != ""
    assert difference(theirs, ours) != ""


@pytest.mark.parametrize(("one", "other"), MOVED)
def test_a_clause_may_move(one: str, other: str) -> None:
    assert exchanged(read(one), read(other)) is None
    assert exchanged(read(other), read(one)) is None
