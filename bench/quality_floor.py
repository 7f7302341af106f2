"""Does the floor under the simple model's answers hold? `python -m bench.quality_floor [--data FOLDER]`.

Over made-up traffic, of which the simple model's answers are the better the easier the router finds a prompt, or not at
all; or with `--data` over recorded pairs of models, with the ease that the shipped router sees in each prompt, where an
answer of the simple model is good enough that scores no less than the complex one's. Prompts are drawn at random, so
that every seed has other traffic, in blocks between which the dial is set anew. Labels come from a sampled share of the
prompts, and a given share of them is false. With drift, from the middle on some answers that were good enough are not.

Prints in how many seeds what the simple model answered was good enough as often as the floor says, and what share of
the prompts it was left: beside the largest share that would have kept the floor, which nobody knows beforehand.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from bench.error_control import Candidates, Trial, best_fixed, fixed, run
from tollway_api.error_control import Bound, Scale
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.routing.complexity import Assessment, Eases
from tollway_dataplane.routing.router import Router, shipped
from tools.router_data import Doubles, Vectors, arena, mt_bench, nine_models
from tools.train_router import KEPT

_PROMPTS: Final = 100_000  # that are drawn from


def made_up() -> Iterator[tuple[str, Candidates]]:
    """How often an answer is good enough, from the hardest prompt to the easiest one."""
    rng = np.random.default_rng(0)
    for name, hardest, easiest in (("steep", 0.6, 1.0), ("gentle", 0.84, 0.98), ("no router", 0.85, 0.85)):
        ease = np.floor(20 * rng.random(_PROMPTS)) / 20
        yield name, Candidates(ease, rng.random(_PROMPTS) < hardest + (easiest - hardest) * ease)


def recorded(folder: Path, keep: Path) -> Iterator[tuple[str, Candidates]]:
    vectors, router = Vectors(keep), shipped()
    for questions in (mt_bench(folder), nine_models(folder), arena(folder)):
        ease = eases(router, questions.prompts, vectors.of(questions.prompts).astype(np.float64))
        for pair in questions.pairs:
            yield f"{questions.name}: {pair.name}", Candidates(ease, pair.simple >= pair.complex)


def eases(router: Router, prompts: Sequence[str], vectors: Doubles) -> Doubles:
    scale = Eases(router.dial.for_share)
    found = []
    for prompt, vector in zip(prompts, vectors.astype(np.float32), strict=True):
        ease = scale.of([Assessment(RouteReason.SIMPLE, router.probability(prompt, vector))])
        found.append(-1.0 if ease is None else ease)
    return np.array(found)


def report(name: str, found: Candidates, trial: Trial, seeds: int) -> None:
    """One line, of one pair of models."""
    most = trial.bound.max_error_rate
    outcomes = [run(found, trial, np.random.default_rng(seed)) for seed in range(seeds)]
    within = sum(each.error_rate <= most for each in outcomes)
    shares, worse, late, _ = (np.array(each) for each in zip(*outcomes, strict=True))
    free, best = fixed(found, trial.bound.least_threshold, trial.drift), best_fixed(found, trial)
    print(
        f"| {name} | {'yes' if trial.drift else 'no'} | {within}/{seeds} "
        f"| {1 - np.median(worse):.3f} | {1 - np.quantile(worse, 0.95):.3f} | {1 - np.median(late):.3f} "
        f"| {np.median(shares):.2f} | {best.hit_rate:.2f} | {1 - free.error_rate:.3f} |",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with llmrouter_9models.jsonl.gz and its like")
    parser.add_argument("--keep", type=Path, default=KEPT, help="where the encoder's vectors are kept")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--requests", type=int, default=200_000, help="of one run")
    parser.add_argument("--least", type=float, default=0.9, help="the floor")
    parser.add_argument("--sample-rate", type=float, default=0.05)
    parser.add_argument(
        "--judge-is-wrong", type=float, default=0.05, help="share of the labels that are false"
    )
    parser.add_argument("--drift", type=float, default=0.04, help="share of good answers that turn worse")
    parser.add_argument(
        "--missing", type=float, default=0.0, help="share of the labels, first those of worse ones"
    )
    asked = parser.parse_args(arguments)
    bound = Bound(1 - asked.least, asked.judge_is_wrong, 0.5, 0.0, bypasses=True, scale=Scale.EASE)
    wrong, rate = asked.judge_is_wrong, asked.sample_rate
    trial = Trial(bound, rate, asked.requests, wrong, wrong, 0.0, asked.missing, 2_000, rate)
    print(
        f"\nFloor {asked.least:.0%}; {rate:.0%} of prompts judged; {wrong:.0%} of the labels false; "
        f"{asked.missing:.0%} missing; {asked.requests} prompts a seed.\n\n"
        "| models | drift | seeds within | good enough, median | worst 5 % | second half, median | to the simple model "
        "| best fixed share | all to it: good enough |\n|---|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    for name, found in recorded(asked.data, asked.keep) if asked.data else made_up():
        for drift in (0.0, asked.drift):
            report(name, found, replace(trial, drift=drift), asked.seeds)


if __name__ == "__main__":
    main()
