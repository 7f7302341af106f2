"""Which earlier turns are done with when a prompt begins something new."""

import pytest

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.topic_change import hangs_on_who_asks, is_settled
from tollway_dataplane.prompts.reading import read


def turns(said: str) -> list[Turn]:
    """The user and the assistant in turn."""
    return [Turn(("user", "assistant")[i % 2], text) for i, text in enumerate(said.split(" | "))]


@pytest.mark.parametrize(
    "said",
    [
        "where can I park? | Behind the building.",
        "my lamp has the wrong plug, can you swap it? | Yes, at any till.",
        "when is it open? | From nine. Which day suits you? | Friday | It is open on Friday.",
        "when is it open? | From nine. | oh good, Friday then | Fine.",
        "is check-out at noon? | At eleven, noon costs more. | noon would be nice | Fine.",
        "is it far? | Two miles. | she can walk that | Good.",
        "the code does not work | It is only valid for articles at their full price, not in the sale.",
        "hello | Hi! How can I help?",
    ],
    ids=[
        "asked and answered",
        "told with a question",
        "an answer",
        "a reaction",
        "takes up the reply",
        "refers back",
        "dealt with",
        "a greeting",
    ],
)
def test_what_had_its_answer_is_done_with(said: str) -> None:
    assert is_settled(turns(said))


@pytest.mark.parametrize(
    "said",
    [
        "we use Fedora | Nice!",
        "where can I park? | Behind the building. | we drive a van | Noted.",
        "where can I park? | You're welcome!",
        "where can I park?",
        "hello | Hi! | our passports are Danish | Okay, thank you.",
    ],
    ids=["told for nothing", "told in the middle", "not answered", "no reply", "after a greeting"],
)
def test_what_was_told_for_nothing_yet_waits_for_the_prompt(said: str) -> None:
    assert not is_settled(turns(said))


def test_no_turns_leave_nothing_open() -> None:
    assert is_settled([])


@pytest.mark.parametrize(
    "prompt",
    [
        "Which camera do you recommend?",
        "Can I bring a dog into the museum?",
        "How much ibuprofen is safe?",
        "What does a ticket cost?",
        "Is it legal to camp in the forest?",
    ],
)
def test_advice_leave_health_law_and_prices_hang_on_who_asks(prompt: str) -> None:
    assert hangs_on_who_asks(read(prompt))


def test_a_question_about_how_things_are_for_everybody_hangs_on_nobody() -> None:
    assert not hangs_on_who_asks(read("What are the opening hours of the library on Sunday?"))
