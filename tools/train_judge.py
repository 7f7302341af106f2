"""Writes judgement/judge.json from labelled prompts:
`python -m tools.train_judge --data FOLDER [--seed 0] [--keep FILE]`.

Learns from sets whose licence lets what was learned be shipped (docs/judge-model-card.md); says by grouped
cross-validation how well it does on prompts it has not seen, and chooses its threshold there.
"""

import argparse
import hashlib
import tempfile
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tollway_api.wire import fingerprint
from tollway_dataplane.judgement.judge import Judge
from tools import judge_training
from tools.cache_data import Encodings, Row, neighbours, rows
from tools.generated import ROOT
from tools.judge_training import Doubles, Pairs, calibrate, cross_validate, fit, pack

TARGET: Final = ROOT / "dataplane" / "tollway_dataplane" / "judgement" / "judge.json"
FOLDS: Final = 4
# Weight of a pair that may and of one that may not be reused. The same intent is not the same answer, so good pairs of
# one intent weigh little.
WEIGHTS: Final = {
    "fow_pairs": (15.0, 30.0),
    "semanticmemo_pairs": (3.0, 12.0),
    "gptcache_mock_pairs": (5.0, 0.0),
    "banking77_stream": (0.5, 6.0),
    "clinc150_stream": (0.5, 6.0),
}
# Requests of a stream that are farther apart are seldom near enough to be served, and weigh this much of the others.
NEAR: Final = 0.75
FAR_WEIGHT: Final = 0.2
STREAMS: Final = ("banking77_stream", "clinc150_stream")
NEIGHBOURS: Final = 5  # as many as a look-up fetches
# Of a stream's request, nearest earlier ones: what was itself a hit is not stored, so that a replay goes on to others.
REACH: Final = 4 * NEIGHBOURS
LEAST_COSINE: Final = 0.6
# Good candidates for each bad one that no critical fact refuses.
GOOD_ODDS: Final = 3.0
# Where the threshold is: the share of these that may get a wrong answer.
LIMITS: Final = (("fow_pairs", 0.01), ("semanticmemo_pairs", 0.005))


def class_of(row: Row) -> str:
    """What a stream's answer is reused within; out-of-scope requests are each a class of their own."""
    if "cls" in row:
        return str(row["cls"])
    return f"oos:{row['text']}" if row["intent"] == "oos" else str(row["intent"])


class Labelled(NamedTuple):
    a: str
    b: str
    same: int
    group: str
    rank: int = 0  # how many earlier requests of a stream are nearer


def labelled(folder: Path, name: str, encodings: Encodings, most: int | None = None) -> list[Labelled]:
    """Pairs of one set, or of its first rows."""
    content = rows(folder, name)[:most]
    if name not in STREAMS:
        encodings.add(text for row in content for text in (row["a"], row["b"]))
        if name == "intent_pairs":
            return [
                Labelled(r["a"], r["b"], r["same_intent"], f"{r['src']}:{r['intent_a']}") for r in content
            ]
        return [Labelled(r["a"], r["b"], r["same"], f"{name}:{r['group']}") for r in content]
    encodings.add(row["text"] for row in content)
    vectors = np.stack([encodings.vector(row["text"]) for row in content])
    group = [f"{name.removesuffix('_stream')}:{class_of(row)}" for row in content]
    return [
        Labelled(content[row]["text"], content[earlier]["text"], int(group[row] == group[earlier]), group[row], rank)
        for row, nearest in groupby(neighbours(vectors, REACH, LEAST_COSINE), key=itemgetter(0))
        for rank, (_, earlier) in enumerate(nearest)
    ]  # fmt: skip


def gather(folder: Path, encodings: Encodings) -> Pairs:
    every = [(name, pair) for name in WEIGHTS for pair in labelled(folder, name, encodings)]
    same = np.array([pair.same for _, pair in every], dtype=np.int8)
    source = np.array([name for name, _ in every])
    weight = np.array([WEIGHTS[name][0 if pair.same else 1] for name, pair in every])
    # Learned from as a look-up meets them; the others are only there to be replayed.
    weight[np.array([pair.rank for _, pair in every]) >= NEIGHBOURS] = 0.0
    a = np.stack([encodings.vector(pair.a) for _, pair in every])
    b = np.stack([encodings.vector(pair.b) for _, pair in every])
    weight[np.isin(source, STREAMS) & ((a * b).sum(1) < NEAR)] *= FAR_WEIGHT
    print(f"features of {len(every)} pairs", flush=True)
    return Pairs(
        a=a,
        b=b,
        features=np.array([encodings.features(pair.a, pair.b) for _, pair in every], dtype=np.float64),
        same=same,
        weight=weight,
        vetoed=np.array([encodings.ruling(pair.a, pair.b) is not None for _, pair in every]),
        group=np.unique([pair.group for _, pair in every], return_inverse=True)[1].astype(np.int64),
        source=source,
    )


def threshold_at(scores: Doubles, same: npt.NDArray[np.int8], limit: float) -> float:
    """The least score above which at most this share of the wrong pairs are."""
    wrong = np.sort(scores[same == 0])[::-1]
    return float(np.nextafter(wrong[int(limit * len(wrong))], np.inf))


def probabilities(logits: Doubles, slope: float, shift: float, vetoed: npt.NDArray[np.bool_]) -> Doubles:
    likely: Doubles = np.where(vetoed, 0.0, 1 / (1 + np.exp(-(slope * logits + shift))))
    return likely


def unseen(pairs: Pairs, seed: int, keep: Path) -> tuple[Doubles, float, float]:
    """Probabilities by models that had not seen a pair's group, with the slope and shift that calibrate them. Taken
    from a file beside `keep` when the same pairs were asked for before, to be learned from in the same way.
    """
    how = Path(judge_training.__file__).read_bytes()
    learned_from = (pairs.features, pairs.weight, pairs.same, pairs.vetoed, pairs.group)
    digest = hashlib.sha256(b"".join(each.tobytes() for each in learned_from) + bytes([FOLDS, seed]) + how)
    kept = keep.with_name(f"{keep.stem}-{digest.hexdigest()[:16]}.npy")
    if kept.exists():
        logits: Doubles = np.load(kept)
    else:
        logits = cross_validate(pairs, FOLDS, seed)
        np.save(kept, logits)
    # As if good and bad candidates came in these odds, of each set as they were weighed.
    judged = ~pairs.vetoed & (pairs.weight > 0)
    weight = pairs.weight[judged].copy()
    for alike, share in ((0, 1.0), (1, GOOD_ODDS)):
        weight[pairs.same[judged] == alike] *= share / weight[pairs.same[judged] == alike].sum()
    slope, shift = calibrate(logits[judged], pairs.same[judged], weight * judged.sum())
    return probabilities(logits, slope, shift, pairs.vetoed), slope, shift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with fow_pairs.jsonl.gz and its like"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "tollway-encodings.pickle")
    asked = parser.parse_args()
    pairs = gather(asked.data, Encodings(asked.keep))
    likely, slope, shift = unseen(pairs, asked.seed, asked.keep)
    threshold = 0.0
    for name, limit in LIMITS:
        of = pairs.source == name
        found = threshold_at(likely[of], pairs.same[of], limit)
        recall = float((likely[of & (pairs.same == 1)] >= found).mean())
        print(f"{name}: {recall:.3f} of good pairs at {limit:.1%} of bad ones, from {found:.4f}")
        threshold = max(threshold, found)
    text = pack(fit(pairs, np.arange(len(pairs.same)), asked.seed), slope, shift, threshold)
    Judge.parse(text)
    TARGET.write_text(text, encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}: threshold {threshold:.4f}")
    print(f'In api/tollway_api/wire.py write JUDGE_WEIGHTS: Final = "{fingerprint((text,))}"')


if __name__ == "__main__":
    main()
