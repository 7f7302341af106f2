"""Whether the judge may speak about a prompt at all: it was made for English prose of moderate length. Of everything
else only the same prompt again is answered from memory. Pure; called by `judge`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tollway_dataplane.prompts.code_parts import has_code
from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.languages import LOANWORDS, english_ahead, is_borrowed
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.quantities import is_quantity_word
from tollway_dataplane.prompts.reading import MOST_WORDS_KEPT, Reading, WordVectors

MOST_CHARACTERS: Final = 1_000
MOST_WORDS: Final = 120
_LEAST_KNOWN: Final = 0.6  # of the words of an English prompt, names and slips included
_LEAST_KNOWN_ALONE: Final = 0.8  # where nothing but this tells that it is English
_LEAST_PROSE: Final = 6  # words, for the language of one text to tell


def may_judge(reading: Reading, words: WordVectors) -> bool:
    # Past its end the encoder has seen nothing.
    return _is_short_prose(reading) and len(words) == len(reading.content) and _has_all(words)


def _has_all(words: WordVectors) -> bool:
    """Whether no vector is zero. By bytes, which takes a fraction of the time that an array of this size does."""
    size = words.shape[1]
    nothing, written = bytes(size), words.tobytes()
    return not any(written[at : at + size] == nothing for at in range(0, len(written), size))


@once
def _is_short_prose(reading: Reading) -> bool:
    if not reading.low or len(reading.text) > MOST_CHARACTERS or len(reading.low) > MOST_WORDS:
        return False
    return not has_code(reading.text) and is_english([reading])


def is_prose(readings: Sequence[Reading]) -> bool:
    """Whether texts of one conversation are English and no code, all together: of a short reply alone ("Maria Lopez",
    "fab") none can tell.
    """
    if not all(reading.low for reading in readings) or any(has_code(each.text) for each in readings):
        return False
    longer = (each.low for each in readings if len(each.low) >= _LEAST_PROSE)
    return _lean_to_english(readings) and all(
        any(low in FUNCTION or "'" in low for low in each) for each in longer
    )


def is_english(readings: Sequence[Reading]) -> bool:
    """Whether each of them is clearly English: the words that join the others are English ones rather than those of any
    other language, and most of the rest are in the dictionary; nearly all, where the joining words do not decide.
    """
    undecided = (each for each in readings if not english_ahead(each))
    return _lean_to_english(readings) and all(
        _known(each) >= _LEAST_KNOWN_ALONE * len(each.low) for each in undecided
    )


def _lean_to_english(readings: Sequence[Reading]) -> bool:
    if any(english_ahead(each) < 0 for each in readings):
        return False
    return sum(map(_known, readings)) >= _LEAST_KNOWN * sum(len(each.low) for each in readings)


@once
def _known(reading: Reading) -> int:
    """How many words of it are known for English ones, or for names: what has a capital within a text is one only where
    that is English by its other words.
    """
    known = list(map(_is_known, reading.low, reading.lemmas))
    if all(known):
        return len(known)
    may_be_names = english_ahead(reading) > 0
    return sum(
        is_known or is_borrowed(reading, i) or (may_be_names and i > 0 and reading.shown[i][0].isupper())
        for i, is_known in enumerate(known)
    )


@lru_cache(MOST_WORDS_KEPT)
def _is_known(low: str, lemma: str) -> bool:
    if low in FUNCTION or low in LOANWORDS or is_quantity_word(low) or "'" in low:
        return True
    return english().is_ordinary(lemma)
