"""Of how many of its kind something is said, how often and how much so: all, most, a few; always, rarely; slightly. An
encoder hardly tells these apart, and each asks for another answer. Pure and symmetric in what it decides; called by
`framing`.
"""

import re
from typing import Final

from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.word_forms import MOST_APART, alike, without_like

# Patterns of words; the first that fits counts.
_PHRASES: Final = (
    # what only looks like one
    ("none", r"(?:how|so|as) (?:many|much|often|few|frequently)|the few|few more|more than one|one's"),
    ("none", r"too (?:often|few|frequently)"),
    ("none", r"(?:first|after|above|best|at) (?:of )?all|all (?:right|time)|all over"),
    ("none", r"(?:can|do|does|could|should|would) one(?! of)"),
    ("none", r"at most|the most|(?:many|lots of|no|any) thanks|thanks a lot|ever since|any more|anymore|any longer"),
    ("none", r"(?:every|each) few (?:hour|day|night|week|weekend|month|year)s?"),
    ("enough", r"enough"),
    ("excess", r"too (?:much|many)"),
    # how far
    ("largely", r"(?:almost|nearly) (?:completely|entirely|wholly|fully|totally)|largely|mainly|for the most part"),
    ("completely", r"completely|entirely|wholly|fully|totally|altogether"),
    ("partly", r"partly|partially|in part|to some extent"),
    # how often
    ("alternately", r"(?:every|each) (?:other|second) (?:hour|day|night|morning|evening|week|weekend|month|year)"),
    ("regularly", r"(?:every|each) (?:single )?(?:hour|day|night|morning|evening|week|weekend|month|year)"),
    ("regularly", r"hourly|daily|nightly|weekly|monthly|yearly"),
    ("usually", r"(?:almost|nearly) always|most of the time|most times|usually|generally|normally|typically|mostly"),
    ("always", r"always|all the time|(?:every|each) (?:single )?time|constantly|invariably"),
    ("rarely", r"(?:hardly|scarcely|barely) ever|almost never|rarely|seldom"),
    ("often", r"often|frequently|a lot of the time|many times"),
    ("sometimes", r"sometimes|occasionally|(?:every )?now and (?:then|again)|from time to time|at times"),
    ("sometimes", r"(?:every )?once in a while"),
    ("never", r"never"),
    ("ever", r"ever"),
    # how many
    ("most", r"(?:almost|nearly) (?:all|every|everyone|everybody|everything)|(?:a|the) (?:\w+ )?majority of|most"),
    ("many", r"quite a few|a (?:lot|large number|great number) of|lots of|plenty of|numerous|many"),
    ("half", r"half (?=of\b|the\b|my\b|our\b|your\b|his\b|her\b|their\b|these\b|those\b|all\b)"),
    ("few", r"(?:hardly|scarcely|barely) any|almost (?:no|none)|(?:only a|very|just a) few|few"),
    ("some", r"a few|a couple of|several|some"),
    ("single", r"(?:a|one) single(?! (?:day|week|month|year))|(?:just|only|exactly) one"),
    ("single", r"one of (?=the\b|my\b|our\b|your\b|these\b|those\b)"),
    ("one", r"one"),
    ("others", r"(?:every|all)(?: (?:of )?(?:the|my|our|your))? other"),
    ("others", r"every second(?= \w)(?! (?:of|and|i|we|you)\b)"),
    ("all", r"all|every|each|everyone|everybody|everything"),
    ("any", r"any"),
    ("both", r"both"),
    ("either", r"either of"),
    # how much so
    ("slightly", r"a (?:little|tiny|wee )?bit|a little|a touch|slightly|somewhat|mildly|moderately|marginally"),
    ("very", r"very|extremely|severely|badly|seriously|highly|heavily|incredibly|terribly|awfully|hugely|massively"),
    ("nearly", r"almost|nearly"),
    ("too", r"too"),
)  # fmt: skip
_PATTERN: Final = re.compile(
    "(?:" + "|".join(rf"(?P<{extent}_{i}>{words})" for i, (extent, words) in enumerate(_PHRASES)) + r")\b"
)
# It finds something where one of these stands, or behind one of those.
_SIGNS: Final = frozenset(
    "always usually generally normally typically mostly constantly invariably ever never rarely seldom often "
    "frequently times time sometimes occasionally now while all most every each everyone everybody everything "
    "once enough too majority few lot number lots plenty numerous many half any couple several some single one both "
    "either largely mainly part completely entirely wholly fully totally altogether partly partially extent hourly "
    "daily nightly weekly monthly yearly "
    "little bit touch slightly somewhat mildly moderately marginally very extremely "
    "severely badly seriously highly heavily incredibly terribly awfully hugely massively almost nearly".split()
)
_FIRST: Final = _SIGNS | frozenset(
    "how too so as the first after above best at no thanks one's can do does could should would almost nearly hardly "
    "scarcely barely quite a from only very just exactly for in to".split()
)
_OFTEN: Final = frozenset("usually always rarely often sometimes never ever regularly alternately".split())
# "Mostly" is so for the most part, or most of the time.
_HOW_FAR: Final = frozenset("completely largely partly usually".split())
_OF_DEGREE: Final = frozenset("slightly very nearly too".split())
_HOW_MUCH: Final = _OF_DEGREE | {"enough", "many"}
# One is as good as the other; the first two in questions alone.
_IF_ASKED: Final = frozenset({frozenset({"some", "any"}), frozenset({"either", "any"})})
_INTERCHANGED: Final = frozenset(
    frozenset(pair.split())
    for pair in (
        "one any",
        "one either",
        "one single",
        "sometimes ever",
        "usually often",
        "usually largely",
        "regularly usually",
        "regularly often",
        "regularly always",
        "regularly ever",
        "very many",
        "very too",
    )
)
# These narrow what is said, whatever is asked; and those the answer to whether it is so.
_NARROWING: Final = frozenset("few half rarely partly nearly".split())
_WEIGHING: Final = frozenset("all most many always often both".split())
_WHETHER: Final = re.compile(r"^\W*(?:is|are|was|were|do|does|did|has|have|will)\b")
"""The sentence is a question that yes or no answers."""


def quantifiers_differ(ours: Reading, theirs: Reading) -> tuple[set[str], set[str]] | None:
    """What each of two prompts that are otherwise alike says of how many or how often, where that differs."""
    mine, yours = _quantifiers(ours), _quantifiers(theirs)
    if mine == yours or not _are_alike(ours, theirs):
        return None
    how_many = (mine | yours) - _OFTEN - _HOW_FAR - _OF_DEGREE
    for kind in (_OFTEN, _HOW_FAR, how_many, _HOW_MUCH):
        one, other = set(mine & kind), set(yours & kind)
        if one and other:
            if one.isdisjoint(other) and not _are_interchanged(one, other, ours, theirs):
                return one, other
        elif (one or other) and _weighs(one or other, ours, theirs):
            return one, other
    return None


def _are_alike(ours: Reading, theirs: Reading) -> bool:
    """Whether they are but for the words that say how many: "majority" is one that carries something by itself."""
    if alike(ours, theirs):
        return True
    left = [
        *(ours.low[i] for i in without_like(ours, theirs)),
        *(theirs.low[i] for i in without_like(theirs, ours)),
    ]
    return len([low for low in left if low not in _SIGNS]) <= MOST_APART


def _are_interchanged(one: set[str], other: set[str], ours: Reading, theirs: Reading) -> bool:
    may_be = _INTERCHANGED | _IF_ASKED if ours.question and theirs.question else _INTERCHANGED
    return any(frozenset({a, b}) in may_be for a in one for b in other)


def _weighs(extents: set[str], ours: Reading, theirs: Reading) -> bool:
    """Whether what only one of them says makes it another question."""
    if not extents.isdisjoint(_NARROWING):
        return True
    return not extents.isdisjoint(_WEIGHING) and all(_WHETHER.match(each.plain) for each in (ours, theirs))


@once
def _quantifiers(reading: Reading) -> frozenset[str]:
    if reading.plain_set.isdisjoint(_SIGNS):
        return frozenset()
    text = " ".join(reading.low)
    found = set()
    at = end = 0
    for low in reading.low:
        if at >= end and low in _FIRST and (match := _PATTERN.match(text, at)):
            found.add(str(match.lastgroup).partition("_")[0])
            end = match.end()
        at += len(low) + 1
    return frozenset(found) - {"none"}
