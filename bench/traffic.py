"""Traffic like that of the audit which Tollway answers: arrivals of a real trace, and prompts of which some are said
again, some are said in other words, and some only look like others. For `bench.seed`, and anybody who replays it.

Prompts are those of labelled pairs (fow-cache, semanticmemo, Quora), so it is known of any two of them whether one's
answer may be given to the other. They are read from a folder that is not part of this repository.
"""

import gzip
import itertools
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

SETS: Final = ("fow_pairs", "semanticmemo_pairs", "qqp_pairs")
TRACE: Final = "azure2023_conv"
# Of the requests: 34 % repeat an earlier one, and 45 % can be answered from memory at all. How many look alike and mean
# something else the audit does not say: as many as say the same in other words.
REPEATS: Final = 0.34
PARAPHRASES: Final = 0.45 - REPEATS
NEAR_MISSES: Final = PARAPHRASES


class Kind(StrEnum):
    NEW = "new"
    NEAR_MISS = "near miss"  # new, and labelled as different from what was asked before
    PARAPHRASE = "paraphrase"  # not asked before in these words
    REPEAT = "repeat"  # word for word


@dataclass(frozen=True)
class Ask:
    """One request. Whose `meaning` is the same may have the same answer."""

    due_s: float
    prompt: str
    kind: Kind
    meaning: int
    source: str  # the set that it is from


def rows(path: Path) -> Iterator[Mapping[str, object]]:
    """Of a gzipped file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def arrivals(data: Path, count: int, rate: float) -> list[float]:
    """When so many requests of the trace came, in seconds since the first, at so many a second in the mean."""
    came = [float(str(row["t"])) for row in itertools.islice(rows(data / f"load/{TRACE}.jsonl.gz"), count)]
    if len(came) < count:
        raise ValueError(f"the trace has {len(came):,} requests, {count:,} were asked for")
    scale = (count - 1) / rate / (came[-1] - came[0])
    return [(each - came[0]) * scale for each in came]


@dataclass
class Labelled:
    """What one set says of its prompts."""

    texts: dict[int, list[str]] = field(default_factory=dict)  # by meaning
    unlike: dict[int, dict[str, int]] = field(
        default_factory=dict
    )  # what looks like a meaning, and what it means


def labelled(pairs: Iterable[Mapping[str, object]], first: int = 0) -> Labelled:
    """Meanings are the components of what was labelled the same, numbered from `first` on. A pair that was labelled
    different, but is connected all the same, tells nothing.
    """
    found, above = Labelled(), dict[str, str]()

    def root(text: str) -> str:
        while (higher := above.setdefault(text, text)) != text:
            above[text] = above[higher]
            text = above[text]
        return text

    kept = [(str(each["a"]), str(each["b"]), bool(each["same"])) for each in pairs]
    for one, other, is_same in kept:
        first_root, second_root = root(one), root(other)
        if is_same:
            above[first_root] = second_root
    numbers: dict[str, int] = {}
    for text in above:
        meaning = numbers.setdefault(root(text), first + len(numbers))
        found.texts.setdefault(meaning, []).append(text)
    for one, other, is_same in kept:
        ours, theirs = numbers[root(one)], numbers[root(other)]
        if not is_same and ours != theirs:
            found.unlike.setdefault(ours, {})[other] = theirs
            found.unlike.setdefault(theirs, {})[one] = ours
    return found


def read(data: Path) -> dict[str, Labelled]:
    """All sets; no two share a meaning."""
    found: dict[str, Labelled] = {}
    first = 0
    for name in SETS:
        found[name] = labelled(rows(data / f"cache/{name}.jsonl.gz"), first)
        first += len(found[name].texts)
    return found


@dataclass(frozen=True)
class _Prompt:
    text: str
    meaning: int
    source: str


class _Stock:
    """What of a set has not been asked yet, in random order."""

    def __init__(self, name: str, known: Labelled, draw: random.Random) -> None:
        self._name, self._known, self._draw = name, known, draw
        self._unasked = list(known.texts)
        draw.shuffle(self._unasked)
        self._asked: set[int] = set()
        self._other_words: list[_Prompt] = []
        self._look_alikes: list[_Prompt] = []

    def new(self) -> _Prompt | None:
        while self._unasked:
            if (meaning := self._unasked.pop()) not in self._asked:
                return self._first(_Prompt(self._known.texts[meaning][0], meaning, self._name))
        return None

    def near_miss(self) -> _Prompt | None:
        while self._look_alikes:
            if (prompt := self._any(self._look_alikes)).meaning not in self._asked:
                return self._first(prompt)
        return None

    def paraphrase(self) -> _Prompt | None:
        return self._any(self._other_words) if self._other_words else None

    def _any(self, of: list[_Prompt]) -> _Prompt:
        place = self._draw.randrange(len(of))
        of[place], of[-1] = of[-1], of[place]
        return of.pop()

    def _first(self, prompt: _Prompt) -> _Prompt:
        """Of its meaning; from now on it may be said in other words, and missed nearly."""
        self._asked.add(prompt.meaning)
        said = self._known.texts[prompt.meaning]
        self._other_words += [replace(prompt, text=each) for each in said if each != prompt.text]
        unlike = self._known.unlike.get(prompt.meaning, {})
        self._look_alikes += [_Prompt(text, meaning, self._name) for text, meaning in unlike.items()]
        return prompt


def traffic(sets: Mapping[str, Labelled], due_s: Sequence[float], seed: int) -> list[Ask]:
    """Kinds come at random by their shares; where a kind has nothing to offer yet, something new is asked. What is new
    is taken from the sets in turn, for as long as each lasts, and so is what is said in other words. What repeats is
    any earlier request with the same probability, so that few prompts are asked very often and most hardly ever, as in
    H. A. Simon, "On a Class of Skew Distribution Functions" (1955). Raises ValueError where prompts run out.
    """
    draw = random.Random(seed)  # noqa: S311 - traffic that can be repeated
    stocks = [_Stock(name, known, draw) for name, known in sets.items()]
    taking = {
        Kind.PARAPHRASE: [each.paraphrase for each in stocks],
        Kind.NEAR_MISS: [each.near_miss for each in stocks],
        Kind.NEW: [each.new for each in stocks],
    }
    made: list[Ask] = []

    def taken(kind: Kind) -> _Prompt | None:
        offers = taking[kind]
        for _ in offers:
            offers.append(offers.pop(0))
            if (found := offers[-1]()) is not None:
                return found
        return None

    shares = {Kind.REPEAT: REPEATS, Kind.PARAPHRASE: PARAPHRASES, Kind.NEAR_MISS: NEAR_MISSES}
    shares[Kind.NEW] = 1 - sum(shares.values())
    for due, drawn in zip(
        due_s, draw.choices(list(shares), list(shares.values()), k=len(due_s)), strict=True
    ):
        if drawn is Kind.REPEAT and made:
            made.append(replace(draw.choice(made), due_s=due, kind=drawn))
            continue
        kind = drawn if drawn is not Kind.REPEAT else Kind.NEW
        if (prompt := taken(kind)) is None:
            kind, prompt = Kind.NEW, taken(Kind.NEW)
        if prompt is None:
            raise ValueError(f"all prompts have been asked after {len(made):,} requests")
        made.append(Ask(due, prompt.text, kind, prompt.meaning, prompt.source))
    return made
