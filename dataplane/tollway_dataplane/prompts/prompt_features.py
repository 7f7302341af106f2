"""What can be seen of a prompt at once: how long it is, whether it asks for code or for sums, how it asks, in which
script. Pure; called by `router`, and by `tools/router_training.py`.
"""

import re
from math import expm1, log1p
from typing import Final

# Past this no more is looked at but the length, so that the longest prompt takes no longer than a long one.
MOST_CHARACTERS: Final = 6_000
_MOST_OF_A_QUESTION: Final = 400  # characters; what is asked stands at the end
_LEAST_OPTIONS: Final = 3
_MOST_OPTIONS: Final = 10

# All of these, and each alternative, begin with a character or a set of them, which Python looks for many times quicker
# than for a repetition or the edge of a word; so whether that was one is asked behind the word.
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_ASCII_WORD: Final = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")  # the same of ASCII, found quicker
_NUMBER: Final = re.compile(r"\d\d*(?:[.,]\d+)*")
_SENTENCE_END: Final = re.compile(r"[.!?](?:\s|$)")
_OPTION: Final = re.compile(r"^\(?([A-J])[.):]\s", re.MULTILINE)
_CODE: Final = re.compile(
    r"```|def (?<!\wdef )\w+|class (?<!\wclass )\w+|import (?<!\wimport )\w|#include|return\b(?<!\wreturn)"
    r"|\{$|\}$|;$|=>|==|</\w+>|SELECT\b(?<!\wSELECT)|assert (?<!\wassert )|>>>",
    re.MULTILINE,
)
_PROGRAMMING: Final = frozenset(
    "python java javascript function functions program code script algorithm sql html css regex api array string"
    " implement compile debug bug exception class method recursion".split()
)
_FORMULA: Final = re.compile(r"\\[a-zA-Z]+|\$[^$\n]{1,200}\$|=|\^|≤|≥|√|∑|∫|π")
_MONEY: Final = re.compile(r"[$€£%]")
_AMOUNTS: Final = frozenset(
    "percent half twice third quarter dozen double triple each every per times total altogether remaining more less"
    " fewer average many much".split()
)
_DOING: Final = frozenset(
    "write compose create draft generate implement design develop craft imagine pretend rewrite summarize summarise"
    " translate list describe explain give provide edit evaluate analyze analyse extract identify".split()
)
_ASKING: Final = ("who", "what", "when", "where", "which", "how", "why")
_DENYING: Final = frozenset("not except never least false incorrect".split())

NAMES: Final = (
    *("words", "stem_words", "word_length", "lines", "sentences", "varied"),
    *("numbers", "number_share", "amounts", "formulas", "code", "programming"),
    *("choice", "options", "option_words", "numeric_options"),
    *("asks", "does", "denies", "statements"),
    *_ASKING,
    *("capitals", "quotes", "foreign"),
)

# These are counts, of which the logarithm is taken: whether there are 10 or 20 says more than whether 510 or 520.
_COUNTED: Final = frozenset(
    "words stem_words lines sentences numbers amounts formulas code option_words quotes".split()
)


def in_counts(name: str, value: float) -> float:
    """What a feature says to somebody who reads it."""
    return expm1(value) if name in _COUNTED else value


def features(text: str) -> list[float]:
    """In the order of NAMES."""
    seen = text[:MOST_CHARACTERS]
    letters = _OPTION.findall(seen)
    options = min(_MOST_OPTIONS, len(set(letters)))
    is_choice = options >= _LEAST_OPTIONS
    first = _OPTION.search(seen) if is_choice else None
    stem, rest = (seen[: first.start()], seen[first.start() :]) if first else (seen, "")
    words_in = (_ASCII_WORD if seen.isascii() else _WORD).findall
    words, others = words_in(stem), words_in(rest)
    low = [word.lower() for word in words]
    known = frozenset(low)
    numbers = _NUMBER.findall(stem)
    question = stem[-_MOST_OF_A_QUESTION:].lower()
    asked = frozenset(words_in(question))
    # What was not looked at counts as if it were like the rest.
    scale = len(text) / max(1, len(seen))
    count, size = len(words) + len(others), max(1, len(words))
    return [
        log1p(count * scale),
        log1p(len(words) * scale),
        sum(map(len, words)) / size,
        log1p(seen.count("\n") * scale),
        log1p(len(_SENTENCE_END.findall(stem)) * scale),
        len(known) / size**0.8,
        log1p(len(numbers)),
        len(numbers) / (len(words) + 5),
        log1p(len(_MONEY.findall(stem)) + sum(map(_AMOUNTS.__contains__, low))),
        log1p(len(_FORMULA.findall(stem))),
        log1p(len(_CODE.findall(seen))),
        float(min(3, len(known & _PROGRAMMING))),
        float(is_choice),
        float(options if is_choice else 0),
        log1p(len(others) / options) if is_choice else 0.0,
        float(is_choice and len(_NUMBER.findall(rest)) > options / 2),
        float("?" in question),
        float(not known.isdisjoint(_DOING) and not _DOING.isdisjoint(low[:4])),
        float(not asked.isdisjoint(_DENYING)),
        float("statement 1" in seen[:_MOST_OF_A_QUESTION].lower()),
        *(float(word in asked) for word in _ASKING),
        sum(map(str.isupper, [word[0] for word in words[1:]])) / size,
        log1p(seen.count('"')),
        sum(map(len, _FOREIGN.findall(seen))) / max(1, len(seen)),
    ]


_FOREIGN: Final = re.compile(r"[^\x00-\x7f\u2010-\u2027][^\x00-\x7f\u2010-\u2027]*")
