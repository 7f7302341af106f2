"""How the judge learns: a linear map that turns sentence vectors so that what matters for reuse weighs more, and a
logistic regression over the pair's features and the turned cosine. Plain numpy, the same bytes from the same seed.
"""

import base64
import json
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tollway_dataplane.core.pair_features import NAMES

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
RIDGE: Final = 33.0
EPOCHS: Final = 3
BATCH: Final = 512
RATE: Final = 3e-4
PULL: Final = 0.1  # of the map back to what the encoder says
INNER_FOLDS: Final = 2


@dataclass(frozen=True)
class Pairs:
    """Rows of all sets one after the other."""

    a: Floats  # sentence vectors
    b: Floats
    features: Doubles
    same: npt.NDArray[np.int8]
    weight: Doubles  # in training
    vetoed: npt.NDArray[np.bool_]  # a critical fact speaks against the pair, so the judge is never asked
    group: npt.NDArray[np.int64]  # rows of one group are never on both sides of a split
    source: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Model:
    adapter: Floats
    weights: Doubles
    bias: float

    def logits(self, pairs: Pairs) -> Doubles:
        adapted = turned_cosine(self.adapter, pairs.a, pairs.b)
        logits: Doubles = np.column_stack([pairs.features, adapted]) @ self.weights + self.bias
        return logits


def turned_cosine(adapter: Floats, a: Floats, b: Floats) -> Floats:
    u, v = a @ adapter.T, b @ adapter.T
    cosine: Floats = (u * v).sum(1) / (np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1) + 1e-9)
    return cosine


def folds(group: npt.NDArray[np.int64], count: int, seed: int) -> list[tuple[Places, Places]]:
    """(train, test), whole groups on one side."""
    names, position = np.unique(group, return_inverse=True)
    part = np.random.default_rng(seed).permutation(len(names))[position] % count
    return [(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(count)]


def fit_adapter(pairs: Pairs, rows: Places, seed: int) -> Floats:
    """Adam on the weighted logistic loss of a scaled and shifted cosine, started from the identity."""
    random = np.random.default_rng(seed)
    size = pairs.a.shape[1]
    start = np.eye(size, dtype=np.float32)
    adapter = start.copy()
    scale, shift = 12.0, -8.0
    first, second = np.zeros_like(adapter), np.zeros_like(adapter)
    first_two, second_two = np.zeros(2), np.zeros(2)
    step = 0
    for _ in range(EPOCHS):
        order = random.permutation(rows)
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            step += 1
            u, v = pairs.a[batch] @ adapter.T, pairs.b[batch] @ adapter.T
            u_length = np.linalg.norm(u, axis=1, keepdims=True) + 1e-6
            v_length = np.linalg.norm(v, axis=1, keepdims=True) + 1e-6
            u, v = u / u_length, v / v_length
            cosine = (u * v).sum(1)
            weight = pairs.weight[batch] / max(1e-9, pairs.weight[batch].sum())
            off = ((1 / (1 + np.exp(-(scale * cosine + shift))) - pairs.same[batch]) * weight).astype(
                np.float32
            )
            pull = (off * np.float32(scale))[:, None]
            gradient = (pull * (v - cosine[:, None] * u) / u_length).T @ pairs.a[batch]
            gradient += (pull * (u - cosine[:, None] * v) / v_length).T @ pairs.b[batch]
            gradient += np.float32(PULL / size) * (adapter - start)
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            rate, decay = 1 - 0.9**step, 1 - 0.999**step
            adapter = (adapter - RATE * (first / rate) / (np.sqrt(second / decay) + 1e-8)).astype(np.float32)
            both = np.array([float(off @ cosine), float(off.sum())])
            first_two, second_two = 0.9 * first_two + 0.1 * both, 0.999 * second_two + 0.001 * both**2
            move = 0.02 * (first_two / rate) / (np.sqrt(second_two / decay) + 1e-8)
            scale, shift = scale - float(move[0]), shift - float(move[1])
    return adapter


def fit_logistic(
    table: Doubles, same: npt.NDArray[np.int8], weight: Doubles, ridge: float
) -> tuple[Doubles, float]:
    """Newton's method on standardised columns; the weights come back for columns as they are."""
    middle, spread = table.mean(0), table.std(0) + 1e-9
    x = np.column_stack([(table - middle) / spread, np.ones(len(table))])
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 0.0
    beta = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-(x @ beta)))
        gradient = x.T @ (weight * (p - same)) + penalty * beta
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(penalty + 1e-9)
        move = np.linalg.solve(curvature, gradient)
        beta -= move
        if float(np.abs(move).max()) < 1e-8:
            break
    weights = beta[:-1] / spread
    return weights, float(beta[-1] - weights @ middle)


def fit(pairs: Pairs, rows: Places, seed: int) -> Model:
    """The regression sees turned cosines of maps that had not seen the pair, as it will at work."""
    turned = np.zeros(len(pairs.same), dtype=np.float32)
    for train, test in folds(pairs.group[rows], INNER_FOLDS, seed + 1):
        inner = fit_adapter(pairs, rows[train], seed)
        turned[rows[test]] = turned_cosine(inner, pairs.a[rows[test]], pairs.b[rows[test]])
    asked = rows[~pairs.vetoed[rows] & (pairs.weight[rows] > 0)]
    table = np.column_stack([pairs.features[asked], turned[asked]])
    weights, bias = fit_logistic(table, pairs.same[asked], pairs.weight[asked], RIDGE)
    return Model(fit_adapter(pairs, rows, seed), weights, bias)


def cross_validate(pairs: Pairs, count: int, seed: int) -> Doubles:
    """The logit of every pair by a model that saw nothing of its group."""
    logits = np.zeros(len(pairs.same))
    for i, (train, test) in enumerate(folds(pairs.group, count, seed)):
        print(f"fold {i + 1} of {count}", flush=True)
        logits[test] = fit(pairs, train, seed).logits(pairs)[test]
    return logits


def calibrate(logits: Doubles, same: npt.NDArray[np.int8], weight: Doubles) -> tuple[float, float]:
    """Platt's (1999) slope and shift, which make logits of unseen pairs those of a probability."""
    weights, bias = fit_logistic(logits[:, None], same, weight, 1e-6)
    return float(weights[0]), bias


def pack(model: Model, slope: float, shift: float, threshold: float) -> str:
    """The file that ships: the map's difference from the identity in 8 bits, weights with the calibration in them."""
    difference = model.adapter - np.eye(len(model.adapter), dtype=np.float32)
    scale = float(np.abs(difference).max()) / 127
    packed = np.rint(difference / scale).astype(np.int8)
    content = {
        "features": [*NAMES, "adapted"],
        "weights": [float(f"{value:.7g}") for value in model.weights * slope],
        "bias": float(f"{model.bias * slope + shift:.7g}"),
        "threshold": round(threshold, 4),
        "dimensions": len(difference),
        "adapterScale": scale,
        "adapter": base64.b64encode(packed.tobytes()).decode(),
    }
    return json.dumps(content, indent=1) + "\n"
