"""Whether the judge may speak about a prompt at all: it was made for English prose of moderate length. Of everything
else only the same prompt again is answered from memory. Pure; called by `judge`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tollway_dataplane.core.code_parts import has_code
from tollway_dataplane.core.everyday_words import FUNCTION
from tollway_dataplane.core.languages import is_foreign, is_taken_over
from tollway_dataplane.core.lexicon import english
from tollway_dataplane.core.once import once
from tollway_dataplane.core.quantities import is_quantity_word
from tollway_dataplane.core.reading import MOST_WORDS_KEPT, Reading, WordVectors

MOST_CHARACTERS: Final = 1_000
MOST_WORDS: Final = 120
_LEAST_KNOWN: Final = 0.6  # of the words of an English prompt, names and slips included
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
    """Whether texts are English and no code. For what is compared by its words alone: of one in another language among
    them many words may pass for English ones, but hardly those that join the others.
    """
    if not all(reading.low for reading in readings) or any(has_code(each.text) for each in readings):
        return False
    longer = (each.low for each in readings if len(each.low) >= _LEAST_PROSE)
    return is_english(readings) and all(any(low in FUNCTION or "'" in low for low in each) for each in longer)


def is_english(readings: Sequence[Reading]) -> bool:
    if any(map(is_foreign, readings)):
        return False
    count = sum(len(each.low) for each in readings)
    known = sum(sum(map(_is_known, each.low, each.lemmas)) for each in readings)
    if known < _LEAST_KNOWN * count:
        known += sum(_taken_over(each) for each in readings)
    return known >= _LEAST_KNOWN * count or (count < 4 and known > 0)


def _taken_over(reading: Reading) -> int:
    """Words of names and phrases that English has from elsewhere."""
    words = zip(reading.low, reading.lemmas, strict=True)
    return sum(not _is_known(*word) and is_taken_over(reading, i) for i, word in enumerate(words))


@lru_cache(MOST_WORDS_KEPT)
def _is_known(low: str, lemma: str) -> bool:
    return low in FUNCTION or is_quantity_word(low) or "'" in low or english().is_ordinary(lemma)
