"""Is the judge right as often as it says? `python -m bench.cache_calibration --data FOLDER`.

Prints, for each labelled set and each bucket of what the shipped judge calls the probability that an answer may be
reused, the mean of that beside the share that is labelled so; the Brier score (1950) and the expected calibration error
(Naeini et al. 2015) below. Only of pairs that are left to the learned part: where a fact decides, nothing is said. The
sets that the judge was trained on flatter it, a folder that it has not seen does not.
"""

import argparse
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bench.cache_curves import COLOURS
from bench.cache_quality import RESULTS, Scores, scores_of
from bench.svg import curve, sheet
from tollway_dataplane.judgement.judge import shipped
from tools.cache_data import Encodings
from tools.train_judge import GOOD_ODDS, labelled

# Those with good pairs and bad ones that ask for the same answer or not; the same intent is not the same answer.
_SETS: Final = ("fow_pairs", "semanticmemo_pairs", "qqp_pairs")
_BOUNDS: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 1.0)
_WIDTH, _HEIGHT, _MARGIN = 330, 300, 44


class Bucket(NamedTuple):
    least: float
    most: float
    pairs: int
    said: float  # the mean probability
    labelled: float  # the share of good pairs
    weighed: float  # the same, had the set the odds of good to bad that the judge is calibrated for


class Calibration(NamedTuple):
    buckets: Sequence[Bucket]
    brier: float
    error: float  # the mean distance of what is said from what is so, by bucket; good and bad pairs weighed


def calibration(said: Scores, same: Scores) -> Calibration:
    weight = np.where(same == 1, GOOD_ODDS / max(1, (same == 1).sum()), 1 / max(1, (same == 0).sum()))
    weight /= weight.sum()
    buckets, error = [], 0.0
    places = np.digitize(said, _BOUNDS[1:-1])
    for place, (least, most) in enumerate(pairwise(_BOUNDS)):
        of = places == place
        if of.any():
            share, mean = weight[of].sum(), float(np.average(said[of], weights=weight[of]))
            weighed = float((weight[of] * same[of]).sum() / share)
            error += float(share) * abs(mean - weighed)
            buckets.append(Bucket(least, most, int(of.sum()), mean, float(same[of].mean()), weighed))
    return Calibration(buckets, float((weight * (said - same) ** 2).sum()), error)


def table(name: str, found: Calibration) -> list[str]:
    rows = [
        f"| {each.least:.2f} to {each.most:.2f} | {each.pairs} | {each.said:.3f} | {each.weighed:.3f} "
        f"| {each.labelled:.3f} |"
        for each in found.buckets
    ]
    return [
        f"\n## {name}\n",
        "| probability | pairs | said | right, weighed | right, as labelled |",
        "|---|---:|---:|---:|---:|",
        *rows,
        f"\nBrier score {found.brier:.3f}, expected calibration error {found.error:.3f}, both weighed.",
    ]


def panel(found: dict[str, Calibration]) -> str:
    """What is said across, what is so up, from 0 to 1; on the broken line the two are the same."""
    right, bottom, top = _WIDTH - 12, _HEIGHT - _MARGIN, 28
    across, up = right - _MARGIN, bottom - top
    drawn = [
        f'<text x="{_MARGIN}" y="16" font-weight="bold">said and so, good to bad as {GOOD_ODDS:g} to 1</text>',
        f'<path d="M{_MARGIN},{top}V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<path d="M{_MARGIN},{bottom}L{right},{top}" stroke="#c00" stroke-dasharray="3"/>',
        f'<text x="{_MARGIN}" y="{bottom + 28}">probability said, 0 to 1</text>',
        f'<text x="12" y="{bottom}" transform="rotate(-90 12 {bottom})">share that is right, 0 to 1</text>',
    ]
    for i, (name, each) in enumerate(found.items()):
        points = [f"{_MARGIN + across * b.said:.1f},{bottom - up * b.weighed:.1f}" for b in each.buckets]
        drawn.append(curve(name, points, COLOURS[i % len(COLOURS)], (_MARGIN + 8, 42 + 13 * i)))
    return "".join(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with fow_pairs.jsonl.gz and its like"
    )
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "tollway-encodings.pickle")
    parser.add_argument("--most", type=int, default=2_500, help="pairs of a set, from its beginning")
    parser.add_argument("--save", action="store_true", help="write table and picture to bench/results/")
    asked = parser.parse_args()
    judge, encodings = shipped(), Encodings(asked.keep)
    found: dict[str, Calibration] = {}
    lines = [f"Good pairs are weighed to be {GOOD_ODDS:g} to each bad one, as in the judge's calibration."]
    for name in _SETS:
        every = labelled(asked.data, name, encodings, asked.most)
        left = [pair for pair in every if encodings.ruling(pair.a, pair.b) is None]
        same = np.array([float(pair.same) for pair in left])
        found[name] = calibration(scores_of(judge, [(p.a, p.b) for p in left], encodings), same)
        lines += table(name, found[name])
    print("\n".join(lines))
    if asked.save:
        command = f"`python -m bench.cache_calibration --data FOLDER --most {asked.most}`"
        text = (
            f"# Is the judge right as often as it says?\n\n{command}\n\n![said and so](cache_calibration.svg)\n\n"
            + "\n".join(lines)
            + "\n"
        )
        (RESULTS / "cache_calibration.md").write_text(text, encoding="utf-8")
        drawing = sheet([panel(found)], _WIDTH, _HEIGHT, 1)
        (RESULTS / "cache_calibration.svg").write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
