"""What is said in some turns of a chat, for asking whether another says it too: numbers, dates, names, and the words
that carry something. Pure; called by what compares chats.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Final

from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.pleasantries import is_polite
from tollway_dataplane.prompts.quantities import Quantity, is_quantity_word
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.self_contained import LIGHT

_SENTENCE: Final = re.compile(r"(?<=[.?!])\s+|\n")
_SHOWN: Final = 4
_MATTERS: Final = 6
_LEADING: Final = frozenset("oh and please also ok okay so now then but just ah hi hello hey sorry".split())
_OBJECTS: Final = frozenset(
    "a an the my mine me it us our your that this these those them him her one two three".split()
)
# "Half term", "half past".
_NO_AMOUNTS: Final = frozenset({"half"})


class ChatContent:
    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = list(readings)

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(word for each in self._readings for word in (*each.low, *each.lemmas))

    @cached_property
    def _content(self) -> frozenset[str]:
        return frozenset(each.lemmas[i] for each in self._readings for i in each.content)

    @cached_property
    def _kin(self) -> frozenset[str | int]:
        kin = english().kin
        return frozenset[str | int]().union(*map(kin, self._content))

    @cached_property
    def _quantities(self) -> list[Quantity]:
        return [quantity for each in self._readings for quantity in each.quantities]

    @cached_property
    def _dates(self) -> frozenset[str]:
        return frozenset[str]().union(*(each.calendar for each in self._readings))

    @cached_property
    def families(self) -> frozenset[str]:
        return frozenset(map(english().family, self._content))

    def has(self, lemma: str) -> bool:
        """In these or in other words."""
        return lemma in self._words or not self._kin.isdisjoint(english().kin(lemma))

    def has_quantity(self, quantity: Quantity) -> bool:
        return any(quantity.agrees(other) for other in self._quantities)

    def lacks(self, reading: Reading) -> dict[str, list[str]]:
        """The facts of a text that are not said here, by their kind; an amount's kind is its unit."""
        found: dict[str, list[str]] = {}
        for quantity in reading.quantities:
            if quantity.text not in _NO_AMOUNTS and not self.has_quantity(quantity):
                found.setdefault(f"number {quantity.unit}", []).append(quantity.text)
        found["date"] = sorted(reading.calendar - self._dates)
        named = {
            "code": reading.codes,
            "name": frozenset(
                name
                for name in reading.names - reading.codes - reading.calendar
                if name.partition("'")[0] not in FUNCTION  # "I'll"
            ),
            "quoted": frozenset(word for phrase in reading.quoted for word in phrase.split()) - FUNCTION,
        }
        for kind, words in named.items():
            found[kind] = sorted(word for word in words if not self.has(word))
        return {kind: facts for kind, facts in found.items() if facts}

    def knows(self, reading: Reading) -> bool:
        """Whether all words of a text are among these."""
        return self._words.issuperset(reading.low)

    def share_of(self, readings: Sequence[Reading]) -> float:
        """The share of what these texts say that is said here too, in whatever words; 1 when they say nothing."""
        words = {
            each.lemmas[i]
            for each in readings
            for i in each.content
            if each.lemmas[i] not in LIGHT and not is_polite(each.low[i])
        }
        quantities = [quantity for each in readings for quantity in each.quantities]
        if not words and not quantities:
            return 1.0
        found = sum(map(self.has, words)) + sum(map(self.has_quantity, quantities))
        return found / (len(words) + len(quantities))


def matters_of(readings: Iterable[Reading]) -> list[str]:
    """The few rarest words of what users say, names first, each in the form that stands for its family. Chats about the
    same thing have one of them in common, so that one is found among thousands that end in the same words.
    """
    lexicon = english()
    found: dict[str, tuple[bool, int, str]] = {}
    for reading in readings:
        for lemma in (reading.lemmas[i] for i in reading.content):
            family = lexicon.family(lemma)
            named = lemma in reading.names or not lexicon.is_ordinary(lemma)
            found[family] = max(found.get(family, (False, 0, family)), (named, lexicon.rank(lemma), family))
    return sorted(found, key=found.__getitem__, reverse=True)[:_MATTERS]


def share_found(words: Collection[str], said: ChatContent) -> float:
    return sum(map(said.has, words)) / len(words)


def words_of(reading: Reading) -> frozenset[int]:
    """Places of the words that carry something: content, numbers, dates and codes."""
    numbers = (
        i
        for i, low in enumerate(reading.low)
        if (is_quantity_word(low) and low not in FUNCTION)
        or low in reading.calendar
        or any(map(str.isdigit, low))
    )
    return frozenset((*reading.content, *numbers))


def sentences_in(text: str) -> list[str]:
    return _SENTENCE.split(text)


def is_order(reading: Reading) -> bool:
    """Whether a sentence says what is to be done: "add a child", "oh, and make mine without meat"."""
    begins = next((i for i, low in enumerate(reading.low) if low not in _LEADING), None)
    if begins is None or begins + 1 >= len(reading.low):
        return False
    low = reading.low[begins]
    is_base = low == reading.lemmas[begins] and english().is_verb(low) and low not in FUNCTION
    return is_base and reading.low[begins + 1] in _OBJECTS


def exchanged_facts(
    sides: tuple[Sequence[Reading], Sequence[Reading]],
    said: tuple[ChatContent, ChatContent],
    *,
    any_kind: bool,
) -> str:
    """Facts that each side has and the other chat lacks: 500 ≠ 900. What only one side has more is no exchange. Of one
    kind with each other, or of any.
    """
    lacking: list[dict[str, list[str]]] = [{}, {}]
    for side, other, found in zip(sides, said[::-1], lacking, strict=True):
        for reading in side:
            for kind, facts in other.lacks(reading).items():
                found.setdefault(kind, []).extend(facts)
    mine, yours = lacking
    kinds = mine.keys() & yours.keys()
    if not any_kind:
        mine, yours = ({kind: each[kind] for kind in sorted(kinds)} for each in (mine, yours))
    if not mine or not yours:
        return ""
    return f"{_listed(mine)} ≠ {_listed(yours)}"


def _listed(facts: dict[str, list[str]]) -> str:
    every = dict.fromkeys(fact for each in facts.values() for fact in each)
    return ", ".join(list(every)[:_SHOWN])
