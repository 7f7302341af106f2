"""Which words of one prompt have their like in another: the same, a form of it, a slip of the keyboard. Pure; called by
what compares prompts.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from tollway_dataplane.prompts.lexicon import Relation, Relatives, english
from tollway_dataplane.prompts.once import once, once_both_ways, once_of_two
from tollway_dataplane.prompts.reading import MOST_WORDS_KEPT, Reading

# Of both prompts together: with more words apart than this, they say things in words of their own.
MOST_APART: Final = 2
# What a word that no dictionary has may end in, and how it may be spelled.
_INFLECTIONS: Final = ("", "e", "s", "es", "ed", "ing", "ion", "ation")
_BRITISH: Final = re.compile(r"is(?=(?:e[ds]?|ing|ations?)$)")
_SHORTEST_STEM: Final = 5  # letters
# A member of an enumeration that is asked of it each time takes as long as what is done with it.
_SYNONYM: Final = Relation.SYNONYM
_UNRELATED: Final = Relation.UNRELATED
Relations = Mapping[str, Mapping[str, Relation]]


@once_of_two
def alike(ours: Reading, theirs: Reading) -> bool:
    """Whether hardly a content word of either is without its like. Then the little words are all that may tell the two
    apart; in prompts worded in another way they come and go with the wording.
    """
    return len(without_like(ours, theirs)) + len(without_like(theirs, ours)) <= MOST_APART


@once_both_ways
def related(ours: Reading, theirs: Reading) -> tuple[Relations, Relations]:
    """The relations of each lemma of one prompt to those of the other, both ways round; those left out are
    unrelated.
    """
    relatives = _relatives(ours.lemmas)
    columns = {lemma: relatives[lemma] for lemma in theirs.lemmas}
    rows: dict[str, dict[str, Relation]] = {lemma: {} for lemma in ours.lemmas}
    for other, column in columns.items():
        for lemma, relation in column.items():
            rows[lemma][other] = relation
    return rows, columns


@lru_cache(maxsize=64)
def _relatives(lemmas: tuple[str, ...]) -> Relatives:
    """Kept for a while: the caller's prompt comes again with each candidate, and candidates have words in common."""
    return Relatives(english(), lemmas)


@once_of_two
def without_like(of: Reading, against: Reading) -> list[int]:
    """Places of the content words that the other prompt has in no form and by no other name."""
    relations, lemmas, low, others = related(of, against), of.lemmas, of.low, against.low
    left = [
        i
        for i in of.content
        if max(relations[lemmas[i]].values(), default=_UNRELATED) < _SYNONYM and low[i] not in others
    ]
    # A slip makes no word of a word, or a word of none.
    if not left or not (unknown(of) or unknown(against)):
        return left
    return [i for i in left if not slips(low[i], against)]


def has_like(relations: Mapping[str, Relation], written: str, against: Reading, least: Relation) -> bool:
    """Whether a word, with these relations to the other prompt's, has one there that is related as closely, or that a
    slip of the keyboard makes of it.
    """
    if max(relations.values(), default=_UNRELATED) >= least or written in against.low:
        return True
    return bool(slips(written, against))


def slips(written: str, among: Reading) -> list[str]:
    """Words of a prompt that are written otherwise as a slip of the keyboard would have it, which makes no word of a
    word or a word of none.
    """
    lexicon = english()
    others = unknown(among) if lexicon.knows(lexicon.lemma(written)) else among.low
    return [low for low in others if low[0] == written[0] and is_misspelling(written, low)]


def all_slips(of: Reading, against: Reading) -> dict[int, list[str]]:
    """The slips between two prompts, by the places of content words; in most prompts there are none."""
    if not unknown(of) and not unknown(against):
        return {}
    found = ((i, slips(of.low[i], against)) for i in of.content)
    return {i: meant for i, meant in found if meant}


@once
def unknown(reading: Reading) -> list[str]:
    """Words that neither the dictionary nor the encoder's vocabulary has."""
    knows = english().knows
    return [low for low, lemma in zip(reading.low, reading.lemmas, strict=True) if not knows(lemma)]


def is_misspelling(one: str, other: str) -> bool:
    """Whether the two differ as a slip of the keyboard would make them, one of them being no word."""
    if abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < 4 or one[0] != other[0] or one == other:
        return one == other
    lexicon = english()
    if lexicon.knows(lexicon.lemma(one)) and lexicon.knows(lexicon.lemma(other)):
        return False
    if any(map(str.isdigit, one + other)):
        return False
    return edits(one, other) <= (1 if min(len(one), len(other)) < 8 else 2)


def are_forms(one: str, other: str) -> bool:
    """Whether two words that no dictionary has, and that are no names, are forms of one: "truncate", "truncating";
    "demonetise", "demonetization". Who does it is somebody else ("-er", "-ee"), and an "e" more makes another word.
    """
    if one.removesuffix("e") == other.removesuffix("e"):
        return one == other
    return not _stems(one).isdisjoint(_stems(other))


@lru_cache(MOST_WORDS_KEPT)
def _stems(word: str) -> frozenset[str]:
    spelled = _BRITISH.sub("iz", word)
    found = {spelled.removesuffix(ending) for ending in _INFLECTIONS}
    return frozenset(stem for stem in found if len(stem) >= _SHORTEST_STEM)


def edits(one: str, other: str) -> int:
    """Insertions, deletions, replacements and exchanges of neighbours (Damerau, restricted)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
