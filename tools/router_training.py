"""How the router learns: the main axes of the encoder's vectors, and over these and what can be seen of a prompt two
small networks. Plain numpy, the same from the same seed but for rounding.
"""

import base64
import json
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tollway_dataplane.core.network import Network
from tollway_dataplane.prompts.prompt_features import NAMES
from tollway_dataplane.routing.router import Point, advantages
from tools.judge_training import Places, Recipe, calibrate, fit_network, folds, rounded

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
AXES: Final = 32
RECIPE: Final = Recipe(members=3, epochs=40, batch=512, decay=1e-2)


@dataclass(frozen=True)
class Learned:
    simple: Network
    complex: Network
    axes: Floats

    def advantages(self, seen: Doubles, vectors: Floats) -> Doubles:
        return advantages(self.simple, self.complex, np.column_stack([seen, vectors @ self.axes.T]))


@dataclass(frozen=True)
class Labelled:
    """Prompts with the outcome of a simple and of a complex model on each, 1 where it was right."""

    seen: Doubles
    vectors: Floats
    simple: Doubles
    complex: Doubles
    groups: npt.NDArray[np.int64]


def main_axes(vectors: Floats, count: int) -> Floats:
    """Directions in which they differ most, in 8 bits as they ship (Pearson, 1901)."""
    values, axes = np.linalg.eigh(np.cov(vectors.T.astype(np.float64)))
    packed, scale = pack_axes(axes[:, np.argsort(-values)[:count]].T.astype(np.float32))
    return packed.astype(np.float32) * np.float32(scale)


def pack_axes(axes: Floats) -> tuple[npt.NDArray[np.int8], float]:
    scale = float(np.abs(axes).max()) / 127
    return np.rint(axes / scale).astype(np.int8), scale


def fit(rows: Labelled, places: Places, seed: int) -> Learned:
    axes = main_axes(rows.vectors[places], AXES)
    table = np.column_stack([rows.seen[places], rows.vectors[places] @ axes.T])
    weight = np.ones(len(places))
    simple, hard = (
        fit_network(table, labels[places].astype(np.int8), weight, seed, RECIPE)
        for labels in (rows.simple, rows.complex)
    )
    return Learned(simple, hard, axes)


def cross_validate(rows: Labelled, count: int, seed: int) -> tuple[Doubles, list[Learned]]:
    """The advantage of every row by networks that saw nothing of its group, and those networks."""
    found, models = np.zeros(len(rows.simple)), []
    for train, test in folds(rows.groups, count, seed):
        models.append(fit(rows, train, seed))
        found[test] = models[-1].advantages(rows.seen[test], rows.vectors[test])
    return found, models


def calibrated(advantage: Doubles, is_enough: Doubles, weight: Doubles) -> tuple[float, float]:
    """Slope and shift that make of an advantage the log-odds that the simple answer is no worse. `is_enough` may be a
    share, of several pairs of models.
    """
    both = np.concatenate([advantage, advantage])
    label = np.concatenate([np.ones(len(advantage)), np.zeros(len(advantage))]).astype(np.int8)
    return calibrate(both, label, np.concatenate([weight * is_enough, weight * (1 - is_enough)]))


def pack(model: Learned, slope: float, shift: float, curve: tuple[Point, ...]) -> str:
    """The file that ships."""
    packed, scale = pack_axes(model.axes)
    content = {
        "features": list(NAMES),
        "simple": {name: rounded(value) for name, value in asdict(model.simple).items()},
        "complex": {name: rounded(value) for name, value in asdict(model.complex).items()},
        "slope": rounded(slope),
        "shift": rounded(shift),
        "curve": [[round(value, 4) for value in point] for point in curve],
        "dimensions": packed.shape[1],
        "axesScale": scale,
        "axes": base64.b64encode(packed.tobytes()).decode(),
    }
    return json.dumps(content) + "\n"
