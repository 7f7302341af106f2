"""Writes routing/router.json from labelled prompts:
`python -m tools.train_router --data FOLDER [--seed 0] [--keep FILE]`.

Learns from RouteLLM's outcomes on MMLU, calibrates on these and on LLMRouter's nine models
(docs/router-model-card.md), both by networks that had not seen the question.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tollway_cli.router_scores import curve_of
from tollway_dataplane.routing.router import Router
from tools.generated import ROOT
from tools.router_data import Pair, Questions, Vectors, mmlu, nine_models, stem, table_of
from tools.router_fingerprint import fingerprint
from tools.router_training import (
    Doubles,
    Labelled,
    Learned,
    calibrated,
    cross_validate,
    fit,
    pack,
)

TARGET: Final = ROOT / "dataplane" / "tollway_dataplane" / "routing" / "router.json"
KEPT: Final = Path(tempfile.gettempdir()) / "tollway-router-vectors.pickle"
FOLDS: Final = 4


def labelled(questions: Questions, vectors: Vectors) -> Labelled:
    """Of a set of one pair of models."""
    (pair,) = questions.pairs
    return Labelled(
        table_of(questions.prompts),
        vectors.of(questions.prompts),
        pair.simple,
        pair.complex,
        np.unique(list(questions.groups), return_inverse=True)[1].astype(np.int64),
    )


class Unseen(NamedTuple):
    """Advantages of prompts by networks that had not seen the question, and those networks."""

    asked: Doubles
    others: Doubles
    is_new: npt.NDArray[np.bool_]  # of the others: those that nobody learned from
    models: list[Learned]


def unseen(rows: Labelled, asked: Questions, others: Questions, vectors: Vectors, seed: int) -> Unseen:
    found, models = cross_validate(rows, FOLDS, seed)
    seen, encoded = table_of(others.prompts), vectors.of(others.prompts)
    known = {stem(prompt) for prompt in asked.prompts}
    return Unseen(
        found,
        np.mean([model.advantages(seen, encoded) for model in models], axis=0),
        np.array([stem(prompt) not in known for prompt in others.prompts]),
        models,
    )


class Measured(NamedTuple):
    """Both sets as one, each of the same weight, several pairs of models as their mean."""

    advantage: Doubles
    simple: Doubles
    complex: Doubles
    is_enough: Doubles  # whether, or how often, the simple answer is no worse
    weight: Doubles


def measured(found: Unseen, asked: Questions, others: Questions) -> Measured:
    (pair,), is_new = asked.pairs, found.is_new
    simple, hard, enough = (
        np.mean([of(each) for each in others.pairs], axis=0)[is_new] for of in (_simple, _complex, _is_enough)
    )
    counts = len(pair.simple), int(is_new.sum())
    return Measured(
        np.concatenate([found.asked, found.others[is_new]]),
        np.concatenate([pair.simple, simple]),
        np.concatenate([pair.complex, hard]),
        np.concatenate([_is_enough(pair), enough]),
        np.concatenate([np.full(count, sum(counts) / 2 / count) for count in counts]),
    )


def _simple(pair: Pair) -> Doubles:
    return pair.simple


def _complex(pair: Pair) -> Doubles:
    return pair.complex


def _is_enough(pair: Pair) -> Doubles:
    return (pair.simple >= pair.complex).astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with routellm_mmlu.jsonl.gz and its like"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=KEPT, help="where the encoder's vectors are kept")
    options = parser.parse_args()
    vectors, asked, others = Vectors(options.keep), mmlu(options.data), nine_models(options.data)
    rows = labelled(asked, vectors)
    every = measured(unseen(rows, asked, others, vectors, options.seed), asked, others)
    slope, shift = calibrated(every.advantage, every.is_enough, every.weight)
    probability = 1 / (1 + np.exp(-(slope * every.advantage + shift)))
    curve = curve_of(probability, every.simple, every.complex, every.weight)
    text = pack(fit(rows, np.arange(len(rows.simple)), options.seed), slope, shift, curve)
    router = Router.parse(text)
    TARGET.write_text(text, encoding="utf-8")
    print(f"FITTED_OVER of api/tollway_api/own_weights.py: {fingerprint()}")
    print(f"wrote {TARGET.relative_to(ROOT)}: {len(text) // 1_000} kB, slope {slope:.3f}, shift {shift:.3f}")
    for quality in (0.9, 0.95, 0.98):
        threshold = router.dial.for_quality(quality)
        share = max(each.simple_share for each in curve if each.threshold >= threshold)
        print(
            f"{quality:.0%} of the quality from {threshold:.4f}: {share:.0%} of prompts to the simple model"
        )


if __name__ == "__main__":
    main()
