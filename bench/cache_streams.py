"""Replays a stream of requests against an empty cache: a miss is stored, a hit is right when the entry it is served
from is of the same class. Called by `cache_quality`.
"""

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tools.train_judge import NEIGHBOURS

Scores = npt.NDArray[np.float64]
STEPS = 100


class Outcome(NamedTuple):
    threshold: float
    hit_rate: float
    error_rate: float  # wrong of all requests
    wrong_share: float  # wrong of hits


def replay(
    classes: Sequence[str], near: Sequence[tuple[int, int]], scores: Scores, threshold: float
) -> Outcome:
    """Of the nearest entries that are stored, as many as a look-up fetches, the likeliest that reaches the threshold is
    served. `near` has the nearest of a row first, and more than are fetched, since what was a hit is not stored.
    """
    return _replay(classes, _of_rows(classes, near, scores), threshold)


def sweep(classes: Sequence[str], near: Sequence[tuple[int, int]], scores: Scores) -> list[Outcome]:
    """By rising threshold."""
    candidates = _of_rows(classes, near, scores)
    highest = [top for each in candidates if (top := max(each, default=(0.0, 0))[0]) > 0]
    steps = np.unique(np.quantile(highest, np.linspace(0.01, 0.999, STEPS)))
    return [_replay(classes, candidates, float(threshold)) for threshold in steps]


def _of_rows(
    classes: Sequence[str], near: Sequence[tuple[int, int]], scores: Scores
) -> list[list[tuple[float, int]]]:
    found: list[list[tuple[float, int]]] = [[] for _ in classes]
    for (row, earlier), score in zip(near, scores.tolist(), strict=True):
        found[row].append((score, earlier))
    return found


def _replay(
    classes: Sequence[str], candidates: Sequence[Sequence[tuple[float, int]]], threshold: float
) -> Outcome:
    stored = [False] * len(classes)
    hits = wrong = 0
    for row, label in enumerate(classes):
        fetched = islice((each for each in candidates[row] if stored[each[1]]), NEIGHBOURS)
        score, earlier = max(fetched, default=(0.0, row))
        if score >= threshold:
            hits += 1
            wrong += classes[earlier] != label
        else:
            stored[row] = True
    return Outcome(threshold, hits / len(classes), wrong / len(classes), wrong / hits if hits else 0.0)


def best_of(outcomes: Sequence[Outcome], kind: str, limit: float) -> Outcome:
    top = Outcome(1.0, 0.0, 0.0, 0.0)
    for found in outcomes:
        errors = found.error_rate if kind == "errors of all" else found.wrong_share
        if errors <= limit and found.hit_rate > top.hit_rate:
            top = found
    return top
