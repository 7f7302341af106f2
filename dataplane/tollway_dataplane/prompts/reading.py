"""A prompt as the judge sees it: its words, what each is known as, and the facts on which two prompts must agree. Pure;
the reading of a remembered prompt is made anew from its text, only the word vectors are stored.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from tollway_dataplane.core.cached_property import cached
from tollway_dataplane.prompts.everyday_words import FUNCTION, NEGATIONS, PERSONS, POLARITY, SCOPE
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.quantities import (
    QUANTITY_WORDS,
    Quantity,
    calendar,
    is_quantity_word,
    quantities,
)

WordVectors = npt.NDArray[np.int8]  # (content words, dimensions), each row of length 127 or zero

# Words that come up again and again.
MOST_WORDS_KEPT: Final = 10_000
_WORD: Final = re.compile(r"\d+(?:[.,:]\d+)*[^\W\d_]*|[^\W_]+(?:[.'’][^\W_]+)*(?:\+\+|#)?|[$€£¥₹%°]")
_FIGURES: Final = re.compile(r"[\d\"`$%]|[^\x00-\x7f]|[A-Z]{2}")
_MAY_COUNT: Final = re.compile(r"\d|[^\x00-\x7f]")
_PLAIN_WORD: Final = re.compile(r"[a-z]+")
_QUOTED: Final = re.compile(r"[\"“”«»`]([^\"“”«»`]{1,80})[\"“”«»`]")
_QUESTIONS: Final = (
    ("number", re.compile(r"\b(how many|how much|what(?:'s| is) the (?:price|cost|amount|number|fee))\b")),
    ("duration", re.compile(r"\bhow (long|soon|quickly|fast)\b")),
    ("time", re.compile(r"\b(when|what time|what date|which day|deadline)\b")),
    ("place", re.compile(r"\b(where|whereabouts)\b")),
    ("person", re.compile(r"\b(who|whom|whose)\b")),
    ("cause", re.compile(r"\b(why|how come|what causes?)\b")),
    ("manner", re.compile(r"\b(how|what(?:'s| is| are) the (?:way|steps|process|procedure)|steps to)\b")),
    ("choice", re.compile(r"\b(which|what)\b")),
    ("whether", re.compile(r"^\W*(is|are|am|was|were|do|does|did|can|could|will|would|should|has|have|may)\b")),
)  # fmt: skip
# None is found without one of these words.
_SIGNS: Final = {
    kind: frozenset(words.split())
    for kind, words in {
        "number": "how what", "duration": "how", "time": "when what which deadline", "place": "where whereabouts",
        "person": "who whom whose", "cause": "why how what", "manner": "how what steps", "choice": "which what",
        "whether": "is are am was were do does did can could will would should has have may",
    }.items()
}  # fmt: skip
# What a particle makes of the verb shortly before it: "switch off", "turn the volume up", "leave out".
_PARTICLES: Final[dict[str, tuple[str, int, frozenset[str]]]] = {
    particle: (axis, side, frozenset(verbs.split()))
    for particle, axis, side, verbs in (
        ("on", "operation", 1, "turn switch power put keep leave toggle set bring go"),
        (
            "off",
            "operation",
            -1,
            "turn switch power put call shut cut lay take log sign back toggle set be hold",
        ),
        ("up", "magnitude", 1, "scale turn move go size speed ramp bump push step dial bring crank"),
        (
            "down",
            "magnitude",
            -1,
            "scale turn move go size slow ramp shut take bring cut tone step dial tear",
        ),
        ("out", "existence", -1, "leave take cut opt log sign phase rule filter throw pull"),
        ("back", "existence", -1, "roll hold push turn scale cut pull"),
        ("away", "existence", -1, "take throw send turn give"),
    )
}
_SCOPE_WORDS: Final = frozenset(SCOPE)
_LINKS: Final = {
    word: role
    for role, words in {"from": "from leaving", "to": "to into onto toward towards"}.items()
    for word in words.split()
}
_NEGATION: Final[tuple[str, int, frozenset[str]]] = ("", -1, frozenset())
_REACH: Final = 5  # words that a negation turns over
# Only what is done turns a sentence over; "missing" in "keep the missing rows" does not.
TURNING: Final = frozenset("existence permission operation exchange sight".split())
# Of a name; what stands after its stop is no beginning of a sentence.
_INITIALS: Final = re.compile(r"[A-HJ-Z]|[A-Z](?:\.[A-Z])+")


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder makes of a text."""

    vector: npt.NDArray[np.float32]  # of length 1
    hidden: npt.NDArray[np.float32]  # (tokens, dimensions), special tokens left out
    offsets: Sequence[tuple[int, int]]  # where each token stands in the text


@dataclass(frozen=True)
class Reading:
    text: str
    shown: tuple[str, ...]  # words as written
    low: tuple[str, ...]
    lemmas: tuple[str, ...]
    content: tuple[int, ...]  # places of the words that carry what is asked

    @cached
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Where each word stands in the text."""
        return tuple(match.span() for match in _WORD.finditer(self.text))

    @cached
    def plain(self) -> str:
        """The text without what is capital, with straight apostrophes, as patterns of words want it."""
        return self.text.casefold().replace("’", "'")

    @cached
    def plain_words(self) -> list[str]:
        """The runs of letters from a to z in it: "don't" is "don" and "t"."""
        return _PLAIN_WORD.findall(self.plain)

    @cached
    def plain_set(self) -> frozenset[str]:
        """The same, for asking whether a pattern of words can be found at all."""
        return frozenset(self.plain_words)

    @cached
    def has_figures(self) -> bool:
        """Whether it may have quantities, dates, codes, units, quoted text or words in capitals."""
        return _FIGURES.search(self.text) is not None or not self.plain_set.isdisjoint(QUANTITY_WORDS)

    @cached
    def quantities(self) -> tuple[Quantity, ...]:
        return quantities(self.low)

    @cached
    def calendar(self) -> frozenset[str]:
        return calendar(self.shown)

    @cached
    def codes(self) -> frozenset[str]:
        """Words with digits that are no amounts: "P60", "HTTP2", "3.11.2", "1:3", "½"."""
        if _MAY_COUNT.search(self.text) is None:
            return frozenset()
        amounts = {word for quantity in self.quantities for word in quantity.text.split()}
        return frozenset(
            word
            for word in self.low
            if not (word.isascii() and word.isalpha())
            and any(map(str.isnumeric, word))
            and word not in amounts
        )

    @cached
    def quoted(self) -> frozenset[str]:
        return frozenset(" ".join(match.casefold().split()) for match in _QUOTED.findall(self.text))

    @cached
    def names(self) -> frozenset[str]:
        """Lemmas of words that are names by themselves or capital within a sentence. The capitals of a prompt all in
        capitals or in title case say nothing.
        """
        known = frozenset(self.lemmas[i] for i in self.content if english().is_name(self.lemmas[i]))
        if not any(self.shown[i][0].isupper() for i in self.content if i):
            return known
        inner = [i for i in self.content if self.shown[i][0].isalpha() and not self.begins_sentence(i)]
        capital = [i for i in inner if self.shown[i][0].isupper()]
        if self.text.isupper() or (len(capital) > 2 and len(capital) >= 0.8 * len(inner)):
            return known
        return known | frozenset(self.lemmas[i] for i in capital)

    @cached
    def negations(self) -> int:
        return sum(map(_is_negation, self.low))

    @cached
    def polarity(self) -> tuple[tuple[str, str, int], ...]:
        """Words on a side of an axis, turned over by a negation shortly before: (lemma, axis, side)."""
        return self._stances[0]

    @property
    def _sides(self) -> tuple[tuple[str, int], ...]:
        return self._stances[1]

    @cached
    def _stances(self) -> tuple[tuple[tuple[str, str, int], ...], tuple[tuple[str, int], ...]]:
        """Words on a side of an axis, with and without what negations make of them."""
        found: list[tuple[str, str, int]] = []
        sides: list[tuple[str, int]] = []
        reach = -1  # the last word that a negation reaches
        stances = map(_stance, self.low, self.lemmas)
        for i, stance in [(i, stance) for i, stance in enumerate(stances) if stance]:
            lemma = self.lemmas[i]
            if stance == _NEGATION:
                reach = -1 if i <= reach else i + _REACH
                continue
            axis, side, verbs = stance
            if verbs and verbs.isdisjoint(self.lemmas[max(0, i - 4) : i]):
                continue
            if axis in TURNING:
                sides.append((lemma, side))
            found.append((lemma, axis, -side if i <= reach else side))
            reach = -1
        return tuple(found), tuple(sides)

    @cached
    def turns(self) -> tuple[str, ...]:
        """What turns the sentence over: negations, and words on the side of "not"."""
        against = tuple(lemma for lemma, side in self._sides if side < 0)
        return ("not",) * self.negations + against

    @cached
    def scope(self) -> frozenset[str]:
        words = self.plain_set
        if "most recent" in self.plain:
            words = frozenset(_PLAIN_WORD.findall(self.plain.replace("most recent", "latest")))
        return frozenset(SCOPE[word] for word in _SCOPE_WORDS & words)

    @cached
    def persons(self) -> frozenset[str]:
        return frozenset(person for person, words in PERSONS.items() if not words.isdisjoint(self.low))

    @cached
    def question(self) -> str:
        """What kind of answer is wanted; "" for an order or a statement."""
        plain, words = self.plain, self.plain_set
        for kind, pattern in _QUESTIONS:
            if not _SIGNS[kind].isdisjoint(words) and pattern.search(plain):
                return kind
        return ""

    @cached
    def roles(self) -> dict[str, str]:
        """Content words that stand right after "from" or "to"."""
        found: dict[str, str] = {}
        role = ""
        for i, low in enumerate(self.low):
            if low in _LINKS:
                role = _LINKS[low]
            elif i in self._content_places:
                if role:
                    found.setdefault(self.lemmas[i], role)
                role = ""
            elif low not in {"my", "the", "a", "an", "our", "your"}:
                role = ""
        return found

    @cached
    def trigrams(self) -> frozenset[tuple[str, str, str]]:
        text = f" {' '.join(self.low)} "
        return frozenset(zip(text, text[1:], text[2:], strict=False))

    @cached
    def _content_places(self) -> frozenset[int]:
        return frozenset(self.content)

    def begins_sentence(self, i: int) -> bool:
        if i == 0:
            return True
        between = self.text[self.spans[i - 1][1] : self.spans[i][0]]
        if between == ". " and _INITIALS.fullmatch(self.shown[i - 1]):
            return False
        return between != " " and any(mark in between for mark in ".!?:\n")


def read(text: str) -> Reading:
    shown = tuple(_WORD.findall(text))
    low = tuple(map(str.casefold, shown))
    if "’" in text:
        low = tuple(word.replace("’", "'") for word in low)
    lemmas = tuple(map(english().lemma, low))
    capitals = text.isupper()
    content = tuple(
        i
        for i, word in enumerate(low)
        if _carries(word) or (shown[i] != word and _is_acronym(shown[i], word, capitals))
    )
    if not content:
        content = tuple(range(len(low)))
    return Reading(text, shown, low, lemmas, content)


@lru_cache(maxsize=2_048)
def read_again(text: str) -> Reading:
    """Kept for a while: a chat's turns come again with each of its messages, and with each candidate."""
    return read(text)


@lru_cache(MOST_WORDS_KEPT)
def _carries(low: str) -> bool:
    """Whether a word is part of what is asked, however it is written."""
    base = low.partition("'")[0]
    is_little = low in FUNCTION or (base in FUNCTION and "'" in low) or _is_negation(low)
    return not is_little and not is_quantity_word(low)


def _is_acronym(shown: str, low: str, capitals: bool) -> bool:
    """ "IT" is not "it", "US" is not "us"."""
    is_capital = len(shown) > 1 and shown.isupper() and not capitals
    return is_capital and low not in NEGATIONS and not is_quantity_word(low)


@lru_cache(MOST_WORDS_KEPT)
def _stance(low: str, lemma: str) -> tuple[str, int, frozenset[str]] | None:
    """The axis and the side on which a word stands, and after which verbs alone; or that it is a negation."""
    if _is_negation(low):
        return _NEGATION
    if low in _PARTICLES:
        return _PARTICLES[low]
    hit = None if low in FUNCTION else POLARITY.get(lemma) or POLARITY.get(low)
    return None if hit is None else (*hit, frozenset())


@lru_cache(MOST_WORDS_KEPT)
def _is_negation(low: str) -> bool:
    return low.endswith("n't") or low.replace("'", "") in NEGATIONS


def word_vectors(
    reading: Reading, hidden: npt.NDArray[np.floating], offsets: Sequence[tuple[int, int]]
) -> WordVectors:
    """The mean of the encoder's token vectors within each content word, in 8 bits.

    `hidden` has a row for each token of `offsets`, special tokens left out. Words past the encoder's end are zero.
    """
    rows = np.zeros((len(reading.content), hidden.shape[1]), dtype=np.float32)
    whole: list[int] = []  # rows of words that are one token, as most are
    tokens: list[int] = []
    at = 0
    for row, i in enumerate(reading.content):
        start, end = reading.spans[i]
        while at < len(offsets) and offsets[at][1] <= start:
            at += 1
        stop = at
        while stop < len(offsets) and offsets[stop][0] < end:
            stop += 1
        if stop == at + 1:
            whole.append(row)
            tokens.append(at)
        elif stop > at:
            rows[row] = np.add.reduce(hidden[at:stop]) / (stop - at)
    rows[whole] = hidden[tokens]
    # What `np.linalg.norm` gives, without what that does around it.
    length = np.sqrt(np.add.reduce(rows * rows, axis=1, keepdims=True))
    packed: WordVectors = np.rint(rows * (127 / np.maximum(length, 1e-9))).astype(np.int8)
    return packed
