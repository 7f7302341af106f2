"""Does the error bound of a cache hold? `python -m bench.error_control --data FOLDER --keep FILE`.

Replays each stream many times over, with the probabilities of the real judge: of every request the earlier ones that
are nearest, and of those the likeliest, as a look-up does; right where both are of one class. Requests are then drawn
at random from what was found, so that every seed has other traffic, in blocks between which the operating point is
set anew. Labels come from the sampled share of the hits, and a given share of them is false; another may be missing,
those first that say wrong. With drift, from the middle on some answers that were right are wrong.

Prints in how many seeds what was served was wrong no more often than the bound says, also of those that had served
8,000 hits before the middle, and what hit rate that costs: against no control at the default threshold, and against the
best fixed threshold, which nobody knows beforehand.
"""

import argparse
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.cache_quality import QQP_LEAST_COSINE, scores_of
from tollway_api.error_control import SLICES, Bound, Counts, standing
from tollway_dataplane.judgement.judge import shipped
from tools.cache_data import Encodings, neighbours, rows
from tools.train_judge import LEAST_COSINE, NEIGHBOURS, class_of

STREAMS: Final = ("banking77_stream", "clinc150_stream", "qqp_stream")
THRESHOLD: Final = 0.95
# Hits before the middle, from which on what is served until a change is found weighs little.
MANY_HITS: Final = 8_000
_BLOCK: Final = 1_000


class Candidates(NamedTuple):
    """Of each request a score, such as the likeliest neighbour's probability (0: none), and whether what is served by
    it would be right.
    """

    probability: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Trial:
    bound: Bound
    sample_rate: float
    requests: int
    false_alarms: float  # share of right answers that the judge calls wrong
    overlooked: float  # share of wrong ones that it calls right
    drift: float  # share of right answers that are wrong from the middle on
    missing: float  # share of the labels; of those that say wrong before any other
    block: int = _BLOCK  # requests between two looks at the labels
    unserved_rate: float = 1.0  # of what is judged while nothing is served; 1: live answers are there anyway


class Outcome(NamedTuple):
    hit_rate: float
    error_rate: float  # wrong of what was served
    late_error_rate: float  # the same of the second half
    early_hits: int = 0  # before that


def candidates(folder: Path, name: str, keep: Path, most_rows: int) -> Candidates:
    """Kept beside the encodings, since the judge takes minutes for a stream."""
    kept = keep.with_name(f"{keep.stem}-{name}-{most_rows}.candidates")
    if kept.exists():
        return Candidates(*pickle.loads(kept.read_bytes()))  # noqa: S301 - it wrote the file itself
    content, encodings = rows(folder, name)[:most_rows], Encodings(keep)
    encodings.add(row["text"] for row in content)
    vectors = np.stack([encodings.vector(row["text"]) for row in content])
    least = QQP_LEAST_COSINE if name.startswith("qqp") else LEAST_COSINE
    near = neighbours(vectors, NEIGHBOURS, least)
    pairs = [(content[earlier]["text"], content[row]["text"]) for row, earlier in near]
    found = Candidates(np.zeros(len(content)), np.zeros(len(content), dtype=np.bool_))
    for (row, earlier), score in zip(near, scores_of(shipped(), pairs, encodings), strict=True):
        if score > found.probability[row]:
            found.probability[row] = score
            found.right[row] = class_of(content[row]) == class_of(content[earlier])
    kept.write_bytes(pickle.dumps(tuple(found)))
    return found


def run(found: Candidates, trial: Trial, rng: np.random.Generator) -> Outcome:
    """One seed under control."""
    per_slice = trial.requests // (2 * SLICES)  # the window is half of the run
    slices: list[dict[int, Counts]] = []
    hits = wrong = late_hits = late_wrong = done = 0
    point: float | None = None
    while done < trial.requests:
        if done % per_slice < trial.block:
            slices.insert(0, {})
        is_late = done >= trial.requests // 2
        probability, right = _drawn(found, rng, trial.drift if is_late else 0.0, trial.block)
        served = probability >= (2.0 if point is None else point)
        more_hits, more_wrong = int(served.sum()), int((served & ~right).sum())
        hits, wrong = hits + more_hits, wrong + more_wrong
        if is_late:
            late_hits, late_wrong = late_hits + more_hits, late_wrong + more_wrong
        rate = trial.unserved_rate if point is None else trial.sample_rate
        asked = (probability >= trial.bound.points[-1]) & (rng.random(trial.block) < rate)
        errs = np.where(right, trial.false_alarms, trial.overlooked)
        says_right = right ^ (rng.random(trial.block) < errs)
        places = np.searchsorted(-np.array(trial.bound.scale.points), -probability[asked])
        _count(slices[0], places, says_right[asked], rng.binomial(asked.sum(), trial.missing))
        point = standing(slices, trial.bound).threshold
        done += trial.block
    return Outcome(hits / done, wrong / max(1, hits), late_wrong / max(1, late_hits), hits - late_hits)


def fixed(found: Candidates, threshold: float, drift: float) -> Outcome:
    """What to expect at a threshold that never moves."""
    served = found.probability >= threshold
    if not served.any():
        return Outcome(0.0, 0.0, 0.0)
    error = float(1 - found.right[served].mean())
    early, late = error, error + (1 - error) * drift
    return Outcome(float(served.mean()), (early + late) / 2, late)


def best_fixed(found: Candidates, trial: Trial) -> Outcome:
    """The most hits of a point that keeps the bound."""
    outcomes = [fixed(found, point, trial.drift) for point in trial.bound.points]
    within = [each for each in outcomes if each.error_rate <= trial.bound.max_error_rate]
    return max(within, default=Outcome(0.0, 0.0, 0.0))


def _drawn(
    found: Candidates, rng: np.random.Generator, drift: float, many: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    chosen = rng.integers(0, len(found.probability), many)
    return found.probability[chosen], found.right[chosen] & (rng.random(many) >= drift)


def _count(
    tally: dict[int, Counts], places: npt.NDArray[np.intp], right: npt.NDArray[np.bool_], missing: int
) -> None:
    is_missing = np.zeros(len(right), dtype=np.bool_)
    is_missing[np.argsort(right, kind="stable")[:missing]] = True
    for place in np.unique(places):
        here = places == place
        wrong, known = here & ~right & ~is_missing, here & right & ~is_missing
        more = Counts(int(wrong.sum()), int(known.sum()), int((here & is_missing).sum()))
        tally[int(place)] = tally.get(int(place), Counts()).plus(more)


def report(name: str, found: Candidates, trial: Trial, seeds: int) -> None:
    limit = trial.bound.max_error_rate
    free, best = fixed(found, THRESHOLD, trial.drift), best_fixed(found, trial)
    for bypasses in (True, False):
        asked = replace(trial, bound=replace(trial.bound, bypasses=bypasses))
        outcomes = [run(found, asked, np.random.default_rng(seed)) for seed in range(seeds)]
        within = sum(each.error_rate <= limit for each in outcomes)
        settled = [each.error_rate <= limit for each in outcomes if each.early_hits >= MANY_HITS]
        hits, errors, late, _ = (np.array(each) for each in zip(*outcomes, strict=True))
        what = f"{name.removesuffix('_stream')} | {'yes' if trial.drift else 'no'}"
        print(
            f"| {what} | {'Bypass' if bypasses else 'Tighten'} "
            f"| {within}/{seeds} | {sum(settled)}/{len(settled)} "
            f"| {np.median(errors):.4f} | {np.quantile(errors, 0.95):.4f} "
            f"| {np.median(late):.4f} | {np.median(hits):.3f} "
            f"| {free.error_rate:.4f} | {free.hit_rate:.3f} | {best.hit_rate:.3f} |",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the streams")
    parser.add_argument("--keep", type=Path, required=True, help="file for encodings, outside the repository")
    parser.add_argument("--most-rows", type=int, default=20_000, help="of a stream; the rest is left out")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--requests", type=int, default=200_000, help="of one run")
    parser.add_argument("--max-error-rate", type=float, default=0.02)
    parser.add_argument("--sample-rate", type=float, default=0.1)
    parser.add_argument(
        "--judge-is-wrong", type=float, default=0.05, help="share of the labels that are false"
    )
    parser.add_argument("--false-alarms", type=float, help="the same of right answers alone")
    parser.add_argument("--overlooked", type=float, help="the same of wrong answers alone")
    parser.add_argument(
        "--missing",
        type=float,
        default=0.0,
        help="share of the labels that is missing, first those that say wrong",
    )
    parser.add_argument("--said", type=float, help="what errorRate says of it; otherwise --judge-is-wrong")
    parser.add_argument("--drift", type=float, default=0.04, help="share of right answers that turn wrong")
    parser.add_argument("--least", type=float, default=0.8, help="the loosest threshold allowed")
    asked = parser.parse_args(arguments)
    alarms, overlooked, said = (
        asked.judge_is_wrong if each is None else each
        for each in (asked.false_alarms, asked.overlooked, asked.said)
    )
    bound = Bound(asked.max_error_rate, said, THRESHOLD, asked.least, bypasses=True)
    trial = Trial(bound, asked.sample_rate, asked.requests, alarms, overlooked, 0.0, asked.missing)
    print(
        f"\nBound {asked.max_error_rate:.1%}; {asked.sample_rate:.0%} of hits judged; of right answers {alarms:.1%} "
        f"called wrong, of wrong ones {overlooked:.1%} right, {said:.1%} said of it; {asked.missing:.1%} of the labels "
        f"missing; {asked.requests} requests a seed.\n"
    )
    print(
        "| stream | drift | onBreach | seeds within | of those with many hits before the middle "
        "| wrong of served, median | 95 % | second half, median "
        "| hit rate | no control: wrong | hit rate | best fixed: hit rate |"
    )
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in STREAMS:
        found = candidates(asked.data, name, asked.keep, asked.most_rows)
        for drift in (0.0, asked.drift):
            report(name, found, replace(trial, drift=drift), asked.seeds)


if __name__ == "__main__":
    main()
