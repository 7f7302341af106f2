"""What two prompts must have letter for letter, as its signs and capitals are what is asked about: text that both
quote ("polish", "Polish"), what a prompt asks to correct, translate or word anew, and all of a prompt about
punctuation, grammar or capitals. Pure and symmetric in what it decides; called by `judge`.
"""

import re
from collections.abc import Iterable
from typing import Final

from tollway_dataplane.core.likeness import alike
from tollway_dataplane.core.once import once
from tollway_dataplane.core.reading import Reading

_MAY_QUOTE: Final = re.compile(r"[\"“”«»`'\u2018\u2019]")
# Between ' there may be apostrophes, and an apostrophe opens nothing: 'you're welcome', "the dogs' bowls".
_QUOTED: Final = re.compile(
    r"[\"“”«»`]([^\"“”«»`]{1,300})[\"“”«»`]|(?<!\w)['\u2018]((?:[^'\u2018\u2019]|(?<=\w)['\u2019](?=\w)){1,300})['\u2019](?!\w)"
)
# What is done to the text that follows a colon.
_WORKED_ON: Final = re.compile(
    r"\b(?:correct|rewrite|rephrase|reword|paraphrase|translat(?:e|ion)|proof-?read|punctuate|capitali[sz]e|edit|fix"
    r"|improve|polish|shorten|summari[sz]e|spell-?check|check|spelling|grammar|punctuation|grammatical\w*)\b",
    re.IGNORECASE,
)
_BEHIND_COLON: Final = re.compile(r"(?<!\d):(?!//)\s*(\S.*)", re.DOTALL)
_OF_LANGUAGE: Final = re.compile(
    r"\b(?:punctuat\w*|grammar|(?:un)?grammatical\w*|proof-?read\w*|capitali[sz]\w*"
    r"|capital letters?|(?:upper|lower)[- ]?case|spelling|misspell\w*|apostrophes?|commas?|hyphen\w*|semi-?colons?"
    r"|full stops?|typos?|correct (?:this|the|my|the following) (?:sentence|phrase|text|paragraph)"
    r"|(?:sentence|phrase) (?:is )?(?:written )?correct(?:ly)?)\b",
    re.IGNORECASE,
)
# The rest asks how a word is spelled, which other marks than those within it say nothing of.
_OF_SENTENCES: Final = re.compile(
    r"punctuat|gramma|proof|capital|case|apostrophe|comma|hyphen|colon|stop|sentence|phrase|text|paragraph",
    re.IGNORECASE,
)
_SET_WITHIN: Final = re.compile(r"(?<=\w)[,.]\s*$")
_SAYING: Final = 3  # words
_MARKS: Final = re.compile(r"[^\w\s\"“”«»`'\u2018\u2019]|(?<=\w)['\u2019](?=\w)")
_STRAIGHT: Final = str.maketrans({"\u2018": "'", "\u2019": "'", "\u2013": "-", "\u2014": "-"})


def verbatim_differs(ours: Reading, theirs: Reading) -> str:
    """What differs, "" when nothing does."""
    if ours.text == theirs.text:
        return ""
    if difference := _quoted_otherwise(ours, theirs) or _worked_on_otherwise(ours, theirs):
        return difference
    is_of_language = _speaks_of_language(ours) or _speaks_of_language(theirs)
    return _written_otherwise(ours, theirs) if is_of_language else ""


def _quoted_otherwise(ours: Reading, theirs: Reading) -> str:
    """What only one of two prompts quotes that both quote, unless the other has the very same without marks."""
    mine, yours = _quoted(ours), _quoted(theirs)
    if not mine or not yours or mine == yours:
        return ""
    one, other = sorted(mine - yours), sorted(yours - mine)
    if not (one and other):
        one = [each for each in one if each not in theirs.text]
        other = [each for each in other if each not in ours.text]
    return _shown(one, other) if one or other else ""


@once
def _quoted(reading: Reading) -> frozenset[str]:
    """What stands between quotation marks, as it is written; which marks says nothing here, nor a comma or a stop that
    was set within them. A saying of three words or more begins with a capital as sentences do.
    """
    if _MAY_QUOTE.search(reading.text) is None:
        return frozenset()
    found = (match[1] or match[2] for match in _QUOTED.finditer(reading.text))
    texts = [_SET_WITHIN.sub("", each.translate(_STRAIGHT)).split() for each in found]
    return frozenset(
        " ".join([words[0][0].lower() + words[0][1:], *words[1:]] if len(words) >= _SAYING else words)
        for words in texts
        if words
    )


@once
def _worked_on(reading: Reading) -> str:
    """The text behind a colon that is to be corrected, translated or worded anew."""
    found = _BEHIND_COLON.search(reading.text) if ":" in reading.text else None
    if found is None or _WORKED_ON.search(reading.text, 0, found.start()) is None:
        return ""
    return " ".join(found[1].translate(_STRAIGHT).split()).strip("\"“”«»`' ")


def _worked_on_otherwise(ours: Reading, theirs: Reading) -> str:
    mine, yours = _worked_on(ours), _worked_on(theirs)
    return _shown([mine], [yours]) if mine and yours and mine != yours else ""


@once
def _speaks_of_language(reading: Reading) -> bool:
    return _OF_LANGUAGE.search(reading.text) is not None


def _written_otherwise(ours: Reading, theirs: Reading) -> str:
    """Of prompts about language that are alike, other marks but at the end, or a word of both in other capitals."""
    if not alike(ours, theirs):
        return ""
    mine, yours = _marks(ours), _marks(theirs)
    if not (_OF_SENTENCES.search(ours.text) or _OF_SENTENCES.search(theirs.text)):
        mine, yours = ([mark for mark in marks if mark in "-'"] for marks in (mine, yours))
    if mine != yours:
        return _shown(mine, yours)
    one, other = _capitals(ours), _capitals(theirs)
    for low in (each for each in one if each in other):
        if one[low].isdisjoint(other[low]):
            return _shown(sorted(one[low]), sorted(other[low]))
    return ""


@once
def _marks(reading: Reading) -> list[str]:
    return _MARKS.findall(reading.text.translate(_STRAIGHT).strip().rstrip(".?! "))


@once
def _capitals(reading: Reading) -> dict[str, set[str]]:
    """How each word is written. The first of a prompt begins a sentence, and tells nothing."""
    found: dict[str, set[str]] = {}
    for low, shown in zip(reading.low[1:], reading.shown[1:], strict=True):
        found.setdefault(low, set()).add(shown.translate(_STRAIGHT))
    return found


def _shown(mine: Iterable[str], yours: Iterable[str]) -> str:
    return f"{' '.join(mine) or 'none'} ≠ {' '.join(yours) or 'none'}"
