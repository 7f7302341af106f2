"""Blanks between backticks, over made-up code: each of a place for it and two pieces that differ in blanks alone."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_dataplane.judgement.spelling import spelled_otherwise
from tollway_dataplane.prompts.blanks import meant_blanks, speaks_of_blanks
from tollway_dataplane.prompts.reading import read

PLACES = [
    "What does `{}` do?",
    "Why is ``{}`` slow?",
    "Explain\n```sh\n{}\n```",
    "Run ```{}``` for me",
    "Explain\n```sh\n{}",
]
# Strings in code, which are compared like those outside of it.
STRINGS = [
    (code.format(one), code.format(other))
    for code, (one, other) in product(
        ["strip({})", "IFS={}", "x == {}", "{}.join(a)", "print({}, end)", "cut -d {} -f1", "a + {} + b"],
        [
            ('" "', '""'),
            ("' '", "''"),
            ('"a "', '"a"'),
            ('" a"', '"a"'),
            ('"> "', '">"'),
            ('"a  b"', '"a b"'),
        ],
    )
]
BESIDE_SIGNS = [
    ("ls a /b", "ls a/b"),
    ("git reset HEAD ~1", "git reset HEAD~1"),
    ("scp h:/a b", "scp h: /a b"),
    ("rm *.log", "rm * .log"),
    ("x=1 y", "x= 1 y"),
    ("dd if=a of=/b", "dd if=a of= /b"),
    ("cat a b", "cat a  b"),
    ("cat a b", "cat ab"),
]
WORDS = (
    *("space", "spaces", "whitespace", "whitespaces", "spaced", "spacing", "blank", "blanks", "tab", "tabs"),
    *("indent", "indents", "indented", "indentation", "token", "tokens", "character", "characters"),
    *("column", "columns", "align", "aligns", "aligned", "alignment"),
    *("trailing", "leading", "padded", "padding"),
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("one", "other"), STRINGS + BESIDE_SIGNS)
def test_between_backticks_each_blank_counts(place: str, one: str, other: str) -> None:
    ours, theirs = read(place.format(one)), read(place.format(other))
    assert spelled_otherwise(ours, theirs)
    assert spelled_otherwise(theirs, ours)


@pytest.mark.parametrize("code", ["ls a/b", "strip()", "cat a b", "x == ' '", "git commit -m 'a b'"])
def test_the_same_code_in_other_words_is_let_pass(code: str) -> None:
    ours, theirs = read(f"What does `{code}` do?"), read(f"What is it that `{code}` does?")
    assert spelled_otherwise(ours, theirs) == ""


def test_strings_around_code_and_behind_it_are_found() -> None:
    assert meant_blanks('Is `a b` like "c "?') == ['"w w"', '"w "']
    assert meant_blanks('Is `a` like "c"?') == []


def test_a_backtick_that_is_not_closed_begins_no_code() -> None:
    assert meant_blanks("I don`t know") == []
    assert meant_blanks("I don``t know") == []


def test_all_behind_a_fence_that_is_not_closed_is_code() -> None:
    assert meant_blanks("```sh\nls a /b") == meant_blanks("```sh\nls a /b```") != []


@pytest.mark.parametrize("word", WORDS)
def test_each_word_for_them_is_known_however_it_is_written(word: str) -> None:
    for written in (word, word.upper(), word.title()):
        assert speaks_of_blanks(f"How many {written}, exactly?")


@given(st.lists(st.sampled_from([*WORDS, "TABS", "tablet", *" .,_-1é“”—\n\ud800"])).map("".join))
def test_what_is_found_by_bytes_is_what_a_pattern_finds(text: str) -> None:
    """So that long prompts are looked through in a fifth of the time."""
    pattern = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)
    assert speaks_of_blanks(text) == (pattern.search(text) is not None)


@pytest.mark.parametrize("word", ["tablet", "misaligned", "paddle", "spaceship", "constable"])
def test_a_word_in_another_is_none(word: str) -> None:
    assert not speaks_of_blanks(f"What is a {word}?")
