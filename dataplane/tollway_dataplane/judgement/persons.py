"""Who does it to whom, and whose it is, where two prompts speak of the same persons: "Can my boss read my emails?" is
not "Can I read my boss's emails?". It is found beside each word, so clauses may come in any order, and what is only in
one of the prompts says nothing. Pure and symmetric in what it decides; called by `judge` and `turn_pairs`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from typing import Final

from tollway_dataplane.prompts.function_words import (
    ACTED_ON,
    ACTING,
    ADVERBS,
    AUXILIARY,
    BEING,
    GETTING,
    LITTLE,
    OF_SOMEBODY,
    OWNING,
    PERSONS,
    PRONOUNS,
    THIRD,
    TO,
    WANTING,
    parted,
)
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.once import once, once_of_two
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.word_forms import alike

_NO_NAME: Final = LITTLE | AUXILIARY | PERSONS
_LOOKED_AT: Final = PERSONS | {"of"}
_HAVING_TO: Final = frozenset(
    "have has had having supposed going allowed able got ought".split()
)  # before "to"
_BEFORE_ORDERS: Final = frozenset("please to and so or then just".split())
# Who is asked to do something does not count: "can you" may be anybody, or the model.
_ASKED: Final = re.compile(
    r"^\W*(?:(?:hi|hello|hey|please|so|and|ok|okay)\W+)*(?:will|would|do) you\b"
    r"|\b(?:can|could) you\b|\bdo you (?:know|mind)\b|\b(?:want|need|like) you to\b"
)
_YOU: Final = re.compile(r"\byou\b")
_MUTUAL: Final = frozenset("talk speak chat".split())
_OWNED_ALONE: Final = {"mine": "I", "ours": "I", "yours": "you", "his": THIRD, "hers": THIRD, "theirs": THIRD}
_COMPARING: Final = frozenset("than before after".split())
_LONGEST: Final = 4  # words that belong to somebody
_BEFORE_OWNERS: Final = frozenset({*OWNING, "the"})
_NEAR: Final = 2  # words between what is done and to whom


class _Parts:
    """Who does it, to whom, and whose it is, by the word that says so."""

    def __init__(self) -> None:
        self.acting: dict[str, set[str]] = {}  # pronouns
        self.acted_on: dict[str, set[str]] = {}  # pronouns
        self.owning: dict[str, set[str]] = {}  # pronouns and nouns
        self.within: set[str] = set()  # before the last word of what is owned: "bank" in "my bank account"
        self.asked_for: set[str] = set()  # nobody says who is to do it: "book me a table"


@once_of_two
def parts_exchanged(ours: Reading, theirs: Reading) -> str:
    """What another does, what is done to another, or is another's, of prompts that are alike; "" when nothing is."""
    if difference := _compared_otherwise(ours, theirs):
        return difference
    if any(each.plain_set.isdisjoint(PERSONS) for each in (ours, theirs)) or not alike(ours, theirs):
        return ""
    mine, yours = _parts(ours), _parts(theirs)
    for label, one, other in (
        ("who is acted on", mine.acted_on, yours.acted_on),
        ("whose it is", mine.owning, yours.owning),
    ):
        for word in one.keys() & other.keys():
            # A noun may be the same person's.
            if one[word].isdisjoint(other[word]) and PRONOUNS.issuperset(one[word] | other[word]):
                return f"{label} differs: {_shown(one[word])} ≠ {_shown(other[word])} ({word})"
    return _turned(mine, yours, ours) or _turned(yours, mine, theirs)


def _turned(mine: _Parts, yours: _Parts, ours: Reading) -> str:
    """What somebody does in their prompt, and in ours is done to them, or to what is theirs by somebody named; who may
    be named in theirs only as part of what they own: "my bank account".
    """
    for word in yours.acting.keys() & mine.acted_on.keys() - yours.acted_on.keys() - mine.acting.keys():
        both = yours.acting[word] & mine.acted_on[word]
        if both and word not in mine.asked_for:
            return f"who acts differs: {_shown(both)} ({word})"
    for thing in mine.owning.keys() & yours.owning.keys():
        persons, nouns = mine.owning[thing] & PRONOUNS, yours.owning[thing] - PRONOUNS
        if persons and nouns and persons.isdisjoint(yours.owning[thing]):
            for word, acting in yours.acting.items():
                if not persons.isdisjoint(acting) and any(_does(ours, noun, word) for noun in nouns):
                    return f"who acts differs: {_shown(persons)} ≠ {_shown(nouns)} ({word})"
    for word in yours.acting.keys() - mine.acting.keys() if yours.within else ():
        for noun in sorted(yours.within):
            if _does(ours, noun, word, OWNING):
                return f"who acts differs: {noun} ≠ {_shown(yours.acting[word])} ({word})"
    return ""


def _does(reading: Reading, noun: str, word: str, to: Collection[str] = ()) -> bool:
    """Whether what is called by this noun does something: "my boss can read". Where it is asked to what, to that:
    "the bank can close my account".
    """
    lemmas, low = reading.lemmas, reading.low
    for i in range(len(low)):
        if lemmas[i] == noun:
            j = i + 1
            while j < len(low) and (low[j] in AUXILIARY or low[j].endswith(("ly", "n't"))):
                j += 1
            if j < len(low) and lemmas[j] == word and (not to or _is_told_of(low, i, j, to)):
                return True
    return False


def _is_told_of(low: Sequence[str], actor: int, verb: int, to: Collection[str]) -> bool:
    """Whether one of these comes next, and who acts is not asked to: "ask the bank to freeze my account"."""
    return low[actor + 1] != "to" and any(word in to for word in low[verb + 1 : verb + 2])


def _compared_otherwise(ours: Reading, theirs: Reading) -> str:
    """What stands before such a word in one of them alone, and behind it in the other: "bigger than mine"."""
    for word in _sides(ours).keys() & _sides(theirs).keys():
        (before, behind), (then_before, then_behind) = _sides(ours)[word], _sides(theirs)[word]
        one = (before - behind) & (then_behind - then_before)
        other = (behind - before) & (then_before - then_behind)
        if one and other and alike(ours, theirs):
            return f"sides of {word!r} differ: {_shown(one)} ≠ {_shown(other)}"
    return ""


@once
def _sides(reading: Reading) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """What is named before and behind a word that compares or orders, persons by whose it is."""
    found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    if _COMPARING.isdisjoint(reading.plain_set):
        return found
    low, endings = parted(reading)
    named = [_whose(low, endings, i) or reading.lemmas[i].removesuffix("'s") for i in range(len(low))]
    for i, word in enumerate(low):
        if word in _COMPARING:
            sides = [{each for each in side if each not in _NO_NAME} for side in (named[:i], named[i + 1 :])]
            found[word] = (frozenset(sides[0]), frozenset(sides[1]))
    return found


def _whose(low: Sequence[str], endings: Mapping[int, str], i: int) -> str:
    """ "My" is me, but in "my boss's" it is nobody's but the boss's."""
    if low[i] in OWNING:
        behind = takewhile(lambda j: low[j] not in _NO_NAME, range(i + 1, min(len(low), i + 1 + _LONGEST)))
        return "the" if any(endings.get(j) == "s" for j in behind) else OWNING[low[i]]
    return _OWNED_ALONE.get(low[i]) or ACTING.get(low[i]) or ACTED_ON.get(low[i]) or ""


def _shown(persons: Collection[str]) -> str:
    return ", ".join(sorted(persons))


@once
def _parts(reading: Reading) -> _Parts:
    return _Finder(reading).found


class _Finder:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.found = _Parts()
        self._low, self._endings = parted(reading)
        asked = _places_asked(reading)
        for i, word in enumerate(self._low):
            if word in _LOOKED_AT or i in self._endings:
                self._look_at(i, word, asked)

    def _look_at(self, i: int, word: str, asked: Collection[int]) -> None:
        if word in OWNING and (word != "her" or self._is_named(i + 1)):
            self._own(i + 1, OWNING[word])
        elif word in ACTING and (word != "you" or self._is_acting(i)):
            if i not in asked:
                self._act(i, ACTING[word])
        elif word in ACTED_ON:
            self._act_on(i, asked)
        elif word == "of":
            self._own_before(i)
        elif self._endings.get(i) == "s" and self._is_named(i):
            self._own(i + 1, self._lemma(i))

    def _lemma(self, i: int) -> str:
        return english().lemma(self._low[i]) if i in self._endings else self._reading.lemmas[i]

    def _is_named(self, i: int) -> bool:
        """Whether it carries something."""
        if not 0 <= i < len(self._low):
            return False
        low = self._low[i]
        return low not in _NO_NAME and not low.endswith("n't")

    def _is_acting(self, i: int) -> bool:
        """ "You" where it is not whom something is done to."""
        before = self._low[i - 1] if i else "when"
        return not self._is_named(i - 1) and before not in TO and before not in OF_SOMEBODY

    def _own(self, first: int, owner: str) -> None:
        """The words that belong to somebody, up to one that has something itself: "my boss's emails"."""
        for i in range(first, first + _LONGEST):
            if not self._is_named(i):
                return
            self.found.owning.setdefault(self._lemma(i), set()).add(owner)
            if self._endings.get(i) == "s":
                return
            if self._is_named(i + 1):
                self.found.within.add(self._lemma(i))

    def _own_before(self, i: int) -> None:
        """The emails of my boss."""
        if _BEFORE_OWNERS.isdisjoint(self._low[i + 1 : i + 2]) or not self._is_named(i - 1):
            return
        for j in range(i + 2, i + 2 + _LONGEST):
            if not self._is_named(j):
                return
            self.found.owning.setdefault(self._lemma(i - 1), set()).add(self._lemma(j))

    def _act(self, i: int, who: str) -> None:
        """What somebody does, or what is done to them: "I was paid"."""
        low = self._low
        auxiliary = "am" if self._endings.get(i) in {"m", "re", "s"} else low[i - 1] if i else ""
        j = i + 1
        while j < len(low):
            is_wanting = low[j] in WANTING and "to" in low[j + 1 : j + 2]
            is_adverb = low[j] in ADVERBS or low[j].endswith(("ly", "n't"))
            if not (is_wanting or is_adverb or low[j] in AUXILIARY):
                break
            if not is_adverb:
                auxiliary = low[j]
            j += 1
        if not self._is_named(j) or auxiliary in GETTING:
            return
        lemma = self._reading.lemmas[j]
        is_state = auxiliary in BEING and not low[j].endswith("ing")  # "I am old", "I was paid"
        if not is_state or not english().is_verb(lemma):
            self.found.acting.setdefault(lemma, set()).add(who)
        elif low[j] != lemma:
            self.found.acted_on.setdefault(lemma, set()).add(who)

    def _act_on(self, i: int, asked: Collection[int]) -> None:
        j = i - 1
        while j >= max(0, i - _NEAR) and self._low[j] in TO:
            j -= 1
        if not self._is_named(j) or (lemma := self._reading.lemmas[j]) in _MUTUAL:
            return
        self.found.acted_on.setdefault(lemma, set()).add(ACTED_ON[self._low[i]])
        is_told = self._low[j - 1] == "to" and j > 1 and self._low[j - 2] in _HAVING_TO  # "he has to pay me"
        if (
            j == 0
            or j - 1 in asked
            or self._begins(j)
            or (self._low[j - 1] in _BEFORE_ORDERS and not is_told)
        ):
            self.found.asked_for.add(lemma)

    def _begins(self, j: int) -> bool:
        """Whether there is a mark before it."""
        spans = self._reading.spans
        return bool(self._reading.text[spans[j - 1][1] : spans[j][0]].strip())


def _places_asked(reading: Reading) -> Collection[int]:
    if "you" not in reading.plain_set:
        return ()
    spans = [match.span() for match in _ASKED.finditer(reading.plain)]
    asked = {
        you.end() for you in _YOU.finditer(reading.plain) if any(one < you.end() <= end for one, end in spans)
    }
    return [i for i, (_, end) in enumerate(reading.spans) if end in asked]
