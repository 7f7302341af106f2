"""How well a score tells which prompts are worth the complex model, as RouteLLM (arXiv 2406.18665) counts it. Of
prompts with the same score each order is as likely.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from tollway_dataplane.routing.router import Point

POINTS: Final = 100  # of a curve
Doubles = npt.NDArray[np.float64]


def recovered(need: Doubles, simple: Doubles, hard: Doubles) -> Doubles:
    """The share of the gap between both models' quality that is closed (PGR) once the complex one has answered 0, 1, …
    all of the prompts, those that need it most first.
    """
    _, place, count = np.unique(-need, return_inverse=True, return_counts=True)
    mean = np.bincount(place, hard - simple) / count
    gained: Doubles = np.concatenate([[0.0], np.cumsum(mean[np.sort(place)])])
    closed: Doubles = gained / (hard - simple).sum()
    return closed


def apgr(need: Doubles, simple: Doubles, hard: Doubles) -> float:
    """The area under that, 0.5 for a coin."""
    return float(np.trapezoid(recovered(need, simple, hard), dx=1 / len(need)))


def cpt(need: Doubles, simple: Doubles, hard: Doubles, share: float) -> float:
    """The least share of prompts for the complex model that closes so much of the gap."""
    return float(np.argmax(recovered(need, simple, hard) >= share) / len(need))


def calibration_error(probability: Doubles, is_enough: Doubles, bins: int = 10) -> float:
    """Expected calibration error over bins of as many prompts each."""
    order = np.array_split(np.argsort(probability, kind="stable"), bins)
    gaps = [abs(float(probability[each].mean() - is_enough[each].mean())) * len(each) for each in order]
    return sum(gaps) / len(probability)


def curve_of(
    probability: Doubles, simple: Doubles, hard: Doubles, weight: Doubles, points: int = POINTS
) -> tuple[Point, ...]:
    """At every so many parts of the prompts, those first that the simple model answers best."""
    order = np.argsort(-probability, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    kept = 1 + np.cumsum((weight * (simple - hard))[order]) / (weight * hard).sum()
    places = np.unique(np.searchsorted(share, np.linspace(0, 1, points + 1)[1:]).clip(max=len(order) - 1))
    return tuple(Point(*map(float, (probability[order[i]], share[i], kept[i]))) for i in places)
