"""What is said for politeness alone."""

import pytest

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.prompts.pleasantries import is_pleasantry


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("user", "Hi there!"),
        ("user", "good morning"),
        ("user", "Thank you so much, that's really helpful"),
        ("assistant", "Hello! How can I help you today?"),
        ("assistant", "You’re welcome! Is there anything else I can help you with?"),
    ],
)
def test_greetings_and_thanks_are(role: str, text: str) -> None:
    assert is_pleasantry(Turn(role, text))


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("user", "yes"),
        ("user", "no thanks"),
        ("user", "ok"),
        ("user", "hi, what does it cost?"),
        ("user", "How can I help you?"),
        ("assistant", "Sure."),
        ("assistant", "Hello! Shall I cancel it?"),
        ("user", "hello " * 30),
        ("user", ""),
    ],
)
def test_answers_and_questions_are_not(role: str, text: str) -> None:
    assert not is_pleasantry(Turn(role, text))
