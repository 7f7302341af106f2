"""How one and the same thing can be asked about: when or how, as it is or as it was, for whom above an age, of both or
of either. An encoder hardly sees these small words, and each changes the answer. Pure and symmetric in what it decides;
called by `judge`.
"""

import re
from collections.abc import Callable
from typing import Final

from tollway_dataplane.judgement.answer_style import wanted_otherwise
from tollway_dataplane.judgement.quantifiers import quantifiers_differ
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.once import once, once_of_two
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.word_forms import alike, are_forms

_LEAD: Final = re.compile(
    r"^\W*(?:(?:please|hi|hello|hey|ok|so|and|but)\W+)*(?:(?:can|could|will|would) you (?:please )?)?"
    r"(?:(?:tell|show|explain to|explain|teach) (?:me )?)?"
    r"(when|where|who|why|how)\b(?: (many|much|long|often|far|soon|fast|quickly|old|big|large|high|tall|come))?"
)
_TENSES: Final = {
    "past": re.compile(r"\b(?:was|were|did|had|wasn't|weren't|didn't|hadn't)\b"),
    "present": re.compile(r"\b(?:is|are|am|does|isn't|aren't|doesn't|currently|nowadays)\b"),
    "future": re.compile(r"\b(?:will|won't|'ll)\b"),
}
# How what is said hangs together.
_CONNECTIVES: Final = {
    "addition": re.compile(r"\b(?:and|as well as|along with|in addition to)\b"),
    "cause": re.compile(r"\bbecause\b|\b(?:due|owing|thanks) to\b"),
    "concession": re.compile(
        r"\b(?:even though|although|though|despite|in spite of|even if|regardless of)\b"
    ),
    "condition": re.compile(r"(?<!even )(?<!as )\bif\b|\bprovided that\b"),
    "exception": re.compile(r"\bunless\b"),
    "replacement": re.compile(r"\b(?:instead of|rather than)\b"),
}
_SIGNS_OF_CONNECTIVES: Final = frozenset(
    "because due owing thanks though although despite spite regardless if provided unless instead rather".split()
)
# "May I although" asks what "may I if" asks, and "unless" is a negation: of those pairs nothing is said here.
_CONNECTED_OTHERWISE: Final = frozenset(
    frozenset(pair.split())
    for pair in (
        "cause concession", "cause condition", "cause exception", "cause replacement", "concession exception",
        "concession replacement", "addition replacement",
    )
)  # fmt: skip
_OF_THE_FACT: Final = frozenset({"why", "when", "where"})
_IS_IT_SO: Final = frozenset("is are was were do does did has have had".split())
_HABIT: Final = re.compile(r"\b(?:does|doesn't)\b")
# Of words that are found by a pattern, what stands between their apostrophes: without one of these it finds nothing.
_SIGNS_OF_TENSES: Final = {
    "past": frozenset("was were did had wasn weren didn hadn".split()),
    "present": frozenset("is are am does isn aren doesn currently nowadays".split()),
    "future": frozenset("will won ll".split()),
}
_POLITE: Final = re.compile(
    r"\b(?:will|would|could|can) you\b|^\W*(?:what|how) (?:is|are) (?:the|some|ways)\b"
)
# It finds nothing without one of these.
_SIGNS_OF_POLITENESS: Final = frozenset({"you", "what", "how"})
_DIGIT: Final = re.compile(r"\d")
# Of a number: at least or at most so much.
_BOUNDS: Final = {
    bound: re.compile(rf"(?<!no )(?<!not )\b(?:{words})\s+(?:the\s+)?(?:age of\s+)?[$€£¥]?\d")
    for bound, words in {
        "more": "over|above|beyond|exceeding|past|(?:more|greater|older|longer) than|at least|minimum of",
        "less": "under|below|within|(?:less|fewer|younger|shorter) than|at most|up to|maximum of|no more than",
    }.items()
}
_TIMES: Final = {
    word: time
    for time, words in {
        "before": "before", "after": "after", "until": "until till", "during": "during while", "since": "since",
    }.items()
    for word in words.split()
}  # fmt: skip
_QUANTIFIERS: Final = re.compile(r"\b(a few|few|a little|little|either|neither|both)\b")
# Before a word: of each of its kind, or of one. How often something happens is said either way: "each day", "a day".
_BEFORE_ONE: Final = {"every": "all", "each": "all", "a": "one", "an": "one", "one": "one"}
_EACH: Final = frozenset({"every", "each"})
_SPANS: Final = frozenset(
    "second minute hour day night morning week weekend month quarter year time lot bit couple few little".split()
)
_EXCHANGE: Final = re.compile(r"\b(give|get)\b")
_ASKED: Final = re.compile(
    r"^\W*(?:please\W+)?(?:give|get)\b|\b(?:give|get) (?:me|us)\b|\bget (?=to\b|\w+ed\b)"
)
_LONG_NAME: Final = 4  # letters
Frames = tuple[tuple[str, Callable[[Reading], set[str]]], ...]


def framed_otherwise(ours: Reading, theirs: Reading) -> str:
    """What differs, "" when nothing does. How it is asked counts where the two hardly differ in what they ask about."""
    if difference := _disjoint(_FRAMES, ours, theirs):
        return difference
    asked = asked_otherwise(ours, theirs) or _whether_or_why(ours, theirs)
    if (difference := asked or _connected_otherwise(ours, theirs)) and alike(ours, theirs):
        return difference
    if (difference := _each_or_one(ours, theirs)) and alike(ours, theirs):
        return difference
    if difference := quantified_otherwise(ours, theirs):
        return difference
    if wanted := wanted_otherwise(ours, theirs):
        return _shown(*wanted)
    mine, yours = _bounds(ours), _bounds(theirs)
    if mine != yours:
        return _shown("bounds differ", mine, yours)
    mine, yours = _strangers(ours, theirs), _strangers(theirs, ours)
    return _shown("names differ", mine, yours) if mine and yours else ""


def quantified_otherwise(ours: Reading, theirs: Reading) -> str:
    """Said of more or fewer, or more or less often."""
    found = quantifiers_differ(ours, theirs)
    return _shown("quantifiers differ", *found) if found else ""


@once_of_two
def asked_otherwise(ours: Reading, theirs: Reading) -> str:
    """Another question word, another tense."""
    return _disjoint(_QUESTIONS, ours, theirs)


def _whether_or_why(ours: Reading, theirs: Reading) -> str:
    """Why it did is not whether it did, where all other words are the same."""
    for one, other in ((ours, theirs), (theirs, ours)):
        is_asked = bool(other.low) and one.low[1:] == other.low and other.low[0] in _IS_IT_SO
        if is_asked and one.low[0] in _OF_THE_FACT:
            sides = ({one.low[0]}, {"whether"})
            return _shown("what is asked for differs", *(sides if one is ours else sides[::-1]))
    return ""


def _connected_otherwise(ours: Reading, theirs: Reading) -> str:
    """Because of it is not despite it."""
    mine, yours = _connectives(ours), _connectives(theirs)
    if not mine or not yours or mine == yours:
        return ""
    for one in sorted(mine - yours):
        for other in sorted(yours - mine):
            if frozenset({one, other}) in _CONNECTED_OTHERWISE:
                return _shown("connectives differ", {one}, {other})
    return ""


def _disjoint(frames: Frames, ours: Reading, theirs: Reading) -> str:
    for label, found in frames:
        mine, yours = found(ours), found(theirs)
        if mine and yours and mine.isdisjoint(yours):
            return _shown(label, mine, yours)
    return ""


@once
def _lead(reading: Reading) -> set[str]:
    """The question word it begins with, where that is not one of how much."""
    found = _LEAD.match(reading.plain)
    if found is None:
        return set()
    word, measure = found.groups()
    if measure == "come":
        return {"why"}
    return set() if measure else {word}


@once
def _tenses(reading: Reading) -> set[str]:
    signs = reading.plain_set
    tenses = [tense for tense, words in _SIGNS_OF_TENSES.items() if not words.isdisjoint(signs)]
    if not tenses:
        return set()
    text = reading.plain if signs.isdisjoint(_SIGNS_OF_POLITENESS) else _POLITE.sub(" ", reading.plain)
    found = {tense for tense in tenses if _TENSES[tense].search(text)}
    # What takes a day will take a day.
    return found | {"future"} if "present" in found and _HABIT.search(text) else found


@once
def _connectives(reading: Reading) -> set[str]:
    if _SIGNS_OF_CONNECTIVES.isdisjoint(reading.plain_set):
        return {"addition"} if "and" in reading.plain_set else set()
    return {kind for kind, words in _CONNECTIVES.items() if words.search(reading.plain)}


@once
def _times(reading: Reading) -> set[str]:
    return {_TIMES[low] for low in _TIMES.keys() & reading.low}


def _each_or_one(ours: Reading, theirs: Reading) -> str:
    """Every file is not a file, of a word that both have."""
    if _EACH.isdisjoint(ours.plain_set) and _EACH.isdisjoint(theirs.plain_set):
        return ""
    mine, yours = _determined(ours), _determined(theirs)
    for word in (each for each in mine if each in yours):
        if mine[word] != yours[word]:
            return _shown("quantifiers differ", {mine[word]}, {yours[word]})
    return ""


@once
def _determined(reading: Reading) -> dict[str, str]:
    """How many of its kind a word stands for, by the little word right before it."""
    found: dict[str, str] = {}
    for i, low in enumerate(reading.low[:-1]):
        if low in _BEFORE_ONE and reading.lemmas[i + 1] not in _SPANS:
            found.setdefault(reading.lemmas[i + 1], _BEFORE_ONE[low])
    return found


@once
def _exchange(reading: Reading) -> set[str]:
    """Give or get, where that is no request."""
    if reading.plain_set.isdisjoint({"give", "get"}):
        return set()
    return set(_EXCHANGE.findall(_ASKED.sub(" ", reading.plain)))


@once
def _quantifiers(reading: Reading) -> set[str]:
    if reading.plain_set.isdisjoint({"few", "little", "either", "neither", "both"}):
        return set()
    return set(_QUANTIFIERS.findall(reading.plain))


@once
def _bounds(reading: Reading) -> set[str]:
    if not _DIGIT.search(reading.plain):
        return set()
    return {bound for bound, words in _BOUNDS.items() if words.search(reading.plain)}


def _strangers(of: Reading, against: Reading) -> set[str]:
    """Words that no dictionary has and the other does not have letter by letter, but for how a verb is inflected:
    semaglutide is not semaglutine.
    """
    return {
        of.lemmas[i]
        for i in _unheard_of(of)
        if of.lemmas[i] not in against.lemmas and of.low[i] not in against.low
        if of.lemmas[i] in of.names or not any(are_forms(of.low[i], low) for low in against.low)
    }


@once
def _unheard_of(reading: Reading) -> list[int]:
    is_ordinary = english().is_ordinary
    return [
        i
        for i in reading.content
        if len(reading.lemmas[i]) > _LONG_NAME
        and not is_ordinary(reading.lemmas[i])
        and reading.lemmas[i].isalpha()
    ]


_QUESTIONS: Final[Frames] = (("what is asked for differs", _lead), ("tenses differ", _tenses))
_FRAMES: Final[Frames] = (
    ("times differ", _times),
    ("quantifiers differ", _quantifiers),
    ("what is done differs", _exchange),
)


def _shown(label: str, mine: set[str], yours: set[str]) -> str:
    one, other = (", ".join(sorted(each)) or "none" for each in (mine, yours))
    return f"{label}: {one} ≠ {other}"
