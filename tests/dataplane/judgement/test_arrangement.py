"""What stands on either side of a word of order or contrast, over made-up sentences of a pattern and two words."""

from itertools import product

import pytest

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.arrangement import exchanged
from tollway_dataplane.judgement.chat_pairs import Chat
from tollway_dataplane.judgement.conversation import difference
from tollway_dataplane.judgement.judge import facts_against
from tollway_dataplane.prompts.reading import read

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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How can I loosen the bolt?", "How should I loosen the bolt?"),
        ("What can I do if the boiler leaks?", "What should I do if the boiler leaks?"),
        ("What must be done about damp?", "What can be done about damp?"),
    ],
)
def test_who_asks_for_a_way_may_ask_how_it_can_or_how_it_should_be_done(one: str, other: str) -> None:
    assert facts_against(read(one), read(other)) is None
    assert facts_against(read(other), read(one)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Am I allowed to bring my dog?", "Can I bring my dog?"),
        ("Am I required to file a return?", "Do I have to file a return?"),
        ("What papers are required to open a shop?", "What papers do I need to open a shop?"),
    ],
)
def test_what_is_allowed_may_be_done_and_what_is_required_must(one: str, other: str) -> None:
    assert facts_against(read(one), read(other)) is None
    assert facts_against(read(other), read(one)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can I loosen the bolt?", "Should I loosen the bolt?"),
        ("How can I loosen the bolt?", "Should I loosen the bolt?"),
        ("How can I say that I must leave?", "How can I say that I may leave?"),
        ("How often can I water it?", "How often must I water it?"),
        ("What can I eat?", "What should I eat?"),
        ("Is my boss allowed to cut my pay?", "Is my boss required to cut my pay?"),
        ("Am I permitted to leave early?", "Must I leave early?"),
        ("Can the tenant paint the wall?", "Is the tenant obliged to paint the wall?"),
    ],
)
def test_what_may_be_done_is_not_what_must_be(one: str, other: str) -> None:
    for ours, theirs in ((one, other), (other, one)):
        found = facts_against(read(ours), read(theirs))
        assert found is not None
        assert found.explanation.startswith("modality differs")
