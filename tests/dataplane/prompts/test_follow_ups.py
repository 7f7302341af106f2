"""Messages that say something only together with what was asked before, and those that stand alone."""

import pytest

from tollway_dataplane.prompts.follow_ups import leans_back


@pytest.mark.parametrize(
    "message",
    [
        "Is it the same in Bergen?",
        "Could you tell me for Bergen?",
        "could you tell me for bergen",
        "And in Ohio?",
        "What about tomorrow's?",
        "In Bergen, please.",
        "Yes please",
        "Thanks!",
        "Is that true for silver too?",
        "What is silver's?",
        "Is Bergen warmer?",
        "Does Bergen have snow too?",
        "Please do the same for Rome",
        "Can you give me that in Celsius?",
        "How is Bergen?",
        "And does Bergen?",
        "I meant Bergen",
        "What would that be for Ohio?",
        "Which one is higher?",
        "Now do Bergen",
        "And cheap flights to northern Norway",
    ],
)
def test_a_follow_up_leans_on_what_was_asked(message: str) -> None:
    assert leans_back(message)


@pytest.mark.parametrize(
    "message",
    [
        "How do I bake bread?",
        "How do I reset my password?",
        "What is bread?",
        "Who is Einstein?",
        "Tell me about Einstein",
        "Explain photosynthesis",
        "Write a poem about the sea",
        "What is a dog that barks called?",
        "Is there a bridge in Bergen?",
        'Translate "good morning" into Dutch',
        "How do I boil one egg?",
        "Name three rivers in Norway",
        "Is a tomato a fruit?",
        "is it " * 50,
        "Cheap family hotels near Bergen harbour",  # a word more than a fragment has
    ],
)
def test_a_question_that_stands_alone_does_not(message: str) -> None:
    assert not leans_back(message)
