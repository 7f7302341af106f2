"""How an answer is wanted: how long, how plain, for whom. The same thing explained in one sentence and in detail, or to
a child and to an expert, is explained by two answers, though hardly a word differs. Pure; called by `framing`.
"""

import re
from typing import Final

from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.word_forms import alike

_COUNT: Final = r"(?:an?|one|two|three|four|five|six|seven|eight|ten|single|few|several|\d+)"
_UNIT: Final = r"(word|sentence|line|paragraph|page|bullet)"
_PIECES: Final = re.compile(
    rf"\bin (?:(?:just|only|about|under|around|exactly|maximum|at most|no more than|less than) )*"
    rf"(?:{_COUNT} )+(?:(?:short|long|brief|simple|concise|clear) )*{_UNIT}s?\b"
    rf"|\b{_COUNT}[- ]{_UNIT}s? (?:summary|answer|explanation|description|definition|overview|reply|response|essay)\b"
)
_SHORT: Final = re.compile(
    r"\b(?:briefly|in brief|in short|concise(?:ly)?|succinct(?:ly)?|in a nutshell|tl;?dr)\b"
)
_LONG: Final = re.compile(
    r"\bin (?:(?:great|greater|more|much|full|some|technical) )*(?:detail|depth)\b|\bin-depth\b|\bat length\b"
    r"|\bdetailed (?:summary|answer|explanation|description|definition|overview|reply|response|essay)\b"
)
_PLAIN: Final = re.compile(
    r"\bin (?:(?:very|really|more) )?(?:simple|simpler|plain|easy|everyday|layman's|laymen's|lay|non-?technical|basic)"
    r" (?:terms|words|language|english)\b|\b(?:eli5|for dummies)\b|\blike i(?:'m| am| was| were) (?:five|\d+|an? \w+)\b"
)
_TECHNICAL: Final = re.compile(
    r"\btechnically\b|\bin (?:(?:very|more) )?(?:technical|scientific|mathematical|formal|academic) "
    r"(?:terms|words|language|detail)\b|\b(?:rigorously|scientifically|mathematically|academically)\b"
)
# To whom something is explained; where that is no person, it is part of what is asked all the same.
_AUDIENCE: Final = re.compile(
    r"\b(?:explain|describe|teach|summari[sz]e|introduce|outline|present|clarify|illustrate|break down)\b.* "
    r"(?:to|for) (?:(?:an?|my|our|your|the|some|complete|total|absolute|young|small) )*"
    r"(\d+[- ]years?[- ]olds?|[a-z-]+(?: (?!with|who|in|about|without)[a-z-]+)?)\W*$"
)
_HEARERS: Final = frozenset(
    "child kid toddler teenager adult student pupil beginner novice layman layperson expert specialist professional "
    "engineer developer scientist physicist mathematician doctor lawyer executive manager audience grandmother grandma "
    "undergraduate graduate".split()
)
_MODEST: Final = frozenset({"short", "plain"})
# What the patterns find has one of these, and most prompts have none.
_OF_LENGTHS: Final = frozenset(
    "word words sentence sentences line lines paragraph paragraphs page pages bullet bullets brief briefly short "
    "concise concisely succinct succinctly nutshell tl tldr detail detailed depth length".split()
)
_OF_REGISTERS: Final = frozenset(
    "terms words language english eli dummies like technically detail rigorously scientifically mathematically "
    "academically".split()
)
_OF_HEARERS: Final = frozenset(
    "explain describe teach summarise summarize introduce outline present clarify illustrate break".split()
)
_OF_ANY: Final = _OF_LENGTHS | _OF_REGISTERS | _OF_HEARERS


def wanted_otherwise(ours: Reading, theirs: Reading) -> tuple[str, set[str], set[str]] | None:
    """What differs, and what either wants. Who wants it short or plain may not say so: only the other extreme is
    another answer. What one of them leaves open counts where the two hardly differ otherwise.
    """
    if _OF_ANY.isdisjoint(ours.plain_set) and _OF_ANY.isdisjoint(theirs.plain_set):
        return None
    for label, found in _AXES:
        mine, yours = found(ours), found(theirs)
        if mine != yours and (mine ^ yours) - _MODEST and ((mine and yours) or alike(ours, theirs)):
            return label, mine, yours
    return None


@once
def _lengths(reading: Reading) -> set[str]:
    if _OF_LENGTHS.isdisjoint(reading.plain_set):
        return set()
    pieces = {next(filter(None, units)) for units in _PIECES.findall(reading.plain)}
    return {"sentence" if piece == "line" else piece for piece in pieces} or {
        length for length, words in (("short", _SHORT), ("long", _LONG)) if words.search(reading.plain)
    }


@once
def _registers(reading: Reading) -> set[str]:
    if _OF_REGISTERS.isdisjoint(reading.plain_set):
        return set()
    return {
        name for name, words in (("plain", _PLAIN), ("technical", _TECHNICAL)) if words.search(reading.plain)
    }


@once
def _hearers(reading: Reading) -> set[str]:
    """Whom it is explained to."""
    found = None if _OF_HEARERS.isdisjoint(reading.plain_set) else _AUDIENCE.search(reading.plain)
    if found is None:
        return set()
    words = found.group(1).split()
    if words[0][0].isdigit():
        return {"child"}  # the age is a number
    return {english().lemma(word) for word in words} & _HEARERS


_AXES: Final = (
    ("lengths differ", _lengths),
    ("registers differ", _registers),
    ("audiences differ", _hearers),
)
