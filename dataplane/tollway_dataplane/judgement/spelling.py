"""What two prompts of the same words may still differ in: signs, spelling where it counts, and the little words between
the others. Pure; called by `judge`, for prompts in any language.
"""

import re
import unicodedata
from typing import Final

from tollway_dataplane.prompts.blanks import meant_blanks
from tollway_dataplane.prompts.code_parts import coded_otherwise
from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.quoting import quoted_otherwise
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.word_forms import alike

# Words that say how the next content word stands to the rest, in pairs of which one is not the other. Most others can
# stand for each other: "in the app", "on the app", "for the app".
_OPPOSED: Final = frozenset(
    frozenset(pair.split())
    for pair in (
        "and or", "with or", "with without", "to from", "into from", "onto from", "before after", "over under",
        "by for", "for against", "with against", "by after", "out into",
    )
)  # fmt: skip
_LINKS: Final = frozenset(word for pair in _OPPOSED for word in pair)
_ENDINGS: Final = frozenset({"in", "on", "off", "out", "up", "down"})  # "the slot I put it in"
# Punctuation that is more than how a sentence is built; what Unicode calls symbols and marks comes to it.
_OPERATORS: Final = frozenset("#&*/@[]{}|_\\")
_NO_LETTER: Final = re.compile(r"[^\w\s]|_")
# Amounts of money, temperatures: the judge reads them.
_QUANTITY_SIGNS: Final = frozenset("$€£¥₹°")

# `-C` is not `-c`, `\d` not `\D`, "5 MW" not "5 mW", `.bashrc` not `bashrc`, and `--` not `-`. The judge reads "4 May".
_SPELLED: Final = re.compile(
    r"(?<![\w-])--?[^\W_][\w-]*|[\\%+/@#$][^\W\d_]+|(?<![\w.])\.\w[\w.-]*|--"
    r"|(?<=\d)\s?(?!(?:AM|PM|USD|EUR|GBP|JPY|INR|Jan|Feb|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b)"
    r"(?=[^\W\d_]*[A-Z])[^\W\d_]{1,3}\b"
)

# What it finds has one of these; most prompts have none, and this is asked in a tenth of the time.
_MAY_SPELL: Final = re.compile(r"[-\\%+/@#$\d]|\.\w")

PICTURES: Final = "\u2600-\u27bf\U0001f300-\U0001faff"  # of a class of characters
VARIATION: Final = "\ufe0f"  # says how a sign before it is to be drawn
# At the end of a prompt. Looked for where a run begins: from each of its pictures on, a long one would take very long.
_PICTURES: Final = re.compile(
    rf"(?<![\s{VARIATION}{PICTURES}])[\s{VARIATION}{PICTURES}]*[{PICTURES}]{VARIATION}?\s*$"
)
# A mark that is spoken of, or that stands for itself: ' in "split on ','", . in "what does . match".
_SPOKEN_OF: Final = re.compile(
    r"""(?:^|(?<=[\s"'`(]))[^\w\s"'`.?!]+(?=$|[\s"'`)?])|(?<=\s)[.?!'"]+(?=\s|$)"""
)
# Where there is something to calculate, these are part of it.
_CLOCK: Final = re.compile(r"(?<=\d):(?=\d\d\b)")  # 10:00 AM is 10 am; the judge reads times
_CALCULATION: Final = re.compile(r"[\d)]\s*[-+*/^=<>×÷]\s*[-\d(]|\d!|\)\(|\w'?\(|(?<!\w)-\d")
_CALCULATED: Final = re.compile(r"(?<![^\W\d_])-|-(?![^\W\d_])|[()!:;^=<>]|\B'|\d")
_PLAIN: Final = str.maketrans(
    {
        "\u2019": "'",
        "\u2018": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2212": "-",
        VARIATION: None,
    }
)
# What these find has one of those, which is asked in half of the time or less.
_MAY_BE_SPOKEN_OF: Final = re.compile(r"""(?:^|[\s"'`(])[^\w\s]""")
# Words, a blank between them, with or without a comma or an end of a sentence: nothing but what is stopped is found in
# it, and most prompts are so.
_PROSE: Final = re.compile(r"(?:(?:[A-Za-z]+(?:['-][A-Za-z]+)*|\d+(?= [a-z]+(?![A-Za-z])))[,.;:?!]?(?: |$))*")
_STOP: Final = re.compile(r"[,.;:!]")
_STOPPED: Final = re.compile(r"\b(?:no|not|don'?t|can'?t|cannot|never|stop)\s*[,.;:!]", re.IGNORECASE)


def spelled_otherwise(ours: Reading, theirs: Reading) -> str:
    """What differs, "" when nothing does."""
    if _is_decorated(ours) == _is_decorated(theirs):
        one, other = _spelling(ours), _spelling(theirs)
    else:
        one, other = (_signs_and_marks(_PICTURES.sub("", _text(each))) for each in (ours, theirs))
    (mine, our_marks), (yours, their_marks) = one, other
    if mine == yours:
        mine, yours = our_marks, their_marks
        # Prompts that are worded otherwise are also punctuated otherwise.
        if mine != yours and not alike(ours, theirs):
            return coded_otherwise(ours, theirs)
    if mine != yours:
        return f"{' '.join(mine) or 'none'} ≠ {' '.join(yours) or 'none'}"
    return quoted_otherwise(ours, theirs) or coded_otherwise(ours, theirs)


@once
def _text(reading: Reading) -> str:
    return reading.text.replace(" & ", " and ")


@once
def _is_decorated(reading: Reading) -> bool:
    return not reading.text.isascii() and _PICTURES.search(_text(reading)) is not None


@once
def _spelling(reading: Reading) -> tuple[list[str], list[str]]:
    return _signs_and_marks(_text(reading))


def _signs_and_marks(text: str) -> tuple[list[str], list[str]]:
    if _PROSE.fullmatch(text):
        return [], _stopped(text.rstrip(".?! "))
    return _signs(text), _marks(text)


def _stopped(text: str) -> list[str]:
    return list(map(str.casefold, _STOPPED.findall(text))) if _STOP.search(text) else []


def _marks(text: str) -> list[str]:
    """Punctuation that is more than how a sentence is built, in order."""
    text = text.translate(_PLAIN).strip().rstrip(".?! ")
    found: list[str] = []
    if _MAY_BE_SPOKEN_OF.search(text):
        found += _SPOKEN_OF.findall(text)
    found += _stopped(text)
    if ":" in text:
        text = _CLOCK.sub("", text)
    if any(map(str.isnumeric, text)) and _CALCULATION.search(text):
        calculated = re.sub(r"\d+", "0", "".join(_CALCULATED.findall(text)))
        if calculated.strip("0"):
            found.append(calculated)
    return found


def _signs(text: str) -> list[str]:
    """In order, pictures, operators, and the marks that are vowels and tones in many scripts, of which an encoder knows
    few. Then what counts as it is spelled, and blanks that may be meant.
    """
    return [
        *(char for char in _NO_LETTER.findall(text.replace(VARIATION, "")) if _is_sign(char)),
        *(found.strip() for found in (_SPELLED.findall(text) if _MAY_SPELL.search(text) else ())),
        *map(repr, meant_blanks(text)),
    ]


def _is_sign(char: str) -> bool:
    return char in _OPERATORS or (unicodedata.category(char)[0] in "SM" and char not in _QUANTITY_SIGNS)


def linked_otherwise(ours: Reading, theirs: Reading) -> str:
    """A content word of which both say how it stands to the rest, and say what excludes each other. One with a link in
    one of them only is no conflict: "how to reset" and "how do I reset" are one question.
    """
    mine, yours = _links(ours), _links(theirs)
    for word in (each for each in mine if each in yours):
        ours_only, theirs_only = mine[word] - yours[word], yours[word] - mine[word]
        if any(frozenset({one, other}) in _OPPOSED for one in ours_only for other in theirs_only):
            return word
    ends = [reading.low[-1:] for reading in (ours, theirs)]
    if ends[0] != ends[1] and all(_ENDINGS.issuperset(end) and end for end in ends):
        return ends[0][0]
    return ""


@once
def _links(reading: Reading) -> dict[str, set[str]]:
    """The linking words that stand before each content word."""
    links: dict[str, set[str]] = {}
    last = ""
    if _LINKS.isdisjoint(reading.low):
        return links
    for low, lemma in zip(reading.low, reading.lemmas, strict=True):
        if low in _LINKS:
            last = low
        elif low not in FUNCTION:
            if last:
                links.setdefault(lemma, set()).add(last)
            last = ""
    return links
