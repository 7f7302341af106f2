"""Facts on which two prompts must agree, whatever their vectors say: where they do not, what speaks against reusing the
answer, in words a user can check. Pure and symmetric in what it decides; called by `judge`.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.judgement.pair_features import parity_differs, polarity_conflict
from tollway_dataplane.prompts.everyday_words import FUNCTION, OPPOSITES_OF, POLARITY, SAME
from tollway_dataplane.prompts.initials import initials_without_like, words_of_initials
from tollway_dataplane.prompts.lexicon import Relation, english, positives
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.quantities import Quantity, is_unit, units
from tollway_dataplane.prompts.reading import MOST_WORDS_KEPT, TURNING, Reading, read
from tollway_dataplane.prompts.word_forms import alike, are_forms, has_like, is_misspelling, related


@dataclass(frozen=True, slots=True)
class Conflict:
    reason: CacheReason
    explanation: str  # "numbers differ: 3 ≠ 5"


def conflict(
    ours: Reading, theirs: Reading, checks: Collection[CriticalCheck] = frozenset(CriticalCheck)
) -> Conflict | None:
    """The first fact on which the two differ, of those that are to be checked."""
    made = _CHECKS if ours.has_figures or theirs.has_figures else _CHECKS_OF_WORDS
    for kind, check in made:
        if kind in checks and (found := check(ours, theirs)):
            return found
    return None


def quoted_apart(ours: Reading, theirs: Reading) -> Conflict | None:
    """What one of them quotes and the other does not say, or says only as little words: `what does "it" stand for`."""
    mine, yours = (
        frozenset(quoted for quoted in one.quoted if quoted in other.quoted or not _says(other, quoted))
        for one, other in ((ours, theirs), (theirs, ours))
    )
    return _sets(mine, yours, CacheReason.KEYWORDS_DIFFER, "quoted text differs")


def _says(reading: Reading, quoted: str) -> bool:
    """Whether a prompt has without marks what the other one quotes, which must be more than little words."""
    words = read(quoted).low
    return not FUNCTION.issuperset(words) and f" {' '.join(words)} " in f" {' '.join(reading.low)} "


def numbers_apart(ours: Reading, theirs: Reading) -> tuple[list[Quantity], list[Quantity], list[int]]:
    """The quantities that only one text has, of either, and where in the second the rest of the first's stand."""
    left = dict(enumerate(theirs.quantities))
    mine: list[Quantity] = []
    places: list[int] = []
    for quantity in ours.quantities:
        place = next((i for i, other in left.items() if quantity.agrees(other)), None)
        if place is None:
            mine.append(quantity)
        else:
            places.append(place)
            del left[place]
    return mine, list(left.values()), places


def _numbers(ours: Reading, theirs: Reading) -> Conflict | None:
    mine, yours, places = numbers_apart(ours, theirs)
    if mine or yours:
        shown = [each.text for each in mine], [each.text for each in yours]
        return Conflict(CacheReason.NUMBERS_DIFFER, _differ("numbers differ", *shown))
    # 3rd to 5th is not 5th to 3rd, and 2024-01-02 not 2024-02-01.
    if places != sorted(places):
        shown = [q.text for q in ours.quantities], [q.text for q in theirs.quantities]
        return Conflict(CacheReason.NUMBERS_DIFFER, _differ("numbers in another order", *shown))
    return None


def _calendar(ours: Reading, theirs: Reading) -> Conflict | None:
    return _sets(ours.calendar, theirs.calendar, CacheReason.NUMBERS_DIFFER, "dates differ")


def _codes(ours: Reading, theirs: Reading) -> Conflict | None:
    return _sets(ours.codes, theirs.codes, CacheReason.KEYWORDS_DIFFER, "codes differ")


def _initials(ours: Reading, theirs: Reading) -> Conflict | None:
    mine, yours = initials_without_like(ours, theirs), initials_without_like(theirs, ours)
    if not mine and not yours:
        return None
    return Conflict(CacheReason.KEYWORDS_DIFFER, _differ("initials differ", mine, yours))


def _names(ours: Reading, theirs: Reading) -> Conflict | None:
    mine, yours = names_without_like(ours, theirs), names_without_like(theirs, ours)
    if bool(mine) != bool(yours):
        # "ATM", "PIN", said by one of them only, are words like others.
        mine, yours = (
            [name for name in names if not _is_acronym(name, reading)]
            for names, reading in ((mine, ours), (yours, theirs))
        )
    if not mine and not yours:
        # Words that no dictionary has, one on either side, are brands, drugs, products.
        mine, yours = _unmatched_strangers(ours, theirs), _unmatched_strangers(theirs, ours)
        if not mine and not yours:
            return None
        mine, yours = mine or _resembling(theirs, ours, yours), yours or _resembling(ours, theirs, mine)
        if not mine or not yours:
            return None
    return Conflict(CacheReason.KEYWORDS_DIFFER, _differ("names differ", mine, yours))


_BEGINNING: Final = 5  # letters
_SOUGHT: Final = frozenset("time place person cause".split())


def _question(ours: Reading, theirs: Reading) -> Conflict | None:
    """When is not where."""
    differ = ours.question != theirs.question and {ours.question, theirs.question} <= _SOUGHT
    if differ and alike(ours, theirs):
        shown = [ours.question], [theirs.question]
        return Conflict(CacheReason.KEYWORDS_DIFFER, _differ("what is asked for differs", *shown))
    return None


_LOUD: Final = re.compile(r"[^\Wa-z\d_]{2}")  # without one no word of two letters is in capitals
_IN_CAPITALS: Final = FUNCTION - {"am"}


def _capitals(ours: Reading, theirs: Reading) -> Conflict | None:
    """ "US" is not "us", "IT" is not "it"; but "America" is the US."""
    mine, yours = _shouted(ours), _shouted(theirs)
    if mine == yours:
        return None
    mine, yours = (
        frozenset(shown for shown in only if not _is_called_otherwise(shown, one, other))
        for only, one, other in ((mine - yours, ours, theirs), (yours - mine, theirs, ours))
    )
    return _sets(mine, yours, CacheReason.KEYWORDS_DIFFER, "names differ")


def _is_called_otherwise(shown: str, of: Reading, by: Reading) -> bool:
    return Relation.SYNONYM in related(of, by)[english().lemma(shown.casefold())].values()


@once
def _shouted(reading: Reading) -> frozenset[str]:
    """Little words in capitals, in a prompt that is not all in capitals."""
    if _LOUD.search(reading.text) is None:
        return frozenset()
    return frozenset(
        shown
        for shown, low in zip(reading.shown, reading.low, strict=True)
        if len(shown) > 1 and shown.isupper() and low in _IN_CAPITALS and not reading.text.isupper()
    )


def _direction(ours: Reading, theirs: Reading) -> Conflict | None:
    """From Paris to London is not to Paris from London; Word to PDF is not PDF to Word."""
    if not ours.roles or not theirs.roles:
        return None
    for word in (each for each in ours.roles if each in theirs.roles):
        if ours.roles[word] != theirs.roles[word]:
            return Conflict(
                CacheReason.RELATIONS_DIFFER,
                f"direction differs: {ours.roles[word]} {word} ≠ {theirs.roles[word]} {word}",
            )
    our_words, their_words = set(ours.lemmas), set(theirs.lemmas)
    for role in ("to", "from"):
        mine = {word for word, found in ours.roles.items() if found == role}
        yours = {word for word, found in theirs.roles.items() if found == role}
        only_mine, only_yours = (mine - yours) & their_words, (yours - mine) & our_words
        if only_mine and only_yours:
            return Conflict(
                CacheReason.RELATIONS_DIFFER,
                f"direction differs: {role} {min(only_mine)} ≠ {role} {min(only_yours)}",
            )
    return None


_SCOPES: Final = (
    ("more", "less"), ("most", "least"), ("first", "last"), ("previous", "next"), ("all", "except"), ("only", "except"),
    ("first", "next"), ("last", "next"),
)  # fmt: skip


# Where one prompt narrows with such a word, and the other does not, another thing is meant.
_NARROWING: Final = frozenset({"only", "first", "last"})


def _scope(ours: Reading, theirs: Reading) -> Conflict | None:
    narrowed = (ours.scope ^ theirs.scope) & _NARROWING
    if narrowed and alike(ours, theirs):
        mine, yours = narrowed & ours.scope, narrowed & theirs.scope
        return Conflict(CacheReason.SCOPE_DIFFERS, _differ("scope differs", sorted(mine), sorted(yours)))
    mine, yours = ours.scope - theirs.scope, theirs.scope - ours.scope
    for pair in _SCOPES if mine and yours else ():
        for one, other in (pair, pair[::-1]):
            if one in mine and other in yours:
                return Conflict(CacheReason.SCOPE_DIFFERS, f"scope differs: {one} ≠ {other}")
    return None


# How a thing is done, which asks for no other answer.
_LIGHT_MANNERS: Final = frozenset(
    "accurately actually additionally basically briefly clearly correctly currently easily exactly extremely friendly "
    "generally highly kindly likely normally particularly poorly politely possibly presently properly quickly really "
    "regularly simply subsequently successfully truly typically usually".split()
)


def _manner(ours: Reading, theirs: Reading) -> Conflict | None:
    """Safely, permanently: an adverb on one side whose word the other does not have in any form."""
    mine, yours = _manners(ours, theirs), _manners(theirs, ours)
    if bool(mine) == bool(yours) or not alike(ours, theirs):
        return None
    return Conflict(CacheReason.SCOPE_DIFFERS, _differ("manner differs", mine, yours))


def _manners(of: Reading, against: Reading) -> list[str]:
    relation = english().relation
    return [
        low
        for low in _adverbs(of)
        if all(relation(s, other) < Relation.SYNONYM for s in (low, low[:-2]) for other in against.lemmas)
    ]


@once
def _adverbs(reading: Reading) -> list[str]:
    """Those that say how a thing is done, and not lightly."""
    if "ly" not in reading.plain:
        return []
    return [
        low
        for low in reading.low
        if len(low) > 5
        and low.endswith("ly")
        and low not in _LIGHT_MANNERS
        and english().is_ordinary(low[:-2])
    ]


_SPANS: Final = frozenset("second minute hour day week month year usd gbp ounce percent".split())
_MONEY: Final = frozenset("eur jpy inr".split())
# What says before or after noon without "am" and "pm".
_HALVES: Final = {"am": frozenset({"morning"}), "pm": frozenset({"afternoon", "evening", "tonight"})}


def units_apart(ours: Reading, theirs: Reading) -> Conflict | None:
    """A unit that only one of them asks for: "in feet"."""
    mine, yours = _units_of(ours), _units_of(theirs)
    if mine == yours:
        return None
    mine, yours = mine - yours - _left_out(ours, theirs), yours - mine - _left_out(theirs, ours)
    return _sets(mine, yours, CacheReason.NUMBERS_DIFFER, "units differ")


@once
def _units_of(reading: Reading) -> frozenset[str]:
    counted = frozenset(quantity.unit for quantity in reading.quantities)
    return (units([reading.low[i] for i in reading.content]) | counted) - _SPANS - {""}


def _left_out(of: Reading, by: Reading) -> frozenset[str]:
    """Units of one prompt's amounts that the other may do without: a currency, as the amount itself is compared,
    and "am" and "pm" where it says "in the morning".
    """
    counted = [quantity.unit for quantity in of.quantities]
    written = [unit for i in of.content for unit in units([of.low[i]])]
    paid = {unit for unit in _MONEY.intersection(counted) if written.count(unit) <= counted.count(unit)}
    halves = {half for half, words in _HALVES.items() if not words.isdisjoint(by.low)}
    return frozenset(paid | halves if len(halves) == 1 else paid)


# A dictionary has them as verbs and nouns of their own: to can somebody is no opposite of hiring here.
_AUXILIARIES: Final = frozenset("can could will would may might must shall should".split())


def _opposites(ours: Reading, theirs: Reading) -> Conflict | None:
    """Opposite words, unless a negation makes them the same again: not to remove is to keep."""
    if sides := _opposed_as_written(ours, theirs):
        return sides
    turned = parity_differs(ours, theirs)
    only_ours, only_theirs = _only(ours, theirs), _only(theirs, ours)
    negated = ours.negations % 2 != theirs.negations % 2
    relations = related(ours, theirs)
    for one in only_ours:
        if one in _AUXILIARIES or Relation.OPPOSITE not in relations[one].values():
            continue
        for other in (each for each in only_theirs if each not in _AUXILIARIES):
            if relations[one].get(other) is Relation.OPPOSITE:
                weighed = all(word in POLARITY and POLARITY[word][0] in TURNING for word in (one, other))
                if turned if weighed else not negated:
                    return Conflict(CacheReason.OPPOSITES, f"opposites: {one} ≠ {other}")
    net, axes, _ = polarity_conflict(ours, theirs)
    mine = [lemma for lemma, *_ in ours.polarity if lemma in only_ours]
    yours = [lemma for lemma, *_ in theirs.polarity if lemma in only_theirs]
    if (mine or yours) and (axes or (turned and net)):
        return Conflict(CacheReason.OPPOSITES, _differ("opposites", mine, yours))
    return None


def _opposed_as_written(ours: Reading, theirs: Reading) -> Conflict | None:
    """Opposites that only the words as written show, since their lemmas are other words ("left" is "leave"), and
    opposites that the learned part was not told of.
    """
    mine, yours = _sides_as_written(ours), _sides_as_written(theirs)
    if not mine or not yours or ours.negations % 2 != theirs.negations % 2:
        return None
    relation = english().relation
    for one, was_lemma in mine.items():
        for other in OPPOSITES_OF[one]:
            if other not in yours or one in yours or other in mine:
                continue
            # What else the dictionary calls opposites is weighed together with negations.
            if not (was_lemma and yours[other]) or relation(one, other) is not Relation.OPPOSITE:
                return Conflict(CacheReason.OPPOSITES, _differ("opposites", [one], [other]))
    return None


@once
def _sides_as_written(reading: Reading) -> dict[str, bool]:
    """Words that are opposed to others, as they are written, by their lemma, or of which they are the comparative or
    superlative; and whether by their lemma they are no other word.
    """
    found: dict[str, bool] = {}
    for low, lemma in zip(reading.low, reading.lemmas, strict=True):
        for word in _forms(low, lemma):
            found[word] = found.get(word, True) and lemma == word
    return found


@lru_cache(MOST_WORDS_KEPT)
def _forms(low: str, lemma: str) -> frozenset[str]:
    return frozenset({low, lemma, *positives(low)} & OPPOSITES_OF.keys())


def _negation(ours: Reading, theirs: Reading) -> Conflict | None:
    """A negation on one side that no opposite word on the other makes up for."""
    if ours.negations % 2 == theirs.negations % 2 or not parity_differs(ours, theirs):
        return None
    if not alike(ours, theirs):
        return None
    shown = [["not"] * (reading.negations % 2) for reading in (ours, theirs)]
    return Conflict(CacheReason.NEGATION_DIFFERS, _differ("negation differs", *shown))


_CHECKS: Final[tuple[tuple[CriticalCheck, Callable[[Reading, Reading], Conflict | None]], ...]] = (
    (CriticalCheck.KEYWORDS, quoted_apart),
    (CriticalCheck.NUMBERS, _numbers),
    (CriticalCheck.NUMBERS, _calendar),
    (CriticalCheck.KEYWORDS, _codes),
    (CriticalCheck.KEYWORDS, _question),
    (CriticalCheck.KEYWORDS, _capitals),
    (CriticalCheck.KEYWORDS, _direction),
    (CriticalCheck.NEGATION, _opposites),
    (CriticalCheck.NEGATION, _negation),
    (CriticalCheck.NEGATION, _scope),
    (CriticalCheck.NEGATION, _manner),
    (CriticalCheck.NUMBERS, units_apart),
    (CriticalCheck.KEYWORDS, _initials),
    (CriticalCheck.KEYWORDS, _names),
)
# Those that find nothing where neither prompt has anything but plain words.
_OF_FIGURES: Final = frozenset({quoted_apart, _numbers, _calendar, _codes, _capitals, units_apart})
_CHECKS_OF_WORDS: Final = tuple((kind, check) for kind, check in _CHECKS if check not in _OF_FIGURES)


def _only(ours: Reading, theirs: Reading) -> list[str]:
    others = frozenset(theirs.lemmas)
    return [lemma for lemma in dict.fromkeys(ours.lemmas) if lemma not in others]


def names_without_like(ours: Reading, theirs: Reading) -> list[str]:
    """The names in `ours` that `theirs` has in no form. Initials are compared by themselves."""
    relations = related(ours, theirs)
    return [
        name
        for name in sorted(ours.names - words_of_initials(ours))
        if not has_like(relations[name], name, theirs, Relation.BROADER)
        and not _is_abbreviation(name, theirs)
        and not is_unit(name)
    ]


def _unmatched_strangers(ours: Reading, theirs: Reading) -> list[str]:
    relations = related(ours, theirs)
    return [
        lemma
        for lemma in _strangers(ours)
        if not has_like(relations[lemma], lemma, theirs, Relation.BROADER)
        and (lemma in ours.names or not any(are_forms(lemma, low) for low in theirs.low))
    ]


@once
def _strangers(reading: Reading) -> list[str]:
    """Words that no dictionary has, nor the everyday groups: "summarise"."""
    lemmas = dict.fromkeys(reading.lemmas[i] for i in reading.content)
    is_ordinary = english().is_ordinary
    return [each for each in lemmas if len(each) > 2 and not is_ordinary(each) and each not in SAME]


def _resembling(of: Reading, against: Reading, strangers: list[str]) -> list[str]:
    """Words of the other prompt that begin as a stranger does and are no slip, no form and no beginning of it:
    prednisone is not prednisolone.
    """
    return [
        lemma
        for lemma in (against.lemmas[i] for i in against.content)
        if lemma not in of.lemmas
        and any(
            lemma[:_BEGINNING] == each[:_BEGINNING]
            and not lemma.startswith(each)
            and not each.startswith(lemma)
            for each in strangers
            if len(each) > _BEGINNING and not is_misspelling(lemma, each) and not are_forms(lemma, each)
        )
    ]


def _is_acronym(name: str, reading: Reading) -> bool:
    lexicon = english()
    return (
        lexicon.is_ordinary(name)
        and not lexicon.is_name(name)
        and any(
            len(shown) > 1 and shown.isupper() and lemma == name
            for shown, lemma in zip(reading.shown, reading.lemmas, strict=True)
        )
    )


def _is_abbreviation(name: str, of: Reading) -> bool:
    """Whether a name is the first letters of words of the other prompt that follow on each other."""
    letters = "".join(low[0] for low in of.low)
    return len(name) > 1 and name in letters


def _sets(ours: frozenset[str], theirs: frozenset[str], reason: CacheReason, label: str) -> Conflict | None:
    if ours == theirs:
        return None
    return Conflict(reason, _differ(label, sorted(ours - theirs), sorted(theirs - ours)))


def _differ(label: str, ours: Iterable[str], theirs: Iterable[str]) -> str:
    mine, yours = ", ".join(ours), ", ".join(theirs)
    return f"{label}: {mine or 'none'} ≠ {yours or 'none'}"
