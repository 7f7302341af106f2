"""Two texts of the very same words: do they only look different, or may they mean something else? "Let's eat
Grandma", "Let's eat, Grandma"; "Polish", "polish"; "man-eating", "man eating". An encoder hardly sees signs and no
capitals at all, so what may count refuses, and only what cannot in English is let through: the first letter of a
sentence, marks at its end, which kind of quotation marks or of stop, a comma where one may as well be left out, and
small letters of who types no others. Pure and symmetric but for the order in which the two are named; called by
`verbatim` and `judge`, of English alone.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tollway_dataplane.judgement.spelling import PICTURES, VARIATION
from tollway_dataplane.prompts.everyday_words import FUNCTION, NEGATIONS
from tollway_dataplane.prompts.languages import LOANWORDS, english_ahead
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.quantities import is_quantity_word
from tollway_dataplane.prompts.reading import MOST_WORDS_KEPT, Reading

_STRAIGHT: Final = str.maketrans(
    {**dict.fromkeys("\u2018\u2019\u201a", "'"), **dict.fromkeys("\u2013\u2014\u2212", "-")}
)
_MARKS: Final = '"“”„«»\u2039\u203a`「」『』'
_UNQUOTED: Final = str.maketrans(dict.fromkeys(_MARKS + "')"))
_MAY_QUOTE: Final = re.compile(rf"[{_MARKS}'\u2018\u2019\u201a]")
# Between ' there may be apostrophes, and an apostrophe opens nothing: 'you're welcome', "the dogs' bowls".
_QUOTED: Final = re.compile(
    rf"[{_MARKS}]+([^{_MARKS}]{{1,300}})[{_MARKS}]+"
    r"|(?<!\w)['\u2018\u201a]((?:[^'\u2018\u2019]|(?<=\w)['\u2019](?=\w)){1,300})['\u2018\u2019](?!\w)"
)
_BEHIND: Final = re.compile(r"(?::(?=\s)|\n)\s*(?=\S)")
# "Hi, a quick one: how do I …" is a prompt of its own.
_QUESTION: Final = re.compile(
    r"(?:how|what|why|when|where|who|which|am|is|are|was|were|do|does|did|can|could|will|would|shall|should|may|must|has"
    r"|have|had)\b",
    re.IGNORECASE,
)
# Before these a stop may as well be left out, and behind these, where they begin a text.
_JOINING: Final = frozenset("please though too".split())
_GROUPING: Final = frozenset({"or", "but"})  # beside which it says what belongs together
_OPENING: Final = frozenset("yes yeah yep hi hello hey hiya ok okay oh please thanks bye cheers".split())
# Before a noun these are one word, with a hyphen or without: "a long-term loan", "open source code". In "a small
# business owner" the hyphen says who is small.
_COMPOUND: Final = (
    frozenset("long short medium mid full part real high low open all first one well".split()),
    frozenset(
        "term time quality level scale speed cost risk end source class inclusive carb fat calorie known".split()
    ),
)
# Of what is written in one word, in two, or with a hyphen: "sign-up", "pay-as-you-go", "non-refundable".
_BEFORE_HYPHEN: Final = frozenset("co e ex mid mini multi non pre self semi".split())
_ASKING: Final = frozenset("how what why".split())
_AUXILIARIES: Final = frozenset(
    "am is are was were do does did can could will would shall should may must has have had".split()
)
_SUBJECTS: Final = frozenset("i you he she it we they there".split())
# What a clause begins with that something asked follows: "at the college, when is …".
_LEADING: Final = frozenset(
    "if when while as in at on for from near after before since because although though with".split()
)
_RELATIVE: Final = frozenset("who where when which".split())
_STOP: Final = re.compile(r"[.,;:!?()]|\s-+\s|--|-\s|\s-")
_FIRST_PERSON: Final = "i"
_EITHER_WAY: Final = frozenset({"am", "pm", "ok"}) | NEGATIONS  # "10 AM", "NOT"
_NAMES: Final = frozenset({"may", "will"})  # little words that are names with a capital
_SYMBOL: Final = 3  # letters: "mW", "kB"
_LEAST_TITLE: Final = 3  # words with a capital, the first aside
_SHORTENED: Final = frozenset(
    "e.g eg i.e ie cf vs mr mrs ms dr prof".split()
)  # a stop behind these ends nothing
_SMALL_IN_TITLES: Final = frozenset("a an and as at but by for from in of on or the to vs with".split())
# What an organisation's functions, documents and posts, and fields of work end with. Those of a state have names of
# their own: "the Home Department".
_OFFICE: Final = re.compile(
    r"\b(?:(?!Secret|State|Home|Foreign|Civil)[A-Z][a-z]+ (?:(?:of|and|&) )?){1,4}"
    r"(?:Service|Support|Team|Department|Desk|Cent(?:er|re)|Policy|Policies|Terms|Condition|Agreement|Manager|Engineer|Director"
    r"|Officer|Analyst|Developer|Assistant|Resource|Card|Account|Learning|Intelligence|Management|Engineering|Marketing"
    r"|Accounting|Insurance|Mortgage|Letter|Wage|Plan|Page|Settings|Menu|Button|Table|Hours|History|Status|Number|Fee|Address)(?:s|es)?\b"
)
# Whose accents tell them from another word of English.
_ACCENTED: Final = frozenset("exposé pâté rosé résumé résumés".split())
_OF_WORDS: Final = frozenset("mean means meaning pronounce pronounced say translate word words".split())
# At the end of a text, or of one that ends in a number or a letter by itself.
_ENDS: Final = re.compile(r"[.?!…]*|\s+\?")
_ENDS_NUMBER: Final = re.compile(r"[.?…]*|\s+\?")
_PICTURES: Final = re.compile(f"[{PICTURES}{VARIATION}]+")
_SIGNS: Final = frozenset(":/\\.$#@&|=<>*")  # right before a word that is part of a command


def are_same_words(ours: Reading, theirs: Reading) -> bool:
    """Accents aside."""
    return ours.low == theirs.low != () or (
        len(ours.low) == len(theirs.low) and bool(ours.low) and _folded(ours) == _folded(theirs)
    )


@once
def _folded(reading: Reading) -> tuple[str, ...]:
    return reading.low if reading.text.isascii() else tuple(map(_without_accents, reading.low))


@lru_cache(MOST_WORDS_KEPT)
def _without_accents(low: str) -> str:
    if low.isascii():
        return low
    return "".join(char for char in unicodedata.normalize("NFKD", low) if not unicodedata.combining(char))


def written_otherwise(ours: Reading, theirs: Reading) -> str:
    """What differs in two texts of the same words and may change what they mean, "" when nothing does."""
    mine, yours = quoted(ours), quoted(theirs)
    if mine and yours and mine != yours:
        return shown(mine, yours)
    asks_itself = _QUESTION.match(set_apart(ours)) and not _QUESTION.match(ours.text)
    if not asks_itself and (difference := set_apart_otherwise(ours, theirs)):
        return difference
    return _capitals_differ(ours, theirs) or _stops_differ(ours, theirs) or _ends_differ(ours, theirs)


@once
def quoted(reading: Reading) -> tuple[str, ...]:
    """What stands between quotation marks of any kind, letter for letter, in order."""
    if _MAY_QUOTE.search(reading.text) is None:
        return ()
    found = (match[1] or match[2] for match in _QUOTED.finditer(reading.text))
    return tuple(straight(each) for each in found if each.strip())


@once
def set_apart(reading: Reading) -> str:
    """What a text is about, where that is set apart from it by a colon or a line break; "" where nothing is."""
    found = _BEHIND.search(reading.text)
    return straight(reading.text[found.end() :]).strip() if found else ""


def set_apart_otherwise(ours: Reading, theirs: Reading) -> str:
    mine, yours = set_apart(ours), set_apart(theirs)
    return shown([mine], [yours]) if mine and yours and mine != yours else ""


def _capitals_differ(ours: Reading, theirs: Reading) -> str:
    """A word of which capitals or accents may make another one."""
    mine, yours = _as_meant(ours), _as_meant(theirs)
    for i, (one, other) in enumerate(zip(mine, yours, strict=True)):
        if one == other or straight(ours.shown[i]) == straight(theirs.shown[i]):
            continue
        if ours.low[i] != theirs.low[i]:
            is_harmless = _is_harmless_accent(ours, theirs, i)
        elif ours.low[i] in _varied(ours) or ours.low[i] in _varied(theirs):
            is_harmless = False
        elif (_is_small(ours) or _is_small(theirs)) and english_ahead(ours) > 0:
            is_harmless = _is_in_name(ours, i) or _is_one_word(ours, i, one, other)
        else:
            is_office = i in _offices(ours) or i in _offices(theirs)
            is_harmless = (
                is_office or _is_one_name(ours, i) or _is_emphasis(ours, i) or _bear_capitals(one, other)
            )
        if not is_harmless:
            return f"{ours.shown[i]} ≠ {theirs.shown[i]}"
    return ""


@once
def _as_meant(reading: Reading) -> tuple[str, ...]:
    """Words without the capitals that say nothing: those that begin a sentence, all of a text that has hardly any
    small letters, and that of "I".
    """
    if _is_loud(reading):
        return reading.low
    return tuple(
        low
        if shown != low
        and (
            low.partition("'")[0] == _FIRST_PERSON
            or (straight(shown[1:]) == low[1:] and _begins_sentence(reading, i))
        )
        else straight(shown)
        for i, (shown, low) in enumerate(zip(reading.shown, reading.low, strict=True))
    )


def _begins_sentence(reading: Reading, i: int) -> bool:
    return reading.begins_sentence(i) and not (i and reading.low[i - 1] in _SHORTENED)


@once
def _varied(reading: Reading) -> frozenset[str]:
    """Words that it has in other capitals as well, which are then what it is about: "replace Aids with AIDS"."""
    written = dict(zip(_as_meant(reading), reading.low, strict=True))
    ways = list(written.values())
    return frozenset(low for low in ways if ways.count(low) > 1)


@once
def _is_small(reading: Reading) -> bool:
    """Whether capitals were hardly thought of when it was typed: there are none, or nothing else, or "i" is one."""
    if _is_loud(reading) or _FIRST_PERSON in reading.shown:
        return True
    return all(low in (shown, _FIRST_PERSON) for shown, low in zip(reading.shown, reading.low, strict=True))


@once
def _is_loud(reading: Reading) -> bool:
    """Whether it is all in capitals, or a title, in which each word but the smallest begins with one."""
    if reading.text.isupper():
        return True
    inner = [shown for shown in reading.shown[1:] if shown[0].isalpha() and shown not in _SMALL_IN_TITLES]
    return len(inner) >= _LEAST_TITLE and all(shown[0].isupper() for shown in inner)


def _is_in_name(reading: Reading, i: int) -> bool:
    """Whether a name stands beside it, which it may be a part of: "Northern Ireland"."""
    beside = (each for each in (i - 1, i + 1) if 0 <= each < len(reading.low))
    return reading.low[i] not in FUNCTION and any(_is_one_name(reading, each) for each in beside)


def _is_one_word(reading: Reading, i: int, *written: str) -> bool:
    """Whether a word that somebody typed without a thought of capitals is no other with one: "Netflix", "ATM", "My";
    but "Turkey" may be, and "US", "RAM" and "Windows".
    """
    low = reading.low[i]
    is_acronym = any(len(each) > 1 and each.isupper() for each in written)
    if low in FUNCTION:
        return _is_emphasis(reading, i) or not (is_acronym or low in _NAMES)
    return _is_one_name(reading, i) or not english().is_ordinary(reading.lemmas[i])


def _is_one_name(reading: Reading, i: int) -> bool:
    """Whether it is never written without a capital by who thinks of them, and is no little word: "Friday"."""
    low, lemma, words = reading.low[i], reading.lemmas[i], english()
    if low in FUNCTION:
        return False
    if lemma != low and words.is_ordinary(low):  # nor a form of one that has none: "windows", "aids", "lent"
        return words.is_capital(low) and not words.is_ordinary(lemma)
    return words.is_capital(lemma)


@once
def _offices(reading: Reading) -> frozenset[int]:
    """Places of words that are a common thing's name though they begin with capitals: "Customer Service", "the Terms of
    Service". Of other words in a row capitals may make a name: "the White House", "Great Expectations".
    """
    found = [match.span() for match in _OFFICE.finditer(reading.text)]
    places = {
        i
        for i, (start, end) in enumerate(reading.spans)
        for first, last in found
        if first <= start and end <= last
    }
    return frozenset(i for i in places if not english().is_name(reading.lemmas[i]))


def _is_emphasis(reading: Reading, i: int) -> bool:
    return reading.low[i] in _EITHER_WAY


def _bear_capitals(mine: str, yours: str) -> bool:
    """ "iPhone", "Iphone", but not "mW" and "MW"."""
    return len(mine) > _SYMBOL and not mine.islower() and not yours.islower()


def _is_harmless_accent(ours: Reading, theirs: Reading, i: int) -> bool:
    """Of a word that English has taken over, and of a name of which no other word is left without it."""
    written, bare = {ours.low[i], theirs.low[i]}, _folded(ours)[i]
    if not LOANWORDS.isdisjoint(written):
        return _ACCENTED.isdisjoint(written)
    is_name = any(each.shown[i][0].isupper() for each in (ours, theirs)) and _OF_WORDS.isdisjoint(ours.low)
    return is_name and (english().is_name(bare) or not english().is_ordinary(bare))


def _stops_differ(ours: Reading, theirs: Reading) -> str:
    mine, yours = _between(ours), _between(theirs)
    if mine == yours:
        return ""
    low = ours.low
    for i, (one, other) in enumerate(zip(mine, yours, strict=True)):
        if one != other and not _says_nothing(one + other, low[:i], low[i:]):
            last = low[i - 1] if i else ""
            return f"{last}{_shown_sign(one)}{low[i]} ≠ {last}{_shown_sign(other)}{low[i]}"
    return ""


def _ends_differ(ours: Reading, theirs: Reading) -> str:
    """Marks behind the last word that are no end of a sentence ("5!", "A-", "ls ..", ":wq!"), with that word."""
    mine, yours = _behind(ours), _behind(theirs)
    if mine.strip() == yours.strip() or (_ends_sentence(ours, mine) and _ends_sentence(theirs, yours)):
        return ""
    return f"{ours.low[-1]}{mine} ≠ {theirs.low[-1]}{yours}"


def _behind(reading: Reading) -> str:
    """But for pictures, which `spelling` compares."""
    return _PICTURES.sub("", straight(reading.text[reading.spans[-1][1] :])).translate(_UNQUOTED).rstrip()


def _ends_sentence(reading: Reading, behind: str) -> bool:
    """Whether what stands behind the last word is nothing but what ends a sentence, if anything."""
    start, end = reading.spans[-1]
    is_word = end - start > 1 and reading.text[end - 1].isalpha() and reading.text[:start][-1:] not in _SIGNS
    return (_ENDS if is_word else _ENDS_NUMBER).fullmatch(behind) is not None


def _shown_sign(sign: str) -> str:
    return f"{sign} " if sign in {",", ""} else sign


def _says_nothing(sign: str, before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether a sign may as well be left out between two words."""
    last, following = before[-1] if before else "", after[0]
    if sign == ",":
        is_led = bool(before) and before[0] in _LEADING and following in _RELATIVE
        is_listed = following == "and" and _GROUPING.isdisjoint(before + after)
        return is_listed or following in _JOINING or _OPENING.issuperset(before) or is_led or _asks(after)
    if sign == "-":
        if last in _COMPOUND[0] and following in _COMPOUND[1]:
            return True
        joined = {last, following, following.removesuffix("s")} - NEGATIONS
        is_counted = any(map(is_quantity_word, joined))
        return last in _BEFORE_HYPHEN or not (is_counted or joined.isdisjoint(FUNCTION))
    return False


def _asks(words: tuple[str, ...]) -> bool:
    """Whether a question begins: "can I", "how do I". Behind "how" by itself, and "where", what was said may go on."""
    first, second = (*words[words[0] in _ASKING :], "", "")[:2]
    return first in _AUXILIARIES and second in _SUBJECTS


@once
def _between(reading: Reading) -> list[str]:
    """What stands before each word: "," for any stop, "-" for a hyphen, other signs as they are; "" for a blank, and
    for marks that are looked at elsewhere.
    """
    text = reading.text
    ends = [0, *(end for _, end in reading.spans)]
    found = [text[end:start] for end, (start, _) in zip(ends, reading.spans, strict=False)]
    return [_sign(each) for each in found]


@lru_cache(MOST_WORDS_KEPT)
def _sign(between: str) -> str:
    bare = "".join(char for char in straight(between) if char not in _MARKS and char != "'")
    if _STOP.search(bare):
        return ","
    return bare.strip()


def shown(mine: Iterable[str], yours: Iterable[str]) -> str:
    return f"{' '.join(mine) or 'none'} ≠ {' '.join(yours) or 'none'}"


def straight(text: str) -> str:
    """With one kind of apostrophe and one of dash."""
    return text.translate(_STRAIGHT)
