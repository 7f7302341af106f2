"""Which prompts are understood without what was said before."""

import pytest

from tollway_dataplane.prompts.reading import read
from tollway_dataplane.prompts.self_contained import names_its_matter, topics, without_shift


@pytest.mark.parametrize(
    "prompt",
    [
        "Who wrote the novel Frankenstein?",
        "What is the boiling point of ethanol?",
        "How do I clean suede shoes at home?",
        "Do you ship furniture to Norway?",
        "Is there a cloakroom for coats, and is it free for members?",
        "Unrelated, but do you sell gift cards?",
        "Where does the council collect old paint?",
    ],
)
def test_who_names_what_is_asked_about_needs_nothing_before(prompt: str) -> None:
    assert names_its_matter(read(prompt))


@pytest.mark.parametrize(
    "prompt",
    [
        "what does it cost?",
        "and how long does shipping to Norway take?",
        "so how much is the monthly ticket?",
        "when does the museum open?",
        "what is the fee?",
        "when is my next payment due?",
        "can I bring a large dog inside?",
        "how much notice do I need to give?",
        "the second one",
        "who goes through?",
        "what do I need to do?",
        "",
    ],
)
def test_who_refers_to_something_does(prompt: str) -> None:
    assert not names_its_matter(read(prompt))


def test_what_turns_to_something_else_is_no_part_of_the_question() -> None:
    asked = without_shift(read("Sorry, one more thing: do you sell gift cards?"))
    assert asked.text == "do you sell gift cards?"
    assert topics(asked) == {"sell", "gift", "card"}
