"""What two prompts must have letter for letter, as its signs and capitals are what is asked about: text that both
quote ("polish", "Polish"), what a prompt asks to correct, translate or word anew, and all of a prompt about
punctuation, grammar or capitals. Pure and symmetric in what it decides; called by `judge`.
"""

import re
from typing import Final

from tollway_dataplane.judgement.surface_form import (
    are_same_words,
    quoted,
    set_apart,
    set_apart_otherwise,
    shown,
    straight,
    written_otherwise,
)
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import Reading, read
from tollway_dataplane.prompts.word_forms import alike

# What is done to the text that follows a colon.
_WORKED_ON: Final = re.compile(
    r"\b(?:correct|rewrite|rephrase|reword|paraphrase|translat(?:e|ion)|proof-?read|punctuate|capitali[sz]e|edit|fix"
    r"|improve|polish|shorten|summari[sz]e|spell-?check|check|spelling|grammar|punctuation|grammatical\w*)\b",
    re.IGNORECASE,
)
_OF_LANGUAGE: Final = re.compile(
    r"\b(?:punctuat\w*|grammar|(?:un)?grammatical\w*|proof-?read\w*|capitali[sz]\w*"
    r"|capital letters?|(?:upper|lower)[- ]?case|spelling|misspell\w*|apostrophes?|commas?|hyphen\w*|semi-?colons?"
    r"|full stops?|typos?|correct (?:this|the|my|the following) (?:sentence|phrase|text|paragraph)"
    r"|(?:sentence|phrase) (?:is )?(?:written )?correct(?:ly)?)\b",
    re.IGNORECASE,
)
# What it finds has one of these, which is asked in a tenth of the time.
_STEMS: Final = (
    *(
        "punctuat",
        "gramma",
        "proof",
        "capital",
        "case",
        "spelling",
        "misspell",
        "apostrophe",
        "comma",
        "hyphen",
    ),
    *("colon", "full stop", "typo", "correct"),
)
# The rest asks how a word is spelled, which other marks than those within it say nothing of.
_OF_SENTENCES: Final = re.compile(
    r"punctuat|gramma|proof|capital|case|apostrophe|comma|hyphen|colon|stop|sentence|phrase|text|paragraph",
    re.IGNORECASE,
)
_MARKS: Final = re.compile(r"[^\w\s\"“”«»`'\u2018\u2019]|(?<=\w)['\u2019](?=\w)")


def verbatim_differs(ours: Reading, theirs: Reading) -> str:
    """What differs, "" when nothing does."""
    if ours.text == theirs.text:
        return ""
    is_of_language = speaks_of_language(ours) or speaks_of_language(theirs)
    if are_same_words(ours, theirs):
        is_all = is_of_language and not (quoted(ours) or set_apart(ours)) and _is_of_sentences(ours, theirs)
        if is_all:
            return _letters_differ(ours, theirs)
        is_worked_on = is_of_language or _WORKED_ON.search(ours.text)
        found = set_apart_otherwise(ours, theirs) if is_worked_on else ""
        return found or written_otherwise(ours, theirs)
    if difference := _quoted_otherwise(ours, theirs) or _set_apart_otherwise(ours, theirs):
        return difference
    return _marked_otherwise(ours, theirs) if is_of_language else ""


def _letters_differ(ours: Reading, theirs: Reading) -> str:
    mine, yours = (straight(each.text).strip() for each in (ours, theirs))
    return shown([mine], [yours]) if mine != yours else ""


def _quoted_otherwise(ours: Reading, theirs: Reading) -> str:
    """What only one of two prompts quotes that both quote, unless the other has the very same without marks; or that
    they quote it in another order.
    """
    mine, yours = quoted(ours), quoted(theirs)
    if not mine or not yours or mine == yours:
        return ""
    one = [each for each in mine if each not in yours and each not in theirs.text]
    other = [each for each in yours if each not in mine and each not in ours.text]
    both = [each for each in mine if each in yours], [each for each in yours if each in mine]
    if (set(mine) - set(yours) and set(yours) - set(mine)) or one or other or both[0] != both[1]:
        return shown(mine, yours)
    return ""


def _set_apart_otherwise(ours: Reading, theirs: Reading) -> str:
    """Other text that is to be worked on, be it the same words written otherwise."""
    if not set_apart(ours) or not set_apart(theirs):
        return ""
    if _WORKED_ON.search(ours.text) or _WORKED_ON.search(theirs.text):
        return set_apart_otherwise(ours, theirs)
    one, other = (read(set_apart(each)) for each in (ours, theirs))
    return set_apart_otherwise(ours, theirs) if are_same_words(one, other) else ""


@once
def speaks_of_language(reading: Reading) -> bool:
    plain = reading.plain
    return any(stem in plain for stem in _STEMS) and _OF_LANGUAGE.search(plain) is not None


def _is_of_sentences(*readings: Reading) -> bool:
    return any(_OF_SENTENCES.search(each.text) for each in readings)


def _marked_otherwise(ours: Reading, theirs: Reading) -> str:
    """Of prompts about language that are alike, other marks but at the end, or a word of both in other capitals."""
    if not alike(ours, theirs):
        return ""
    mine, yours = _marks(ours), _marks(theirs)
    if not _is_of_sentences(ours, theirs):
        mine, yours = ([mark for mark in marks if mark in "-'"] for marks in (mine, yours))
    if mine != yours:
        return shown(mine, yours)
    one, other = _capitals(ours), _capitals(theirs)
    for low in (each for each in one if each in other):
        if one[low].isdisjoint(other[low]):
            return shown(sorted(one[low]), sorted(other[low]))
    return ""


@once
def _marks(reading: Reading) -> list[str]:
    return _MARKS.findall(straight(reading.text).strip().rstrip(".?! "))


@once
def _capitals(reading: Reading) -> dict[str, set[str]]:
    """How each word is written. The first of a prompt begins a sentence, and tells nothing."""
    found: dict[str, set[str]] = {}
    for low, each in zip(reading.low[1:], reading.shown[1:], strict=True):
        found.setdefault(low, set()).add(straight(each))
    return found
