"""When blanks are spoken of."""

import pytest

from tollway_dataplane.core.blanks import speaks_of_blanks

WORDS = (
    *("space", "spaces", "whitespace", "whitespaces", "spaced", "spacing", "blank", "blanks", "tab", "tabs"),
    *("indent", "indents", "indented", "indentation", "token", "tokens", "character", "characters"),
    *("column", "columns", "align", "aligns", "aligned", "alignment"),
    *("trailing", "leading", "padded", "padding"),
)


@pytest.mark.parametrize("word", WORDS)
def test_each_word_for_them_is_known_however_it_is_written(word: str) -> None:
    for written in (word, word.upper(), word.title()):
        assert speaks_of_blanks(f"How many {written}, exactly?")


@pytest.mark.parametrize("word", ["tablet", "misaligned", "paddle", "spaceship", "constable"])
def test_a_word_in_another_is_none(word: str) -> None:
    assert not speaks_of_blanks(f"What is a {word}?")
