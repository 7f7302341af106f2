"""Two prompts as if one hand had typed them: words that only one of them writes in two ("Wi-Fi", "wifi"; "drop-down",
"dropdown"), and slips of the keyboard in words that the other has as they should be ("invocie"). Where the other prompt
has no such word, or how it is written is what is asked, all stays as it is. Pure; called by `judge`.
"""

import re
from typing import Final

from tollway_dataplane.judgement.surface_form import quoted, set_apart
from tollway_dataplane.judgement.verbatim import speaks_of_language
from tollway_dataplane.prompts.everyday_words import SAME
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.reading import Reading, read
from tollway_dataplane.prompts.word_forms import unknown

_JOINED: Final = re.compile(r"(?<![\w-])([A-Za-z]+)-([A-Za-z]+)(?![\w-])")
# With a hyphen these make another word: "re-sign", "co-op".
_APART: Final = frozenset("re co un ex pre de".split())
_OF_WORDS: Final = frozenset(
    "spell spelled spelt word words mean means meaning pronounce letter letters called".split()
)
_LEAST: Final = 5  # letters of a word in which a slip can be told


def one_hand(ours: Reading, theirs: Reading) -> tuple[Reading, Reading]:
    """Each of the two as the other would write it."""
    hyphened = "-" in ours.text, "-" in theirs.text
    if not any(hyphened) and not unknown(ours) and not unknown(theirs):
        return ours, theirs
    mine, yours = (
        _without_slips(_joined(one, other) if is_hyphened else one, other)
        for one, other, is_hyphened in ((ours, theirs, hyphened[0]), (theirs, ours, hyphened[1]))
    )
    return mine, yours


def _joined(reading: Reading, beside: Reading) -> Reading:
    words = dict(zip(beside.low, beside.shown, strict=True))

    def in_one(match: re.Match[str]) -> str:
        found = words.get((match[1] + match[2]).lower())
        return match[0] if found is None or match[1].lower() in _APART else found

    text = _JOINED.sub(in_one, reading.text)
    return reading if text == reading.text else read(text)


def _without_slips(reading: Reading, beside: Reading) -> Reading:
    meant = {}
    for low in unknown(reading):
        others = [each for each in beside.low if _is_slip(low, each)] if low in reading.shown else []
        if len(others) == 1:
            meant[low] = others[0]
    if not meant or any(map(_is_of_letters, (reading, beside))):
        return reading
    return read(
        re.sub(rf"\b(?:{'|'.join(map(re.escape, meant))})\b", lambda match: meant[match[0]], reading.text)
    )


def _is_of_letters(reading: Reading) -> bool:
    """Whether letters may be what is asked about."""
    is_of_words = not _OF_WORDS.isdisjoint(reading.plain_set)
    return bool(is_of_words or speaks_of_language(reading) or quoted(reading) or set_apart(reading))


def _is_slip(written: str, meant: str) -> bool:
    """Whether two neighbours of a known word have changed places, or one of a pair is missing or too many. Another
    letter in its place, or one more, makes names of other things: "ethane", "ethene".
    """
    lengths = len(written), len(meant)
    if (
        min(lengths) < _LEAST
        or abs(lengths[0] - lengths[1]) > 1
        or written[0] != meant[0]
        or written == meant
    ):
        return False
    lemma = english().lemma(meant)
    if not english().knows(lemma) and lemma not in SAME:
        return False
    if len(written) == len(meant):
        i = next(i for i, (one, other) in enumerate(zip(written, meant, strict=True)) if one != other)
        return written[i : i + 2] == meant[i : i + 2][::-1] and written[i + 2 :] == meant[i + 2 :]
    short, long = sorted((written, meant), key=len)
    return any(long[i] == long[i - 1] and long[:i] + long[i + 1 :] == short for i in range(1, len(long)))
