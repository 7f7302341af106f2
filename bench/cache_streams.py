"""Replays a stream of requests against an empty cache: a miss is stored, a hit is right when the entry it is served
from is of the same class. Called by `cache_quality`.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
STEPS = 80


class Outcome(NamedTuple):
    threshold: float
    hit_rate: float
    error_rate: float  # wrong of all requests
    wrong_share: float  # wrong of hits


def replay(
    classes: Sequence[str], near: Sequence[tuple[int, int]], scores: Scores, threshold: float
) -> Outcome:
    """The best of the nearest entries that reaches the threshold is served."""
    reach: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for (row, earlier), score in zip(near, scores, strict=True):
        if score >= threshold:
            reach[row].append((float(score), earlier))
    stored = np.zeros(len(classes), dtype=bool)
    hits = wrong = 0
    for row, label in enumerate(classes):
        found = [(score, earlier) for score, earlier in reach.get(row, ()) if stored[earlier]]
        if found:
            hits += 1
            wrong += classes[max(found)[1]] != label
        else:
            stored[row] = True
    return Outcome(threshold, hits / len(classes), wrong / len(classes), wrong / hits if hits else 0.0)


def sweep(classes: Sequence[str], near: Sequence[tuple[int, int]], scores: Scores) -> list[Outcome]:
    """By rising threshold."""
    steps = np.unique(np.quantile(scores[scores > 0], np.linspace(0.01, 0.999, STEPS)))
    return [replay(classes, near, scores, float(threshold)) for threshold in steps]


def best(
    classes: Sequence[str], near: Sequence[tuple[int, int]], scores: Scores, kind: str, limit: float
) -> Outcome:
    """The most hits at which the errors, of all requests or of hits, stay within the limit."""
    return best_of(sweep(classes, near, scores), kind, limit)


def best_of(outcomes: Sequence[Outcome], kind: str, limit: float) -> Outcome:
    top = Outcome(1.0, 0.0, 0.0, 0.0)
    for found in outcomes:
        errors = found.error_rate if kind == "errors of all" else found.wrong_share
        if errors <= limit and found.hit_rate > top.hit_rate:
            top = found
    return top
