"""Marks and signs that are more than how a sentence is built, and those that are not."""

import pytest

from tollway_dataplane.judgement.spelling import linked_otherwise, spelled_otherwise
from tollway_dataplane.judgement.turn_pairs import edited
from tollway_dataplane.prompts.blanks import meant_blanks
from tollway_dataplane.prompts.reading import read


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Cancel the 2:00 PM meeting", "Cancel the 2 PM meeting"),
        ("Send 20 USD to Ann", "Send 20 dollars to Ann"),
        ("Where are my keys? 🙏", "Where are my keys?"),
        ("Find the terms & conditions", "Find the terms and conditions"),
        ("I paid twice (5 dollars each)", "I paid twice, 5 dollars each"),
        ("My card - the blue one - is gone", "Somebody took my blue card away"),
        ("Dear all,\nI don't know.  Do you?", "Dear all,\nI don't know. Do you?"),
        ("What does “pending” mean?", 'What does "pending" mean?'),
        ("What does 'pending' mean?", 'What does "pending" mean?'),
        ("What does \u2018pending\u2019 mean?", "What does 'pending' mean?"),
        ("Where is my parents’ house?", "Where is my parents' house?"),
        ('What does the "ls" command do?', "What does the ls command do?"),
        ("  What is a fjord?", "What is a fjord?"),
        ("Is it open on 4 May?", "Is it open on May 4th?"),
        ("Is it open on 24 Dec?", "Is it open on 24 december?"),
    ],
)
def test_what_only_builds_a_sentence_is_no_difference(one: str, other: str) -> None:
    assert spelled_otherwise(read(one), read(other)) == ""
    assert spelled_otherwise(read(other), read(one)) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rate this: 👍", "Rate this: 👎"),
        ("What is (2+3)*4?", "What is 2+(3*4)?"),
        ("What is 5! / 2?", "What is 5 / 2?"),
        ("What does . match?", "What does , match?"),
        ("Is a & b true?", "Is a | b true?"),
        ("Is 'a  b' a valid name?", "Is 'a b' a valid name?"),
        ("Does `a\tb` match?", "Does `a b` match?"),
        ("What does /a  b/ match?", "What does /a b/ match?"),
        ("for i in range(3):\n    x += 1\nprint(x)", "for i in range(3):\n    x += 1\n    print(x)"),
        ("Is this right?\na:\n  b: 1", "Is this right?\na:\nb: 1"),
        ("Is foo  bar one token?", "Is foo bar one token?"),
        ("    x: 1", "x: 1"),
        ("  - a", "- a"),
        ("\tx = 1", "x = 1"),
        ("    x: 1\ny: 2", "x: 1\ny: 2"),
        # between ' a shell expands nothing, and "name" is a column
        ('What does echo "$HOME" print?', "What does echo '$HOME' print?"),
        ('What does echo "$HOME" print?', "What does echo $HOME print?"),
        ("Is rm -r “$a b” safe?", 'Is rm -r "$a b" safe?'),
        ('What does SELECT "name" FROM users give?', "What does SELECT 'name' FROM users give?"),
        ('In Postgres, what is "id"?', "In Postgres, what is 'id'?"),
        ("What is `x` in Bash?", "What is 'x' in Bash?"),
        ('What is "a" in C?', "What is 'a' in C?"),
    ],
)
def test_what_is_spoken_of_or_calculated_with_is_a_difference(one: str, other: str) -> None:
    assert spelled_otherwise(read(one), read(other)) != ""
    assert spelled_otherwise(read(other), read(one)) != ""


_STRINGS = [("", " "), ("a ", "a"), (" a", "a"), (",", ", "), ("-", "- "), ("a b ", "a b")]
_AROUND = [
    "print(a, end={})",
    "Why does s.split({}) fail?",
    "What is len({})?",
    "Replace {} in my file",
    "echo {} | wc -c",
]


@pytest.mark.parametrize("marks", ["''", '""', "``", "“”", "\u2018\u2019"])
@pytest.mark.parametrize("around", _AROUND)
@pytest.mark.parametrize(("one", "other"), _STRINGS)
def test_a_blank_in_a_string_is_a_difference(marks: str, around: str, one: str, other: str) -> None:
    ours, theirs = (read(around.format(f"{marks[0]}{each}{marks[1]}")) for each in (one, other))
    assert spelled_otherwise(ours, theirs) != ""
    assert edited(ours, theirs) != ""  # as an earlier turn, too


def test_blanks_beside_signs_are_meant_in_strings_of_code() -> None:
    assert spelled_otherwise(read('f("a, b")'), read('f("a,b")')) != ""


@pytest.mark.parametrize(
    "text",
    [
        "Don't the boss's dogs' kennels date from the '90s?",
        "Are the Beatles' and the Stones' songs rock 'n' roll?",
        'Is he 6\' 2" tall with a 5" phone?',
        'He said, "hello, world" and left',
        'What is ""love""?',
    ],
)
def test_apostrophes_and_inches_are_no_strings(text: str) -> None:
    assert meant_blanks(text) == []


def test_of_words_that_stand_otherwise_the_first_is_named() -> None:
    one, other = read("Move it from Rome to Milan"), read("Move it to Rome from Milan")
    assert linked_otherwise(one, other) == linked_otherwise(other, one) == "rome"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is it paid by Friday?", "Is it paid after Friday?"),
        ("How do I get water out of the boat?", "How do I get water into the boat?"),
    ],
)
def test_words_that_exclude_each_other_before_the_same_word_are_told_apart(one: str, other: str) -> None:
    assert linked_otherwise(read(one), read(other)) == linked_otherwise(read(other), read(one)) != ""
