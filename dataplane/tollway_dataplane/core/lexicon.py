"""How two English words stand to each other: WordNet's relations over a small vocabulary, and the everyday groups on
top. Pure once built; `tools/make_lexicon.py` writes what it is built from.
"""

import gzip
import json
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Final, TypedDict

from tollway_dataplane.core.everyday_words import IRREGULAR, OPPOSED, POLARITY, SAME

RARE: Final = 32  # the rank of a word that no vocabulary holds
# How many words are kept for their relations, each with how many others: at most a hundred megabytes.
MOST_KEPT: Final = 4_000
MOST_KEPT_OF_ONE: Final = 250
_PREFIXES: Final = ("un", "dis", "in", "im", "ir", "il", "non", "de", "mis")
_ENDINGS: Final = (
    ("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("es", "e"), ("s", ""),
    ("ied", "y"), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""), ("ier", "y"), ("iest", "y"),
    ("er", "e"), ("est", "e"), ("er", ""), ("est", ""),
)  # fmt: skip

_FORMS: Final = frozenset("s es d ed ing er ers or ion ation ment ly ness".split())


class Relation(IntEnum):
    """From what speaks most against to what speaks most for two words meaning the same."""

    OPPOSITE = 0
    SIBLING = 1  # two of one kind: "Monday" and "Tuesday"
    UNRELATED = 2
    BROADER = 3  # one is a kind of the other
    SYNONYM = 4
    SAME = 5


class _Content(TypedDict):
    words: dict[str, list[int]]
    parents: list[list[int]]
    first_verb: int  # meanings from this number on are verbs
    opposites: list[list[int]]
    families: dict[str, str]
    names: list[str]
    ranks: dict[str, int]


class _Related(dict[str, Relation]):
    """The relations of one lemma; those that have been asked for are kept, up to a bound."""

    def __init__(self, lemma: str, find: Callable[[str, str], Relation]) -> None:
        self._lemma = lemma
        self._find = find

    def __missing__(self, other: str) -> Relation:
        found = self._find(self._lemma, other)
        if len(self) < MOST_KEPT_OF_ONE:
            self[other] = found
        return found


class Lexicon:
    def __init__(self, content: _Content) -> None:
        self._senses = {word: frozenset(senses) for word, senses in content["words"].items()}
        parents = content["parents"]
        self._parents = {
            word: frozenset(parent for sense in senses for parent in parents[sense])
            for word, senses in self._senses.items()
        }
        first_verb = content["first_verb"]
        self._verbs = frozenset(
            word for word, senses in self._senses.items() if any(sense >= first_verb for sense in senses)
        )
        self._opposites: dict[int, set[int]] = {}
        for one, other in content["opposites"]:
            self._opposites.setdefault(one, set()).add(other)
            self._opposites.setdefault(other, set()).add(one)
        self._families = content["families"]
        self._ranks = content["ranks"]
        self._names = frozenset(content["names"])
        self._lemmas: dict[str, str] = {}
        self._related: dict[str, dict[str, Relation]] = {}

    def knows(self, word: str) -> bool:
        return word in self._senses or word in self._ranks

    def is_name(self, word: str) -> bool:
        """Whether a word is known as the name of a place, a person or another single thing and as nothing else."""
        return word in self._names

    def is_verb(self, word: str) -> bool:
        """Whether it can be one. What cannot names a thing or a kind, so that another stands for another."""
        return word in self._verbs

    def is_ordinary(self, word: str) -> bool:
        """Whether WordNet has it. Common words that it lacks are brands and names for the most part."""
        return word in self._senses

    def rank(self, word: str) -> int:
        """How rare a word is, from 0 to RARE."""
        return self._ranks.get(word, RARE)

    def lemma(self, low: str) -> str:
        """The form under which a word in lower case is known."""
        found = self._lemmas.get(low)
        if found is None:
            found = self._find_lemma(low)
            if len(self._lemmas) < 100_000:
                self._lemmas[low] = found
        return found

    def family(self, lemma: str) -> str:
        """One word for all that are derived from each other: "deliver" for "delivery"."""
        return self._families.get(lemma, lemma)

    def relation(self, one: str, other: str) -> Relation:
        """Between two lemmas; symmetric."""
        return self.relations(one)[other]

    def relations(self, lemma: str) -> Mapping[str, Relation]:
        """Of one lemma to any other, found when asked for. For asking a word of many at once."""
        found = self._related.get(lemma)
        if found is None:
            found = _Related(lemma, self._find_relation)
            if len(self._related) < MOST_KEPT:
                self._related[lemma] = found
        return found

    def kin(self, lemma: str) -> frozenset[str | int]:
        """Two lemmas have one of these in common when they are forms of one word or may mean the same. For asking a
        word of many at once; opposites may pass, since they can be forms of one word too.
        """
        groups = (f"={number}" for number in SAME.get(lemma, ()))
        return self._senses.get(lemma, frozenset()) | {self.family(lemma), *groups}

    def _find_lemma(self, low: str) -> str:
        word = low.removesuffix("'s").removesuffix("'")
        if word in IRREGULAR:
            return IRREGULAR[word]
        for ending, instead in _ENDINGS:
            if len(word) - len(ending) >= 2 and word.endswith(ending):
                base = word[: -len(ending)] + instead
                if ending in {"er", "est"} and word in self._senses:
                    continue
                if ending == "s" and word.endswith(("ss", "us", "is")):
                    continue
                if base in self._senses:
                    return base
                if len(base) > 3 and not instead and base[-1] == base[-2] and base[:-1] in self._senses:
                    return base[:-1]
        if word not in self._senses and len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
            return word[:-1]
        return word

    def _find_relation(self, one: str, other: str) -> Relation:
        if one == other:
            return Relation.SAME
        one, other = sorted((one, other))
        if self.family(one) == self.family(other) or _is_extended(one, other):
            return Relation.OPPOSITE if self._are_opposite(one, other) else Relation.SAME
        if (groups := SAME.get(one)) and not groups.isdisjoint(SAME.get(other, ())):
            return Relation.SYNONYM
        if self._are_opposite(one, other):
            return Relation.OPPOSITE
        ours, theirs = self._senses.get(one), self._senses.get(other)
        if ours is None or theirs is None:
            return Relation.UNRELATED
        if not ours.isdisjoint(theirs):
            return Relation.SYNONYM
        our_parents, their_parents = self._parents[one], self._parents[other]
        if not ours.isdisjoint(their_parents) or not theirs.isdisjoint(our_parents):
            return Relation.BROADER
        return Relation.UNRELATED if our_parents.isdisjoint(their_parents) else Relation.SIBLING

    def _are_opposite(self, one: str, other: str) -> bool:
        ours, theirs = POLARITY.get(one), POLARITY.get(other)
        if ours and theirs and ours[0] == theirs[0] and ours[1] != theirs[1]:
            return True
        if (one, other) in OPPOSED:
            return True
        short, long = _by_length(one, other)
        prefixed = long.endswith(short) and long[: -len(short)] in _PREFIXES
        if prefixed and len(short) > 3 and short in self._senses:
            return True
        senses = self._senses.get(other)
        if not senses:
            return False
        found = (self._opposites[sense] for sense in self._senses.get(one, ()) if sense in self._opposites)
        return any(not senses.isdisjoint(opposites) for opposites in found)


def _is_extended(one: str, other: str) -> bool:
    """Whether one is a form of the other that no dictionary has: "troubleshooting"."""
    short, long = _by_length(one, other)
    return len(short) > 5 and long.startswith(short) and long[len(short) :] in _FORMS


def _by_length(one: str, other: str) -> tuple[str, str]:
    return (one, other) if len(one) <= len(other) else (other, one)


@cache
def english() -> Lexicon:
    """The one that ships with the package. Reading it takes a fraction of a second, once a process."""
    packed = (files("tollway_dataplane.core") / "lexicon.json.gz").read_bytes()
    return Lexicon(json.loads(gzip.decompress(packed)))
