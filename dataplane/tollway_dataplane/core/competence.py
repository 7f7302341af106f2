"""Whether the judge may speak about a prompt at all: it was made for English prose of moderate length. Of everything
else only the same prompt again is answered from memory. Pure; called by `judge`.
"""

import re
from typing import Final

import numpy as np

from tollway_dataplane.core.everyday_words import FUNCTION
from tollway_dataplane.core.lexicon import english
from tollway_dataplane.core.quantities import is_quantity_word
from tollway_dataplane.core.reading import Reading, WordVectors

MOST_CHARACTERS: Final = 1_000
MOST_WORDS: Final = 120
_LEAST_KNOWN: Final = 0.6  # of the words of an English prompt, names and slips included
_CODE: Final = re.compile(
    r"```|[{};]\s*$|=>|==|</?\w+>|\b(def|class|function|return|import|SELECT)\b.*[(:{*]", re.MULTILINE
)


def may_judge(reading: Reading, words: WordVectors) -> bool:
    if not reading.low or len(reading.text) > MOST_CHARACTERS or len(reading.low) > MOST_WORDS:
        return False
    if _CODE.search(reading.text):
        return False
    # Past its end the encoder has seen nothing.
    if len(words) != len(reading.content) or not np.all(words.any(axis=1)):
        return False
    known = sum(_is_known(low, lemma) for low, lemma in zip(reading.low, reading.lemmas, strict=True))
    return known >= _LEAST_KNOWN * len(reading.low) or (len(reading.low) < 4 and known > 0)


def _is_known(low: str, lemma: str) -> bool:
    return low in FUNCTION or is_quantity_word(low) or "'" in low or english().is_ordinary(lemma)
