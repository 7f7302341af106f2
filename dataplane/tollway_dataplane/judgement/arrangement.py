"""What prompts of the same words may still differ in: who does what to whom, and how a word is meant to be done. Words
that are left over are many in short prompts and few in long ones, where they weigh little with the learned part, so
there they are refused here. Pure and symmetric in what it decides; called by `judge`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.lexicon import Relation, english
from tollway_dataplane.prompts.once import once, once_of_two
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.word_forms import without_like

# Between two words these let them be exchanged: "cats and dogs".
_JOINERS: Final = frozenset({"and", "or", "vs", "versus", "between"})
# What is said with one of these in one prompt and without in the other may have its words in another order: "symptoms
# of flu", "flu symptoms".
_TURNERS: Final = frozenset("of by for in on at from to with about".split())
_ACTED_ON: Final = frozenset({"me", "us", "him", "them"})
_ARTICLES: Final = frozenset({"a", "an", "the"})
# What stands on either side of one of these may not change sides: "sand, then paint", "the buyer, not the seller".
_ORDERING: Final = frozenset("then not before after first next later instead rather over".split())
# What only says which part somebody plays: "you go before me", "I go before you".
_IN_ANY_PART: Final = {
    form: word
    for word, forms in {
        "i": "me", "we": "us", "he": "him", "she": "her", "they": "them", "go": "goes", "do": "does", "have": "has",
        "be": "am is are was were",
    }.items()
    for form in forms.split()
}  # fmt: skip
_LONG: Final = 9  # content words
_FEW_LEFT: Final = 4
# What is asked to be done with the rest, in words that hardly change the answer.
_REQUESTS: Final = frozenset(
    "list name provide give offer create make write generate develop outline describe explain explanation detail "
    "details suggest recommend recommendation tell show share identify state ensure ask need want help like following "
    "way step process set current currently based use using include present craft compose draft prepare produce".split()
)
_POLITE: Final = re.compile(
    r"\b(?:(?:can|could|will|would) you(?: please)?|please|i(?:'d| would)? (?:like|want|need) (?:you )?to"
    r"|(?:tell|give|show|help|let) me|do you know)\b"
)
# It finds nothing without one of these.
_SIGNS_OF_POLITENESS: Final = frozenset("you please like want need me".split())
_HAVE_TO: Final = re.compile(
    r"\b(?:have|has|need|needs) to\b|\b(?:am|is|are|was|were) (?:\w+ ){1,3}(?:required|obliged|obligated) to\b"
)
_ALLOWED_TO: Final = re.compile(r"\b(?:allowed|permitted) to\b")
# What is asked for is a way, whether one can go it or should: "how can I", "what should be done".
_FOR_MEANS: Final = re.compile(
    r"\bhow (?:can|could|should|shall|might|must) (?=(?:i|we|you|one|people)\b)"
    r"|\bwhat (?:can|could|should|shall|might|must) (?=(?:i|we|you|one|people) do\b|be done\b)"
)
_WORDS: Final = re.compile(r"[a-z]+")
_PERSON: Final = {
    word: person
    for person, words in {
        "i": "i me my mine myself we us our ours",
        "you": "you your yours",
        "he": "he him his",
        "she": "she her hers",
        "they": "they them their theirs",
    }.items()
    for word in words.split()
}
_MODES: Final = {
    word: mode
    for mode, words in {
        "may": "can could may might cannot",
        "must": "must should shall ought",
    }.items()
    for word in words.split()
}


@once_of_two
def exchanged(ours: Reading, theirs: Reading) -> tuple[str, str] | None:
    """Two words that both prompts have, in another order, where nothing else differs that would explain it."""
    is_ordered = not _ORDERING.isdisjoint(ours.low) and not _ORDERING.isdisjoint(theirs.low)
    if is_ordered and (pair := _exchanged_in_order(ours, theirs)):
        return pair
    places = _places(ours, ours.content, theirs, theirs.content)
    turned = _turned(places)
    if not turned or _turners(ours) != _turners(theirs):
        return None
    if is_ordered and (pair := _across_order(ours, ours.content, theirs, places)):
        return pair
    if _JOINERS & set(ours.low) and _JOINERS & set(theirs.low):
        return None
    if ("," in ours.text or "," in theirs.text) and _is_rotated(places):
        return None  # "In the shower, why is …"
    # "I owe my brother money", "my brother owes me money".
    decided = sorted(ours.lemmas) == sorted(theirs.lemmas) or _acted_on(ours) != _acted_on(theirs)
    for k, m in turned:
        apart = _between(ours, ours.content[k], ours.content[m])
        if decided or apart == _between(theirs, places[m], places[k]):
            return ours.low[ours.content[k]], ours.low[ours.content[m]]
    return None


def _places(ours: Reading, mine: Sequence[int], theirs: Reading, yours: Sequence[int]) -> list[int]:
    """Where the other prompt has each of these words; nothing unless it has all of them and no other."""
    if len(mine) != len(yours):
        return []
    left = dict.fromkeys(yours)
    places = []
    for i in mine:
        place = next((j for j in left if _same(ours, i, theirs, j)), None)
        if place is None:
            return []
        del left[place]
        places.append(place)
    return places


def _turned(places: Sequence[int]) -> list[tuple[int, int]]:
    return [(k, m) for k in range(len(places)) for m in range(k + 1, len(places)) if places[k] > places[m]]


def _exchanged_in_order(ours: Reading, theirs: Reading) -> tuple[str, str] | None:
    """The same of little words as well, where all words are the same: "you go before Sam", "left, then right"."""
    mine, yours = (
        [i for i, low in enumerate(each.low) if low not in _ARTICLES and low not in _ORDERING]
        for each in (ours, theirs)
    )
    if sorted(_in_any_part(ours, i) for i in mine) != sorted(_in_any_part(theirs, j) for j in yours):
        return None
    return _across_order(ours, mine, theirs, _places(ours, mine, theirs, yours))


def _across_order(
    ours: Reading, mine: Sequence[int], theirs: Reading, places: Sequence[int]
) -> tuple[str, str] | None:
    """Two words that are exchanged across a word of order or contrast. One that moves with its clause stands between
    them in one of the prompts alone: "before I leave, do I pay?".
    """
    for k, m in _turned(places):
        one, other = ours.low[mine[k] + 1 : mine[m]], theirs.low[places[m] + 1 : places[k]]
        if not _ORDERING.isdisjoint(set(one) & set(other)):
            return ours.low[mine[k]], ours.low[mine[m]]
    return None


@once
def _acted_on(reading: Reading) -> frozenset[str]:
    return _ACTED_ON.intersection(_words_without_politeness(reading))


def _between(reading: Reading, first: int, last: int) -> tuple[str, ...]:
    """What stands between two words, articles left out. Where that is the same, two that are exchanged have changed
    parts: "is A faster than B". In "I lost my card" and "my card got lost" it is not.
    """
    return tuple(lemma for lemma in reading.lemmas[first + 1 : last] if lemma not in _ARTICLES)


def left_over(ours: Reading, theirs: Reading) -> list[str]:
    """The words of two long prompts that have none like them in the other, where they are few beside those that have.
    Many such words weigh enough with the learned part, which is to judge them.
    """
    longest = max(len(ours.content), len(theirs.content))
    if longest < _LONG:
        return []
    left = [*_without_like(ours, theirs), *_without_like(theirs, ours)]
    return left if len(left) <= max(_FEW_LEFT, longest / 3) else []


@once_of_two
def persons_differ(ours: Reading, theirs: Reading) -> tuple[str, str] | None:
    """The persons of each prompt where they are others altogether, or the same in another order; None otherwise, and
    where one of the prompts names nobody, who may be anybody.
    """
    mine, yours = _persons(ours), _persons(theirs)
    if mine == yours or not mine or not yours:
        return None
    if set(mine).isdisjoint(yours) or (sorted(mine) == sorted(yours) and len(set(mine)) > 1):
        return " ".join(mine), " ".join(yours)
    return None


@once
def _persons(reading: Reading) -> list[str]:
    """Who is spoken of, in order."""
    found = [_PERSON[word] for word in _words_without_politeness(reading) if word in _PERSON]
    return [person for i, person in enumerate(found) if not i or found[i - 1] != person]


@once
def modes(reading: Reading) -> set[str]:
    """Whether something may be done, or must."""
    found = {_MODES[word] for word in _words_without_politeness(reading) if word in _MODES}
    if "to" in reading.plain_set:
        text = _without_politeness(reading)
        found |= {mode for mode, told in (("must", _HAVE_TO), ("may", _ALLOWED_TO)) if told.search(text)}
    return found


def modes_beside_means(ours: Reading, theirs: Reading) -> tuple[set[str], set[str]]:
    """The same of two prompts, where both ask for a way without that question's own."""
    mine, yours = _modes_without_means(ours), _modes_without_means(theirs)
    return (modes(ours), modes(theirs)) if mine is None or yours is None else (mine, yours)


@once
def _modes_without_means(reading: Reading) -> set[str] | None:
    """None where no way is asked for."""
    if not modes(reading) or _FOR_MEANS.search(reading.plain) is None:
        return None
    rest = _FOR_MEANS.sub(" ", _without_politeness(reading))
    left = {_MODES[word] for word in _WORDS.findall(rest) if word in _MODES}
    return left | {"must"} if _HAVE_TO.search(rest) else left


@once
def _without_politeness(reading: Reading) -> str:
    if _SIGNS_OF_POLITENESS.isdisjoint(reading.plain_set):
        return reading.plain
    return _POLITE.sub(" ", reading.plain)


@once
def _words_without_politeness(reading: Reading) -> list[str]:
    text = _without_politeness(reading)
    return reading.plain_words if text == reading.plain else _WORDS.findall(text)


def _without_like(of: Reading, against: Reading) -> list[str]:
    return [
        of.low[i]
        for i in without_like(of, against)
        if of.lemmas[i] not in _REQUESTS and of.low[i] not in FUNCTION
    ]


def _in_any_part(reading: Reading, i: int) -> str:
    return _IN_ANY_PART.get(reading.low[i]) or reading.lemmas[i]


def _same(ours: Reading, i: int, theirs: Reading, j: int) -> bool:
    return (
        _in_any_part(ours, i) == _in_any_part(theirs, j)
        or english().relation(ours.lemmas[i], theirs.lemmas[j]) >= Relation.SYNONYM
    )


def _is_rotated(places: list[int]) -> bool:
    return sum(one > other for one, other in pairwise([*places, places[0]])) == 1


@once
def _turners(reading: Reading) -> Counter[str]:
    return Counter(
        "'s" if low.endswith("'s") else low for low in reading.low if low in _TURNERS or low.endswith("'s")
    )
