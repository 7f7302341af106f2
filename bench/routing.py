"""How well the router tells which prompts are worth a complex model: `python -m bench.routing --data FOLDER [--save]`.

Prints, for each set of questions, the area under the curve of closed quality (APGR, 0.5 for a coin) and the share of
prompts for the complex model that closes half or four fifths of the gap (CPT), beside prompt length, the nearest
neighbours and words and keywords; then what the dial says and gives, and what a decision costs. Of the set that it
learned from the router is asked by networks that had not seen the question, unless `--unseen` says that these are
others.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.svg import curve, sheet
from tollway_api.catalog import bundled
from tollway_api.model_order import worth_their_price
from tollway_api.route import Complexity
from tollway_api.routing_policy import Model, Pricing
from tollway_cli.router_scores import apgr, calibration_error, cpt, recovered
from tollway_dataplane.routing.complexity import Heuristic, Prompt
from tollway_dataplane.routing.router import Router, shipped
from tools.judge_training import folds
from tools.router_data import Doubles, Pair, Questions, Vectors, arena, mmlu, mt_bench, nine_models, table_of
from tools.router_training import Labelled, cross_validate, fit
from tools.train_router import FOLDS, KEPT, labelled

RESULTS: Final = Path(__file__).parent / "results"
NEIGHBOURS: Final = 40
DIALS: Final = (0.90, 0.95, 0.98)
MATHEMATICS: Final = "math"  # in the name of a subject, a task or a category
_COLOURS: Final = ("#888888", "#b5651d", "#1f5fbf", "#0b6e4f")
_WIDTH, _HEIGHT, _MARGIN, _COLUMNS = 330, 270, 44, 2


class Contender(NamedTuple):
    name: str
    need: Doubles  # of the complex model, by prompt


class Subject(NamedTuple):
    questions: Questions
    contenders: Sequence[Contender]
    probability: Doubles  # the router's


class Say:
    """Prints, and keeps what it printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, *lines: str) -> None:
        print(*lines, sep="\n", flush=True)
        self.lines += lines


def length(prompts: Sequence[str]) -> Doubles:
    return np.array([len(prompt) for prompt in prompts], dtype=np.float64)


def by_words(prompts: Sequence[str]) -> Doubles:
    """1 where the classifier Heuristic, as it comes, calls a prompt complex."""
    usual = Complexity()
    told = Heuristic(usual.word_threshold, tuple(usual.keywords))
    return np.array([float(not told.assess(Prompt(each)).is_simple) for each in prompts])


def neighbourly(questions: Doubles, known: Doubles, gain: Doubles) -> Doubles:
    """What the complex model gained at the nearest questions."""
    similar = questions @ known.T
    nearest = np.argpartition(-similar, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    found: Doubles = gain[nearest].mean(axis=1)
    return found


def as_shipped(router: Router, prompts: Sequence[str], vectors: Doubles) -> Doubles:
    pairs = zip(prompts, vectors.astype(np.float32), strict=True)
    return np.array([router.probability(prompt, vector) for prompt, vector in pairs])


def subjects(folder: Path, vectors: Vectors, seed: int, *, is_unseen: bool) -> Iterator[Subject]:
    asked, router = mmlu(folder), shipped()
    rows = labelled(asked, vectors)
    known, gain = rows.vectors.astype(np.float64), rows.complex - rows.simple
    for questions in (asked, mt_bench(folder), nine_models(folder), arena(folder)):
        encoded = vectors.of(questions.prompts).astype(np.float64)
        if questions is not asked or is_unseen:
            probability = as_shipped(router, questions.prompts, encoded)
        else:
            advantage, _ = cross_validate(rows, FOLDS, seed)
            probability = 1 / (1 + np.exp(-(router.slope * advantage + router.shift)))
        near = np.zeros(len(encoded))
        if questions is asked:
            for train, test in folds(rows.groups, FOLDS, seed):
                near[test] = neighbourly(encoded[test], known[train], gain[train])
        else:
            near = neighbourly(encoded, known, gain)
        contenders = [
            Contender("prompt length", length(questions.prompts)),
            Contender("words and keywords", by_words(questions.prompts)),
            Contender(f"{NEIGHBOURS} nearest of MMLU", near),
            Contender("router", 1 - probability),
        ]
        yield Subject(questions, contenders, probability)


def table(say: Say, subject: Subject) -> None:
    questions = subject.questions
    pairs = f", mean of {len(questions.pairs)} pairs of models" if len(questions.pairs) > 1 else ""
    gap = np.mean([[each.simple.mean(), each.complex.mean()] for each in questions.pairs], axis=0)
    say(
        f"\n## {questions.name}: {len(questions.prompts)} prompts{pairs}, quality {gap[0]:.3f} to {gap[1]:.3f}\n",
        "| | APGR | least | CPT50 | CPT80 |",
        "|---|---:|---:|---:|---:|",
        "| coin | 0.500 | 0.500 | 50 % | 80 % |",
    )
    for name, need in subject.contenders:
        areas = [apgr(need, each.simple, each.complex) for each in questions.pairs]
        half, most = (
            np.mean([cpt(need, each.simple, each.complex, share) for each in questions.pairs])
            for share in (0.5, 0.8)
        )
        say(f"| {name} | {np.mean(areas):.3f} | {min(areas):.3f} | {100 * half:.0f} % | {100 * most:.0f} % |")


def against_length(say: Say, subject: Subject) -> None:
    """Each pair of models apart."""
    say("\n| APGR of each pair | gap | prompt length | router |", "|---|---:|---:|---:|")
    usual, router = subject.contenders[0].need, subject.contenders[-1].need
    for pair in sorted(subject.questions.pairs, key=lambda each: -(each.complex - each.simple).mean()):
        areas = [apgr(need, pair.simple, pair.complex) for need in (usual, router)]
        gap = float((pair.complex - pair.simple).mean())
        say(f"| {pair.name} | {gap:.3f} | {areas[0]:.3f} | {areas[1]:.3f} |")


def spread(say: Say, rows: Labelled) -> None:
    """Over divisions into groups."""
    found = []
    for seed, count in ((1, FOLDS), (2, FOLDS), (3, 2), (4, 8)):
        advantage, _ = cross_validate(rows, count, seed)
        found.append(f"{apgr(-advantage, rows.simple, rows.complex):.3f} ({count} parts)")
    say(f"\nRouteLLM MMLU with other divisions into groups: {', '.join(found)}.")


def without_mathematics(say: Say, folder: Path, vectors: Vectors, rows: Labelled) -> None:
    """What is known of sums by who was never shown any: whether small models' mistakes are found among them."""
    asked, others = mmlu(folder), nine_models(folder)
    is_sums = np.array([MATHEMATICS in kind for kind in asked.kinds])
    learned = fit(rows, np.flatnonzero(~is_sums), 0)
    places = [i for i, kind in enumerate(others.kinds) if kind == MATHEMATICS]
    prompts = [others.prompts[i] for i in places]
    need = -learned.advantages(table_of(prompts), vectors.of(prompts))
    cheap = {each.name.partition(",")[0]: each.simple[places] for each in others.pairs}
    # Beside a model that is never wrong, so that each mistake counts once, and alike.
    perfect = np.ones(len(places))
    say(
        "\n| sums, beside a model that is never wrong | prompt length | router that was shown none |",
        "|---|---:|---:|",
    )
    for name, scores in cheap.items():
        areas = [apgr(each, scores, perfect) for each in (length(prompts), need)]
        say(f"| {name}, right at {scores.mean():.0%} | {areas[0]:.3f} | {areas[1]:.3f} |")


def dials(say: Say, subject: Subject) -> None:
    """What the dial promises, by what the router was calibrated on, and what it gives here."""
    router, name = shipped(), subject.questions.name
    for least in DIALS:
        simple = subject.probability >= router.dial.for_quality(least)
        kept = [_quality(each, simple) / each.complex.mean() for each in subject.questions.pairs]
        say(f"| {name} | {least:.0%} | {simple.mean():.0%} | {np.mean(kept):.1%} | {min(kept):.1%} |")


def _quality(pair: Pair, is_simple: npt.NDArray[np.bool_]) -> float:
    return float(np.where(is_simple, pair.simple, pair.complex).mean())


def prices(say: Say, folder: Path) -> None:
    """RouterArena, whose cheaper model is the better one, in a policy that states how good they are."""
    pair = arena(folder).pairs[0]
    models = [
        Model(name=name, model=name, pricing=Pricing(input=price, output="0"), quality=f"{scores.mean():.3f}")
        for name, price, scores in (("haiku", "3.9", pair.simple), ("flash", "1", pair.complex))
    ]
    chosen = worth_their_price(models, bundled())
    say(
        "\nRouterArena, whose cheaper model is the better one and is said to be (`models[].quality`): of haiku and "
        f"flash there is only {' and '.join(chosen)} to choose, so nothing is paid for a worse answer."
    )


def timing(say: Say, prompts: Sequence[str], vectors: Doubles) -> None:
    router = shipped()
    took = []
    for prompt, vector in zip(prompts[:2_000], vectors.astype(np.float32), strict=False):
        began = time.thread_time()
        router.probability(prompt, vector)
        took.append(1e3 * (time.thread_time() - began))
    middle, p95, p99 = np.percentile(took, [50, 95, 99])
    say(f"\nOne decision, of one core: {middle:.2f} ms at the median, {p95:.2f} at p95, {p99:.2f} at p99.")


def panel(subject: Subject) -> str:
    right, bottom = _WIDTH - 12, _HEIGHT - _MARGIN
    across, up = right - _MARGIN, bottom - 28
    pairs = subject.questions.pairs
    drawn = [
        f'<text x="{_MARGIN}" y="16" font-weight="bold">{subject.questions.name}</text>',
        f'<path d="M{_MARGIN},28V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<path d="M{_MARGIN},{bottom}L{right},28" stroke="#c00" stroke-dasharray="3"/>',
        f'<text x="{_MARGIN}" y="{bottom + 28}">prompts for the complex model, 0 to 1</text>',
        f'<text x="12" y="{bottom}" transform="rotate(-90 12 {bottom})">quality gap closed, 0 to 1</text>',
    ]
    for i, (name, need) in enumerate(subject.contenders):
        closed = np.mean([recovered(need, each.simple, each.complex) for each in pairs], axis=0)
        places = np.linspace(0, len(closed) - 1, 60).astype(int)
        high = np.clip(closed[places], 0, 1)
        wide = across / (len(closed) - 1)
        points = [
            f"{_MARGIN + wide * x:.1f},{bottom - up * y:.1f}" for x, y in zip(places, high, strict=True)
        ]
        drawn.append(curve(name, points, _COLOURS[i], (right - 130, bottom - 60 + 13 * i)))
    return "".join(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with routellm_mmlu.jsonl.gz and its like"
    )
    parser.add_argument("--keep", type=Path, default=KEPT, help="where the encoder's vectors are kept")
    parser.add_argument("--seed", type=int, default=0, help="of the cross-validation")
    parser.add_argument(
        "--unseen", action="store_true", help="the shipped router was not trained on these data"
    )
    parser.add_argument("--save", action="store_true", help="write table and curves to bench/results/")
    options = parser.parse_args()
    vectors, say = Vectors(options.keep), Say()
    found = list(subjects(options.data, vectors, options.seed, is_unseen=options.unseen))
    for subject in found:
        table(say, subject)
        if len(subject.questions.pairs) > 1:
            against_length(say, subject)
    say(
        "\n| dial | of the quality | to the simple model | kept | kept by the worst pair |",
        "|---|---:|---:|---:|---:|",
    )
    for subject in found:
        dials(say, subject)
    worth = found[0].questions.pairs[0]
    enough = (worth.simple >= worth.complex).astype(np.float64)
    say(f"\nExpected calibration error on MMLU: {calibration_error(found[0].probability, enough):.3f}.")
    prices(say, options.data)
    if not options.unseen:
        rows = labelled(found[0].questions, vectors)
        spread(say, rows)
        without_mathematics(say, options.data, vectors, rows)
    timing(say, found[0].questions.prompts, vectors.of(found[0].questions.prompts).astype(np.float64))
    if options.save:
        save(say, list(map(panel, found)), sys.argv[1:])


def save(say: Say, panels: Sequence[str], arguments: Sequence[str]) -> None:
    told = " --unseen" if "--unseen" in arguments else ""
    head = (
        f"# Routing quality\n\n`python -m bench.routing --data FOLDER --save{told}`\n\n![curves](routing.svg)"
    )
    (RESULTS / "routing.md").write_text("\n".join([head, *say.lines]) + "\n", encoding="utf-8")
    (RESULTS / "routing.svg").write_text(sheet(panels, _WIDTH, _HEIGHT, _COLUMNS), encoding="utf-8")


if __name__ == "__main__":
    main()
