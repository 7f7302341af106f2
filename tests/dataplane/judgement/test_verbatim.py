"""What must be the same letter for letter, by where it stands: quoted, behind a colon, in a question about language."""

import pytest

from tollway_dataplane.judgement.verbatim import verbatim_differs
from tollway_dataplane.prompts.reading import read

_ALTERED = (
    ("us", "US"),
    ("polish", "Polish"),
    ("eats, shoots and leaves", "eats shoots and leaves"),
    ("Man eating chicken", "Man-eating chicken"),
    ("let's eat, Sam", "let's eat Sam"),
    ("the dogs' bowls are empty", "the dog's bowls are empty"),
)
_MARKS = (('"', '"'), ("“", "”"), ("«", "»"), ("'", "'"), ("‘", "’"))  # noqa: RUF001 - as they are written
_QUOTING = ("What does {} mean?", "translate {} into French", "Is {} right here?")
_WORKING = ("Translate into French: {}", "Correct this: {}", "Please rewrite the following: {}")
_OF_LANGUAGE = ("Which punctuation does {} need?", "Is the grammar of {} right?", "Is {} capitalised well?")


def _both_ways(one: str, other: str) -> list[str]:
    return [verbatim_differs(read(one), read(other)), verbatim_differs(read(other), read(one))]


@pytest.mark.parametrize(("one", "other"), _ALTERED)
@pytest.mark.parametrize("frame", [*_WORKING, *_OF_LANGUAGE])
def test_what_a_prompt_about_language_is_about_counts_letter_for_letter(
    frame: str, one: str, other: str
) -> None:
    assert all(_both_ways(frame.format(one), frame.format(other)))


@pytest.mark.parametrize(("one", "other"), _ALTERED[:-1])
@pytest.mark.parametrize("marks", _MARKS, ids=["straight", "curved", "angled", "single", "single curved"])
@pytest.mark.parametrize("frame", _QUOTING)
def test_what_both_quote_is_the_same_letter_for_letter(
    frame: str, marks: tuple[str, str], one: str, other: str
) -> None:
    mine, yours = (frame.format(each.join(marks)) for each in (one, other))
    assert all(_both_ways(mine, yours))


def test_what_stands_between_single_marks_may_have_apostrophes() -> None:
    assert all(_both_ways("When do I write 'your'?", "When do I write 'you're welcome'?"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('What does "polish" mean?', "what is the meaning of 'polish'"),
        ('Is "slave" from "Slavic"?', 'Is Slavic what "slave" is from?'),
        ('Who wrote "Emma"?', "who wrote Emma"),
        ("Why don't my friends' cars start?", "why don't my friends' cars start, please"),
        ("Tell me: when do you open?", "when do you open"),
        ("Translate into French: good morning", "Please translate into French: good morning"),
        ("what is the correct spelling of the word: dessert", "how do you spell dessert"),
        ('Is the grammar of "I go" right?', 'is the grammar of "I go" right'),
        ("How is the spelling of necessary?", "how is the spelling of necessary"),
    ],
)
def test_elsewhere_signs_and_capitals_say_nothing(one: str, other: str) -> None:
    assert _both_ways(one, other) == ["", ""]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('What does "Fake it till you make it" mean?', 'What is meant by "fake it till you make it"?'),
        ('How do I say "good day," in Danish?', 'How can I say "good day" in Danish?'),
        ('Replace "US" with "us"', 'Please replace "us" with "US"'),
        ("Is \u2039us\u203a right here?", "Would \u2039US\u203a be right here?"),
        ("Put this into plain words: good morning, Sam", "Say this in plain words: good morning Sam"),
        ("Is the punctuation of are you coming. right", "Is the punctuation of are you coming? right"),
        ("Punctuate are you coming", "Punctuate are you coming."),
    ],
)
def test_what_is_marked_counts_also_where_the_rest_is_worded_otherwise(one: str, other: str) -> None:
    assert all(_both_ways(one, other))
