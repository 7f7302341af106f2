"""Labelled prompts of the semantic cache, read from a folder that is not part of this repository, with what the encoder
makes of each text. Encoding is slow, so it is kept in a file beside what is asked for.
"""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tollway_dataplane.judgement.judge import Judge, Verdict, View, ruling
from tollway_dataplane.judgement.pair_features import features
from tollway_dataplane.prompts.reading import Encoded, Reading, WordVectors, read, word_vectors
from tools.kept_encodings import KeptEncodings

Row = dict[str, Any]
Floats = npt.NDArray[np.float32]
_BATCH: Final = 32
_NO_ADAPTER: Final = np.zeros(
    (0, 0), dtype=np.float32
)  # what is decided without the learned part asks for none


def rows(folder: Path, name: str) -> list[Row]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Encodings:
    """Sentence vector and word vectors of every text asked for."""

    def __init__(self, kept: Path) -> None:
        self._known = KeptEncodings(kept, self._made, _BATCH)
        self._readings: dict[str, Reading] = {}
        self._features: dict[tuple[str, str], Floats] = {}
        self._views: dict[str, View] = {}
        self._rulings: dict[tuple[str, str], Verdict | None] = {}

    def add(self, texts: Iterable[str]) -> None:
        self._known.add(texts)

    def _made(self, text: str, encoded: Encoded) -> tuple[Floats, WordVectors]:
        return encoded.vector, word_vectors(self.reading(text), encoded.hidden, encoded.offsets)

    def reading(self, text: str) -> Reading:
        found = self._readings.get(text)
        if found is None:
            found = self._readings[text] = read(text)
        return found

    def vector(self, text: str) -> Floats:
        return self._known[text][0]

    def words(self, text: str) -> WordVectors:
        return self._known[text][1]

    def features(self, a: str, b: str) -> Floats:
        """Kept, since they are the same either way round and asked for again."""
        key = (a, b) if a < b else (b, a)
        found = self._features.get(key)
        if found is None:
            cosine = float(self.vector(a) @ self.vector(b))
            row = features(self.reading(a), self.reading(b), self.words(a), self.words(b), cosine)
            found = self._features[key] = np.array(row, dtype=np.float32)
        return found

    def view(self, text: str, judge: Judge) -> View:
        found = self._views.get(text)
        if found is None:
            found = self._views[text] = judge.view(self.reading(text), self.vector(text), self.words(text))
        return found

    def ruling(self, a: str, b: str) -> Verdict | None:
        """What is decided without the learned part, if anything. Kept, since it hangs on no weights."""
        key = (a, b) if a < b else (b, a)
        if key not in self._rulings:
            one, other = (
                View(self.reading(text), self.words(text), self.vector(text), _NO_ADAPTER) for text in (b, a)
            )
            self._rulings[key] = ruling(one, other)
        return self._rulings[key]


def neighbours(vectors: Floats, count: int, least: float) -> list[tuple[int, int]]:
    """Of each row the nearest earlier rows, as (row, earlier row), the nearest first."""
    found: list[tuple[int, int]] = []
    for row in range(1, len(vectors)):
        similarity = vectors[:row] @ vectors[row]
        few = np.arange(row) if row <= count else np.argpartition(-similarity, count - 1)[:count]
        nearest = few[np.argsort(-similarity[few], kind="stable")]
        found += [(row, int(earlier)) for earlier in nearest if similarity[earlier] >= least]
    return found
