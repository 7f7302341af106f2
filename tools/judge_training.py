"""How the judge learns: a linear map that turns sentence vectors so that what matters for reuse weighs more, and a
small network over the pair's features and the turned cosine. Plain numpy, the same from the same seed but for
rounding.
"""

import base64
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tollway_dataplane.core.network import Network
from tollway_dataplane.judgement.pair_features import NAMES

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
EPOCHS: Final = 2
LEAST_WEIGHT: Final = 0.3  # of a pair that the map learns from; the many that weigh less only take time
BATCH: Final = 512
RATE: Final = 3e-4
PULL: Final = 0.1  # of the map back to what the encoder says
INNER_FOLDS: Final = 2
# Added to the logit for each unit of plain cosine. Of intents that it has not seen the network trusts the cosine too
# little: a logistic regression over both, on logits of unseen intents, gives the cosine 5.4 to 5.7 times the logit's
# weight, whatever the folds.
COSINE: Final = 5.0


@dataclass(frozen=True)
class Recipe:
    """How a network is learned."""

    members: int = 5  # as many, each begun otherwise, are averaged, which is one network with all their units
    units: int = 24
    epochs: int = 16
    batch: int = 1_024
    rate: float = 3e-3
    decay: float = 1e-3


FOR_PAIRS: Final = Recipe()


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
    network: Network

    def logits(self, pairs: Pairs) -> Doubles:
        adapted = turned_cosine(self.adapter, pairs.a, pairs.b)
        return self.network.logits(np.column_stack([pairs.features, adapted]))


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
    rows = rows[pairs.weight[rows] >= LEAST_WEIGHT]
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


def fit_network(
    table: Doubles, same: npt.NDArray[np.int8], weight: Doubles, seed: int, recipe: Recipe = FOR_PAIRS
) -> Network:
    middle, spread = table.mean(0), table.std(0) + 1e-6
    x = np.clip((table - middle) / spread, -6, 6)
    every = [
        _fit_member(x, same, weight / weight.mean(), seed + member, recipe)
        for member in range(recipe.members)
    ]
    return Network(
        middle,
        spread,
        np.concatenate([member[0] for member in every], axis=1),
        np.concatenate([member[1] for member in every]),
        np.concatenate([member[2] for member in every]) / recipe.members,
        np.mean([member[3] for member in every], axis=0),
        float(np.mean([member[4] for member in every])),
    )


def _fit_member(
    x: Doubles, same: npt.NDArray[np.int8], weight: Doubles, seed: int, recipe: Recipe
) -> list[Doubles]:
    """Adam on the weighted logistic loss with decaying steps: hidden, shift, out, direct, bias."""
    random = np.random.default_rng(seed)
    count, size = x.shape
    parts: list[Doubles] = [
        random.normal(0, 1 / np.sqrt(size), (size, recipe.units)), np.zeros(recipe.units),
        random.normal(0, 0.3 / np.sqrt(recipe.units), recipe.units), np.zeros(size), np.zeros(1),
    ]  # fmt: skip
    decay = (recipe.decay, 0.0, recipe.decay, 0.3 * recipe.decay, 0.0)
    first, second = ([np.zeros_like(part) for part in parts] for _ in range(2))
    steps = recipe.epochs * -(-count // recipe.batch)
    step = 0
    for _ in range(recipe.epochs):
        order = random.permutation(count)
        for at in range(0, count, recipe.batch):
            batch = order[at : at + recipe.batch]
            step += 1
            hidden, shift, out, direct, bias = parts
            lit = np.tanh(x[batch] @ hidden + shift)
            chance = 1 / (1 + np.exp(-(lit @ out + x[batch] @ direct + bias)))
            off = (chance - same[batch]) * weight[batch] / len(batch)
            back = np.outer(off, out) * (1 - lit * lit)
            gradients = (
                x[batch].T @ back,
                back.sum(0),
                lit.T @ off,
                x[batch].T @ off,
                off.sum(keepdims=True),
            )
            rate = recipe.rate * (1 - step / (steps + 1))
            for i, (part, gradient) in enumerate(zip(parts, gradients, strict=True)):
                pulled = gradient + decay[i] * part
                first[i] = 0.9 * first[i] + 0.1 * pulled
                second[i] = 0.999 * second[i] + 0.001 * pulled**2
                move = (first[i] / (1 - 0.9**step)) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
                parts[i] = part - rate * move
    return parts


def fit(pairs: Pairs, rows: Places, seed: int) -> Model:
    """The regression sees turned cosines of maps that had not seen the pair, as it will at work."""
    turned = np.zeros(len(pairs.same), dtype=np.float32)
    for train, test in folds(pairs.group[rows], INNER_FOLDS, seed + 1):
        inner = fit_adapter(pairs, rows[train], seed)
        turned[rows[test]] = turned_cosine(inner, pairs.a[rows[test]], pairs.b[rows[test]])
    asked = rows[~pairs.vetoed[rows] & (pairs.weight[rows] > 0)]
    table = np.column_stack([pairs.features[asked], turned[asked]])
    network = fit_network(table, pairs.same[asked], pairs.weight[asked], seed)
    return Model(fit_adapter(pairs, rows, seed), trusting(network, COSINE))


def trusting(network: Network, by: float) -> Network:
    """The same with so much more for each unit of plain cosine."""
    place = NAMES.index("cosine")
    direct = network.direct.copy()
    direct[place] += by * network.spread[place]
    return replace(network, direct=direct)


def cross_validate(pairs: Pairs, count: int, seed: int) -> Doubles:
    """The logit of every pair by a model that saw nothing of its group."""
    logits = np.zeros(len(pairs.same))
    for i, (train, test) in enumerate(folds(pairs.group, count, seed)):
        print(f"fold {i + 1} of {count}", flush=True)
        logits[test] = fit(pairs, train, seed).logits(pairs)[test]
    return logits


def calibrate(logits: Doubles, same: npt.NDArray[np.int8], weight: Doubles) -> tuple[float, float]:
    """Platt's (1999) slope and shift, which make logits of unseen pairs those of a probability, by Newton's method."""
    x = np.column_stack([logits, np.ones(len(logits))])
    beta = np.zeros(2)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(x @ beta, -60, 60)))
        curvature = (x * (weight * chance * (1 - chance))[:, None]).T @ x + 1e-6 * np.eye(2)
        move = np.linalg.solve(curvature, x.T @ (weight * (chance - same)))
        beta -= move
        if float(np.abs(move).max()) < 1e-8:
            break
    return float(beta[0]), float(beta[1])


def pack(model: Model, slope: float, shift: float, threshold: float) -> str:
    """The file that ships: the map's difference from the identity in 8 bits, the network with the calibration in it."""
    difference = model.adapter - np.eye(len(model.adapter), dtype=np.float32)
    scale = float(np.abs(difference).max()) / 127
    packed = np.rint(difference / scale).astype(np.int8)
    network = replace(
        model.network,
        out=model.network.out * slope,
        direct=model.network.direct * slope,
        bias=model.network.bias * slope + shift,
    )
    content = {
        "features": [*NAMES, "adapted"],
        "threshold": round(threshold, 4),
        "network": {name: rounded(value) for name, value in asdict(network).items()},
        "dimensions": len(difference),
        "adapterScale": scale,
        "adapter": base64.b64encode(packed.tobytes()).decode(),
    }
    return json.dumps(content) + "\n"


def rounded(value: Doubles | float) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return np.vectorize(lambda each: float(f"{each:.5g}"))(value).tolist()
