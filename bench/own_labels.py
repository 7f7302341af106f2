"""What a few hundred labels of one's own are worth to the router: `python -m bench.own_labels --data FOLDER [--save]`.

Of each set and pair of models so many labels are drawn, `tollway fit-router` learns from them, and all other prompts
are asked: the area under the curve of closed quality (APGR) by own weights, the shipped model and prompt length, in how
many draws the command says that own weights are better than length, and that this is no chance, and what its dial of
95 % keeps.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tollway_cli.labels import LEAST_OF_A_KIND, Label
from tollway_cli.router_fit import Doubles, Places, Rows, fit, rows_of
from tollway_cli.router_scores import apgr
from tollway_dataplane.routing.router import shipped
from tools.router_data import Pair, Questions, Vectors, arena, nine_models
from tools.train_router import KEPT

RESULTS: Final = Path(__file__).parent / "results"
DIAL: Final = 0.95


class Found(NamedTuple):
    """Of one draw."""

    own: float
    shipped: float
    length: float
    is_better: bool
    is_shown: bool
    simple_share: float
    kept: float


def rows(questions: Questions, pair: Pair, vectors: Vectors) -> Rows:
    labels = [Label(*each) for each in zip(questions.prompts, pair.simple, pair.complex, strict=True)]
    return rows_of(labels, list(vectors.of(questions.prompts)), shipped())


def drawn(every: Rows, count: int, seed: int) -> tuple[Places, Places]:
    """So many, and all others but those of their groups."""
    part = np.random.default_rng(seed).permutation(every.groups.max() + 1)[every.groups]
    order = np.argsort(part, kind="stable")
    return order[:count], np.flatnonzero(part > part[order[count - 1]])


def some(every: Rows, places: Places) -> Rows:
    labels = [every.labels[place] for place in places]
    return Rows(labels, every.log_odds[places], every.seen[places])


def measured(every: Rows, count: int, seed: int) -> Found | None:
    """None where the command would want more labels."""
    places, others = drawn(every, count, seed)
    known, rest = some(every, places), some(every, others)
    enough = int(known.is_enough.sum())
    if min(enough, count - enough) < LEAST_OF_A_KIND or (known.complex - known.simple).sum() <= 0:
        return None
    found = fit(known, seed)
    log_odds = found.own.slope * rest.log_odds + found.own.shift + rest.seen @ np.array(found.own.weights)
    probability = 1 / (1 + np.exp(-log_odds))
    is_simple = probability >= found.own_dial.for_quality(DIAL)

    def area(need: Doubles) -> float:
        return apgr(need, rest.simple, rest.complex)

    kept = np.where(is_simple, rest.simple, rest.complex).sum() / rest.complex.sum()
    return Found(
        area(-log_odds),
        area(-rest.log_odds),
        area(rest.lengths),
        found.is_better,
        found.is_shown,
        float(is_simple.mean()),
        float(kept),
    )


def lines(folder: Path, vectors: Vectors, count: int, draws: int) -> Iterator[str]:
    yield f"\n## {count} labels, mean of {draws} draws\n"
    yield "| set: pair of models | prompt length | shipped | own | said to be better, shown | simple at 95 % | kept |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for questions in (arena(folder), nine_models(folder)):
        for pair in questions.pairs:
            every = rows(questions, pair, vectors)
            found = [each for seed in range(draws) if (each := measured(every, count, seed)) is not None]
            if not found:
                yield f"| {questions.name}: {pair.name} | too few labels of a kind | | | | | |"
                continue
            mean = Found(*np.mean(found, axis=0))
            said = f"{sum(each.is_better for each in found)}, {sum(each.is_shown for each in found)} of {len(found)}"
            yield (
                f"| {questions.name}: {pair.name} | {mean.length:.3f} | {mean.shipped:.3f} | {mean.own:.3f} "
                f"| {said} | {mean.simple_share:.0%} | {mean.kept:.1%} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with routellm_mmlu.jsonl.gz and its like"
    )
    parser.add_argument("--keep", type=Path, default=KEPT, help="where the encoder's vectors are kept")
    parser.add_argument("--labels", type=int, nargs="+", default=[300])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="write the tables to bench/results/")
    options = parser.parse_args()
    said = ["# Own labels", "", "`python -m bench.own_labels --data FOLDER --save`"]
    for count in options.labels:
        for line in lines(options.data, Vectors(options.keep), count, options.draws):
            print(line, flush=True)
            said.append(line)
    if options.save:
        (RESULTS / "own-labels.md").write_text("\n".join(said) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
