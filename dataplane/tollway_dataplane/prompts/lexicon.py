"""How two English words stand to each other: WordNet's relations over a small vocabulary, and the everyday groups on
top. Pure once built; `tools/make_lexicon.py` writes what it is built from.
"""

import gzip
from collections.abc import Iterable
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple, TypedDict

import orjson

from tollway_dataplane.prompts.everyday_words import IRREGULAR, OPPOSED, POLARITY, SAME

# What two words may be related by: a meaning, a form, a group. Words that have none in common are not.
Tie = str | int
RARE: Final = 32  # the rank of a word that no vocabulary holds
# How many words, and pairs of words that have to do with each other, are kept: at most twenty megabytes.
MOST_KEPT: Final = 4_000
MOST_PAIRS_KEPT: Final = 40_000
MOST_KEPT_BESIDE: Final = 500  # words whose relations to one prompt are kept
_PREFIXES: Final = ("un", "dis", "in", "im", "ir", "il", "non", "de", "mis")
_ENDINGS: Final = (
    ("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("es", "e"), ("s", ""),
    ("ied", "y"), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""), ("ier", "y"), ("iest", "y"),
    ("er", "e"), ("est", "e"), ("er", ""), ("est", ""),
)  # fmt: skip
_SHORTEST_STEM: Final = 4  # letters
_BEGINNING: Final = 6  # letters that a word and a form of it which no dictionary has begin with
_OPPOSED_TIES: Final[dict[str, set[str]]] = {}  # of a word, one for each that is opposed to it
for _pair in OPPOSED:
    _OPPOSED_TIES.setdefault(_pair[0], set()).add(" or ".join(sorted(_pair)))
_LAST_LETTERS: Final = frozenset(ending[-1] for ending, _ in _ENDINGS)
_FORMS: Final = frozenset("s es d ed ing er ers or ion ation ment ly ness".split())


class Relation(IntEnum):
    """How two words stand to each other, from what speaks most against their meaning the same to what speaks most for
    it.
    """

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
    capital: list[str]
    ranks: dict[str, int]


class Lexicon:
    def __init__(self, content: _Content) -> None:
        self._senses = content["words"]  # as they were read: sets of all would take three times as much
        self._parents = content["parents"]
        self._first_verb = content["first_verb"]
        self._opposites: dict[int, set[int]] = {}
        for one, other in content["opposites"]:
            self._opposites.setdefault(one, set()).add(other)
            self._opposites.setdefault(other, set()).add(one)
        self._families = content["families"]
        self._ranks = content["ranks"]
        self._names = frozenset(content["names"])
        self._capital = frozenset(content["capital"])
        self._lemmas: dict[str, str] = {}
        self._words: dict[str, _Word] = {}
        self._relations: dict[tuple[str, str], Relation] = {}

    def knows(self, word: str) -> bool:
        return word in self._senses or word in self._ranks

    def is_name(self, word: str) -> bool:
        """Whether a word is known as the name of a place, a person or another single thing and as nothing else."""
        return word in self._names

    def is_capital(self, word: str) -> bool:
        """Whether WordNet writes it with a capital and never without: "friday", "french", but not "turkey"."""
        return word in self._capital

    def is_verb(self, word: str) -> bool:
        """Whether it can be one. What cannot names a thing or a kind, so that another stands for another."""
        first_verb = self._first_verb
        return any(sense >= first_verb for sense in self._senses.get(word, ()))

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
        if one == other:
            return Relation.SAME
        pair = (one, other) if one < other else (other, one)
        found = self._relations.get(pair)
        if found is None:
            found = self._find_relation(one, other)
            if len(self._relations) >= MOST_PAIRS_KEPT:
                self._relations.clear()
            self._relations[pair] = found
        return found

    def ties(self, lemma: str) -> frozenset[Tie]:
        """Two lemmas that have none of these in common are UNRELATED."""
        return self._word(lemma).ties

    def kin(self, lemma: str) -> frozenset[str | int]:
        """Two lemmas have one of these in common when they are forms of one word or may mean the same. For asking a
        word of many at once; opposites may pass, since they can be forms of one word too.
        """
        groups = (f"={number}" for number in SAME.get(lemma, ()))
        return frozenset((*self._senses.get(lemma, ()), self.family(lemma), *groups))

    def _find_lemma(self, low: str) -> str:
        word = low.removesuffix("'s").removesuffix("'")
        if word in IRREGULAR:
            return IRREGULAR[word]
        for ending, instead in _ENDINGS if word[-1:] in _LAST_LETTERS else ():
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
        ours, theirs = self._word(one), self._word(other)
        if ours.family == theirs.family or (one[:1] == other[:1] and _is_extended(one, other)):
            return Relation.OPPOSITE if self._are_opposite(ours, theirs) else Relation.SAME
        if not ours.groups.isdisjoint(theirs.groups):
            return Relation.SYNONYM
        if self._are_opposite(ours, theirs):
            return Relation.OPPOSITE
        if not ours.senses.isdisjoint(theirs.senses):
            return Relation.SYNONYM
        if not ours.senses.isdisjoint(theirs.parents) or not theirs.senses.isdisjoint(ours.parents):
            return Relation.BROADER
        return Relation.UNRELATED if ours.parents.isdisjoint(theirs.parents) else Relation.SIBLING

    def _are_opposite(self, ours: "_Word", theirs: "_Word") -> bool:
        if ours.axis and ours.axis == theirs.axis and ours.side != theirs.side:
            return True
        one, other = ours.lemma, theirs.lemma
        if (one, other) in OPPOSED or (one[-1:] == other[-1:] and self._is_prefixed(one, other)):
            return True
        return not theirs.senses.isdisjoint(ours.opposites)

    def _is_prefixed(self, one: str, other: str) -> bool:
        short, long = _by_length(one, other)
        prefixed = long.endswith(short) and long[: -len(short)] in _PREFIXES
        return prefixed and len(short) >= _SHORTEST_STEM and short in self._senses

    def _word(self, lemma: str) -> "_Word":
        found = self._words.get(lemma)
        if found is None:
            found = self._look_up(lemma)
            if len(self._words) >= MOST_KEPT:
                self._words.clear()
            self._words[lemma] = found
        return found

    def _look_up(self, lemma: str) -> "_Word":
        senses = frozenset(self._senses.get(lemma, ()))
        opposites = frozenset[int]().union(*(self._opposites.get(sense, ()) for sense in senses))
        parents = frozenset[int]().union(*(self._parents[sense] for sense in senses))
        groups: frozenset[int] = SAME.get(lemma, frozenset())
        axis, side = POLARITY.get(lemma, ("", 0))
        family = self.family(lemma)
        ties: frozenset[Tie] = (senses | parents | opposites).union(
            [family, *self._stems(lemma), *_OPPOSED_TIES.get(lemma, ())],
            [f"group {number}" for number in groups],
            [f"axis {axis}"] if axis else (),
            [f"{lemma[:_BEGINNING]}..."] if len(lemma) >= _BEGINNING else (),
        )
        return _Word(lemma, family, groups, axis, side, senses, parents, opposites, ties)

    def _stems(self, lemma: str) -> list[str]:
        """A word and what it is without a prefix, as far as they are words."""
        stems = {lemma.removeprefix(prefix) for prefix in ("", *_PREFIXES)}
        return [f"...{stem}" for stem in stems if len(stem) >= _SHORTEST_STEM and stem in self._senses]


class Relatives(dict[str, dict[str, Relation]]):
    """The relations of words to some lemmas; those left out are UNRELATED. A word's are found when they are asked
    for: of the hundreds of pairs that two prompts have, hardly one in ten has to be looked at.
    """

    def __init__(self, lexicon: Lexicon, lemmas: Iterable[str]) -> None:
        self._lexicon = lexicon
        self._by_tie: dict[Tie, list[str]] = {}
        for lemma in dict.fromkeys(lemmas):
            for tie in lexicon.ties(lemma):
                self._by_tie.setdefault(tie, []).append(lemma)
        self._ties = frozenset(self._by_tie)

    def __missing__(self, word: str) -> dict[str, Relation]:
        relation, by_tie = self._lexicon.relation, self._by_tie
        found: dict[str, Relation] = {}
        for tie in self._lexicon.ties(word) & self._ties:
            for lemma in by_tie[tie]:
                if lemma not in found:
                    found[lemma] = relation(word, lemma)
        if len(self) >= MOST_KEPT_BESIDE:
            self.clear()
        self[word] = found
        return found


class _Word(NamedTuple):
    """What the relations of a lemma hang on."""

    lemma: str
    family: str
    groups: frozenset[int]  # of words that mean the same when one asks for a service
    axis: str  # on which it stands on one side; "" for most
    side: int
    senses: frozenset[int]
    parents: frozenset[int]
    opposites: frozenset[int]  # senses that exclude one of its own
    ties: frozenset[Tie]


def positives(low: str) -> frozenset[str]:
    """What a word may be the comparative or superlative of, known or not: "fast" for "faster". Lemmas do not say, since
    "faster" is an entry of its own, and what the judge has learned hangs on them.
    """
    for ending in ("er", "est"):
        stem = low.removesuffix(ending)
        if stem != low and len(stem) > 1:
            found = {stem, stem + "e"}
            if stem[-1] == "i":
                found.add(stem[:-1] + "y")
            elif stem[-1] == stem[-2]:
                found.add(stem[:-1])
            return frozenset(found)
    return frozenset()


def _is_extended(one: str, other: str) -> bool:
    """Whether one is a form of the other that no dictionary has: "troubleshooting"."""
    short, long = _by_length(one, other)
    return len(short) >= _BEGINNING and long.startswith(short) and long[len(short) :] in _FORMS


def _by_length(one: str, other: str) -> tuple[str, str]:
    return (one, other) if len(one) <= len(other) else (other, one)


@cache
def english() -> Lexicon:
    """The one that ships with the package. Reading it takes a fraction of a second, once a process."""
    packed = (files("tollway_dataplane.prompts") / "lexicon.json.gz").read_bytes()
    return Lexicon(orjson.loads(gzip.decompress(packed)))
