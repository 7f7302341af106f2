"""Numbers, amounts and dates of a prompt in one form each, however they are written: "£1,000", "1000 pounds" and "a
thousand pounds" are one amount. Pure; called by `reading`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_MOST_KEPT: Final = 10_000  # words of which is known whether a number begins with them

_ONES: Final = {
    word: value
    for value, word in enumerate(
        (
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen"
        ).split()
    )
}
_TENS: Final = {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
_SCALES: Final = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "dozen": 12,
}
_ORDINALS: Final = {
    word: value
    for value, word in enumerate(
        "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), start=3
    )
}
_FACTORS: Final = {"half": 0.5, "double": 2.0, "twice": 2.0, "triple": 3.0}
# Numbers of which only the magnitude is said: "thousands", "a few thousand", "a couple of hundred".
_MANY: Final = {f"{word}s": value for word, value in _SCALES.items()}
_SOME: Final = frozenset("few several some many couple".split())
_STARTS: Final = frozenset([*_ONES, *_TENS, *_SCALES, *_MANY, *_ORDINALS, *_FACTORS])  # of a number in words
_SUFFIXES: Final = {"k": 1e3, "m": 1e6, "bn": 1e9}
_SIGNS: Final = {"$": "usd", "€": "eur", "£": "gbp", "¥": "jpy", "₹": "inr", "%": "percent", "°": "degree"}
_UNITS: Final = {
    word: unit
    for unit, words in {
        "usd": "usd dollar dollars bucks",
        "eur": "eur euro euros",
        "gbp": "gbp pound pounds quid",
        "jpy": "jpy yen",
        "inr": "inr rupee rupees",
        "percent": "percent percentage pct",
        "am": "am",
        "pm": "pm",
        "second": "second seconds sec secs",
        "minute": "minute minutes min mins",
        "hour": "hour hours hr hrs h",
        "day": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "year years yr yrs",
        "gram": "gram grams g",
        "kilogram": "kilogram kilograms kilo kilos kg kgs",
        "milligram": "milligram milligrams mg",
        "ounce": "ounce ounces oz",
        "metre": "metre metres meter meters",
        "kilometre": "kilometre kilometres kilometer kilometers km kms",
        "mile": "mile miles",
        "foot": "foot feet ft",
        "inch": "inch inches",
        "litre": "litre litres liter liters",
        "gigabyte": "gigabyte gigabytes gb",
        "megabyte": "megabyte megabytes mb",
        "terabyte": "terabyte terabytes tb",
    }.items()
    for word in words.split()
}
_PARTS: Final = frozenset([*_ONES, *_TENS, *_SCALES, *_SIGNS, "am", "pm"])
_CALENDAR: Final = {
    form: name
    for name in (
        "monday tuesday wednesday thursday friday saturday sunday january february march april june july august "
        "september october november december"
    ).split()
    for form in (name, name + "s", name[:3] if name not in {"march", "saturday", "sunday"} else name)
}
_CALENDAR.update(
    {word: word for word in "today tomorrow yesterday tonight weekend weekday midnight noon".split()}
)
_CALENDAR.update({"weekends": "weekend", "weekdays": "weekday", "sept": "september", "tues": "tuesday",
                  "thurs": "thursday", "tomorrows": "tomorrow", "tonight": "today", "midday": "noon"})  # fmt: skip
_BEFORE_A_MONTH: Final = frozenset(
    "in on by until till since from before after during through next last early late mid of".split()
)
_AFTER_A_VERB: Final = frozenset("i we you he she it they there be have not also never the a an my".split())
_NUMERAL: Final = re.compile(r"(\d+(?:\.\d+)?)(st|nd|rd|th|[a-z]{1,3})?")
_CLOCK: Final = re.compile(r"(\d{1,2})[:.](\d\d)(am|pm)?")


# unit -> (what it measures, how many of the smallest)
_BASES: Final = {
    "second": ("time", 1), "minute": ("time", 60), "hour": ("time", 3600), "day": ("time", 86_400),
    "week": ("time", 604_800), "month": ("months", 1), "year": ("months", 12),
    "milligram": ("mass", 1), "gram": ("mass", 1_000), "kilogram": ("mass", 1_000_000),
    "metre": ("length", 1), "kilometre": ("length", 1_000),
    "megabyte": ("bytes", 1), "gigabyte": ("bytes", 1_000), "terabyte": ("bytes", 1_000_000),
}  # fmt: skip
# Without one of these, a digit or a sign, a text has no quantity, no date and no unit.
QUANTITY_WORDS: Final = _STARTS | _CALENDAR.keys() | _UNITS.keys() | {"may"}


@dataclass(frozen=True, slots=True)
class Quantity:
    value: float
    unit: str  # "" where none is said
    text: str  # as it was written
    is_vague: bool = False  # some of that magnitude, not so many

    def agrees(self, other: "Quantity") -> bool:
        """A unit that one of the two leaves out is no difference."""
        if self.is_vague != other.is_vague:
            return False
        if not self.unit or not other.unit or self.unit == other.unit:
            return self.value == other.value
        ours, theirs = _BASES.get(self.unit), _BASES.get(other.unit)
        if ours is None or theirs is None or ours[0] != theirs[0]:
            return False
        return abs(self.value * ours[1] - other.value * theirs[1]) < 1e-6


def quantities(words: tuple[str, ...]) -> tuple[Quantity, ...]:
    """In order. `words` are in lower case, signs among them."""
    found: list[Quantity] = []
    if not any(map(_may_begin, words)):
        return ()
    at = 0
    while at < len(words):
        if not _may_begin(words[at]):
            at += 1
            continue
        value, taken, unit = _numeral(words[at]) or _written(words, at)
        if value is None:
            at += 1
            continue
        if words[at] in _FACTORS and words[at + taken : at + taken + 1] in {("a",), ("an",)}:
            taken += 1  # "half a million"
        while not unit and at + taken < len(words) and words[at + taken] in _SCALES:
            value *= _SCALES[words[at + taken]]
            taken += 1
        before = words[at - 1] if at else ""
        after = words[at + taken] if at + taken < len(words) else ""
        unit = unit or _SIGNS.get(before, "") or _SIGNS.get(after, "") or _UNITS.get(after, "")
        is_vague, start = _vaguely(words, at)
        text = " ".join(words[start : at + taken])
        # "one" is as often a pronoun.
        if text != "one" or unit:
            found.append(Quantity(value, unit, text, is_vague))
        at += taken
    return tuple(found)


def _vaguely(words: tuple[str, ...], at: int) -> tuple[bool, int]:
    """Whether only the magnitude of the number that begins there is said, and where what says so begins."""
    if words[at] in _SCALES:
        before = at - 2 if words[at - 1 : at] == ("of",) else at - 1
        if before >= 0 and words[before] in _SOME:
            return True, before
    return words[at] in _MANY, at


def calendar(words: tuple[str, ...]) -> frozenset[str]:
    """Weekdays, months and days counted from today. `words` are as they were written, since "may" is a verb mostly."""
    low = tuple(map(str.casefold, words))
    found = {_CALENDAR[word] for word in _CALENDAR.keys() & low}
    if "may" in low and any(word == "may" and _is_month(words, low, i) for i, word in enumerate(low)):
        found.add("may")
    return frozenset(found)


def units(words: Iterable[str]) -> frozenset[str]:
    """What the units among them are called, however they are written."""
    return frozenset(_UNITS[word] for word in _UNITS.keys() & words)


def is_unit(word: str) -> bool:
    return word in _UNITS


def is_quantity_word(word: str) -> bool:
    """Whether a word in lower case is part of how numbers and amounts are written."""
    return word[:1].isdigit() or word in _PARTS


@lru_cache(_MOST_KEPT)
def _may_begin(word: str) -> bool:
    """Whether a number may begin with it."""
    return word[:1].isdigit() or word in _STARTS


def _is_month(words: tuple[str, ...], low: tuple[str, ...], at: int) -> bool:
    """Whether a "may" is the month: "in may", "may 5", "the 5th of May". In doubt it is, unless it is written small."""
    before, after = low[at - 1] if at else "", low[at + 1] if at + 1 < len(low) else ""
    if after in _AFTER_A_VERB:
        return False
    if before in _BEFORE_A_MONTH or _is_day(after) or (_is_day(before) and before not in _ONES):
        return True
    # A sentence that begins with it asks for leave.
    return at > 0 and words[at] == "May" and not (before == "what" and after)


def _is_day(word: str) -> bool:
    match = _NUMERAL.fullmatch(word)
    return word in _ORDINALS or (match is not None and (match[2] or "") in {"", "st", "nd", "rd", "th"})


def _numeral(word: str) -> tuple[float | None, int, str] | None:
    """A number in digits: value, words taken, unit."""
    if not word[:1].isdigit():
        return None
    if (clock := _CLOCK.fullmatch(word)) and (clock[3] or ":" in word):
        return int(clock[1]) + int(clock[2]) / 60, 1, clock[3] or ""
    match = _NUMERAL.fullmatch(word.replace(",", ""))
    if match is None:
        return None
    value, ending = float(match[1]), match[2] or ""
    if ending in _SUFFIXES:
        return value * _SUFFIXES[ending], 1, ""
    if ending in {"", "st", "nd", "rd", "th"}:
        return value, 1, ""
    return (value, 1, _UNITS[ending]) if ending in _UNITS else None


def _written(words: tuple[str, ...], at: int) -> tuple[float | None, int, str]:
    """A number in words, such as "two hundred and fifty"."""
    total, part, taken = 0.0, 1.0 if words[at] in _SCALES else 0.0, 0
    if words[at] in _FACTORS:
        return _FACTORS[words[at]], 1, ""
    if words[at] in _MANY:
        return float(_MANY[words[at]]), 1, ""
    if words[at] in _ORDINALS:
        return float(_ORDINALS[words[at]]), 1, ""
    for word in words[at:]:
        if word in _ONES:
            if taken and (part % 10 or (part % 100 and _ONES[word] > 9)):
                break
            part += _ONES[word]
        elif word in _TENS:
            if part % 100:
                break
            part += _TENS[word]
        elif word in _SCALES and (part or word != "dozen"):
            total, part = (total, part * 100) if word == "hundred" else (total + part * _SCALES[word], 0.0)
        elif word != "and" or not taken or not part or part % 100:
            break
        taken += 1
    while taken and words[at + taken - 1] == "and":
        taken -= 1
    return (total + part, taken, "") if taken else (None, 0, "")
