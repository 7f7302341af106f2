"""What is seen of a prompt."""

from math import log1p

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_dataplane.prompts.prompt_features import (
    _ASCII_WORD,
    _WORD,
    MOST_CHARACTERS,
    NAMES,
    features,
    in_counts,
)


def seen(text: str) -> dict[str, float]:
    return dict(zip(NAMES, features(text), strict=True))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("Which is prime?\nA. 4\nB. 6\nC. 7\nD. 8\nAnswer:", "choice", 1),
        ("Which is prime?\nA. 4\nB. 6\nC. 7\nD. 8\nAnswer:", "options", 4),
        ("Which is prime?\nA. 4\nB. 6\nC. 7\nD. 8\nAnswer:", "numeric_options", 1),
        ("Plan A. or plan B. is better?", "choice", 0),
        ("Where is the Louvre?", "where", 1),
        ("Where is the Louvre?", "asks", 1),
        ("Write a poem about rain.", "does", 1),
        ("I write poems.", "does", 1),
        ("All of these but not one", "denies", 1),
        ("Write a python function that sorts", "programming", 2),
        ("Was kostet die Überfahrt?", "foreign", 1 / 25),
        ("He said “hello” and left…", "foreign", 0),
    ],
)
def test_a_prompt_has(text: str, name: str, value: float) -> None:
    assert seen(text)[name] == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("def f", 1),
        ("an undef x, a superclass of it", 0),
        ("class A and class B", 2),
        ("import os", 1),
        ("reimport os", 0),
        ("return it", 1),
        ("what it returns, a noreturn", 0),
        ("SELECT all, SELECTED", 1),
        ("assert it, reassert it", 1),
        ("f() {\n;\n}", 3),
        ("{a; b}.", 0),
        ("a => b == c >>> d </p>", 4),
    ],
)
def test_code_is_known_by_whole_words_and_by_signs(text: str, times: int) -> None:
    assert seen(text)["code"] == pytest.approx(log1p(times))


def test_who_reads_the_features_is_told_counts_and_no_logarithms() -> None:
    told = {
        name: in_counts(name, value) for name, value in seen('Say "hi" 3 times\nA. a b\nB. c\nC. d').items()
    }
    counts = {"words": 10, "stem_words": 3, "lines": 3, "numbers": 1, "quotes": 2, "code": 0, "options": 3}
    assert {name: told[name] for name in counts} == pytest.approx(counts)
    assert told["option_words"] == pytest.approx(7 / 3)
    assert told["word_length"] == pytest.approx(10 / 3)


@pytest.mark.parametrize("text", ["", " ", "?", "\n\n\n", "🙂", "東京はどこですか", "\x00\ud800"])
def test_any_text_has_features(text: str) -> None:
    assert all(value == value and abs(value) < 1e6 for value in features(text))  # noqa: PLR0124 - no NaN


@given(st.text(st.characters(codec="ascii"), max_size=200))
def test_what_is_all_ascii_has_the_same_words_as_any_other_text(text: str) -> None:
    """Its words are looked for by a quicker expression."""
    assert _ASCII_WORD.findall(text) == _WORD.findall(text)


def test_sums_and_code_and_formulas_are_told_from_prose() -> None:
    prose = seen("Tell me about the history of the city of Bruges.")
    sums = seen("A train of 12 cars carries 30 people each. 5 more cars are added. How many people in total?")
    code = seen("```python\ndef f(x):\n    return x == 1\n```\nWhat does this function return?")
    formula = seen("Solve $x^2 + 3x = 4$ for x.")
    assert (prose["numbers"], prose["amounts"], prose["code"], prose["formulas"]) == (0, 0, 0, 0)
    assert min(sums["numbers"], sums["amounts"]) > 1
    assert code["code"] > 1
    assert formula["formulas"] > 0


def test_of_the_longest_prompt_hardly_more_is_looked_at_than_of_a_long_one() -> None:
    once = "word 12 and more. " * (MOST_CHARACTERS // 18)
    assert seen(once * 100)["words"] > seen(once)["words"] + 4
