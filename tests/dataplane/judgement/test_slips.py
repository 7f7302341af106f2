"""Two prompts as if one hand had typed them: what is joined, what is a slip, and what stays another word."""

import pytest

from tests.views import ViewOf
from tollway_dataplane.judgement.judge import shipped
from tollway_dataplane.judgement.slips import one_hand
from tollway_dataplane.judgement.surface_form import are_same_words
from tollway_dataplane.prompts.reading import read


def _swapped(word: str) -> list[str]:
    """With each two neighbours of it, but for the first, in each other's place."""
    turned = (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(1, len(word) - 1))
    return [each for each in turned if each != word]


@pytest.mark.parametrize("word", ["invoice", "password", "subscription", "capital", "receive", "address"])
def test_letters_that_changed_places_are_a_slip(word: str) -> None:
    """Wherever in the word, but at its beginning."""
    meant = read(f"Where is my {word}?")
    for slip in _swapped(word):
        assert are_same_words(*one_hand(read(f"Where is my {slip}?"), meant))
        assert are_same_words(*one_hand(meant, read(f"Where is my {slip}?")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I connect to Wi-Fi?", "How do I connect to wifi?"),
        ("How do I connect to Wi-Fi?", "How do I connect to WiFi?"),
        ("Where is the drop-down menu?", "Where is the dropdown menu?"),
        ("How do I download the e-book?", "How do I download the eBook?"),
        ("Can I book on-line?", "Can I book online?"),
        ("How do I reset my pasword?", "How do I reset my password?"),
        ("How do I chnage my adress?", "How do I change my address?"),
    ],
)
def test_what_one_hand_would_have_typed_is_served(view: ViewOf, one: str, other: str) -> None:
    """In one word or with a hyphen, and with a slip."""
    assert shipped().verdict(view(one), view(other)).serves
    assert shipped().verdict(view(other), view(one)).serves


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can I re-sign the contract?", "Can I resign the contract?"),
        ("Where is the nearest co-op?", "Where is the nearest coop?"),
        ("Is it safe to drink ethene?", "Is it safe to drink ethane?"),
        ("What does prednisone do?", "What does prednisolone do?"),
        ("How do you spell recieve?", "How do you spell receive?"),
        ('What does "recieve" mean?', 'What does "receive" mean?'),
        ("How do I use Diner?", "How do I use dinner?"),
        ("Who made the desert?", "Who made the dessert?"),
        ("How do I form a company?", "How do I from a company?"),
        ("Translate: recieve", "Translate: receive"),
    ],
)
def test_what_may_be_another_word_stays_one(view: ViewOf, one: str, other: str) -> None:
    """Of a prefix, of another letter, of two known words, and where letters are what is asked about."""
    assert not shipped().verdict(view(one), view(other)).serves
    assert not shipped().verdict(view(other), view(one)).serves
