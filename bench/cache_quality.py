"""How well the cache's judge tells a question from its like: `python -m bench.cache_quality --data FOLDER`.

Prints, for each labelled set, plain cosine beside the judge. The sets it was trained on are reported twice: by grouped
cross-validation (a model that had seen nothing of a pair's group) and for the shipped model, which had seen the pairs.
`--unseen` is for a folder that the shipped model was not trained on: then there is nothing to cross-validate.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.cache_curves import Curve, Panel, drawing
from bench.cache_streams import best_of, replay, sweep
from tollway_dataplane.judgement.chat_pairs import Chat
from tollway_dataplane.judgement.conversation import difference
from tollway_dataplane.judgement.identity import turns_of
from tollway_dataplane.judgement.judge import Judge, shipped
from tollway_dataplane.prompts.reading import read
from tools.cache_data import Encodings, Row, neighbours, rows
from tools.judge_training import turned_cosine
from tools.train_judge import (
    LEAST_COSINE,
    NEIGHBOURS,
    REACH,
    STREAMS,
    WEIGHTS,
    class_of,
    gather,
    labelled,
    unseen,
)

RESULTS: Final = Path(__file__).parent / "results"
Scores = npt.NDArray[np.float64]
BASELINE: Final = 0.90  # the cosine that the tables of plain cosine are read at
PAIR_SETS: Final = (
    ("fow_pairs", 0.01),
    ("semanticmemo_pairs", 0.005),
    ("gptcache_mock_pairs", 0.01),
    ("intent_pairs", 0.01),
)
QQP_LEAST_COSINE: Final = 0.75


class Report:
    """What is printed, and kept for a file unless it shows prompts: no text of the sets may be in this repository."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.panels: list[Panel] = []

    def say(self, *lines: str) -> None:
        for line in lines:
            print(line)
        self.lines += lines

    def write(self, name: str, options: str) -> None:
        RESULTS.mkdir(exist_ok=True)
        command = f"`python -m bench.cache_quality --data FOLDER{options}`"
        head = (
            f"# How well the cache tells a question from its like\n\n{command}\n\n![curves]({name}.svg)\n\n"
        )
        (RESULTS / f"{name}.md").write_text(head + "\n".join(self.lines) + "\n", encoding="utf-8")
        (RESULTS / f"{name}.svg").write_text(drawing(self.panels), encoding="utf-8")

    def draw(self, title: str, axes: tuple[str, str], limit: float, curves: list[Curve]) -> None:
        self.panels.append(Panel(title, *axes, 4 * limit, limit, curves))


class Subject(NamedTuple):
    folder: Path
    judge: Judge
    encodings: Encodings


class Contender(NamedTuple):
    name: str
    scores: Scores
    threshold: float


def scores_of(
    judge: Judge,
    pairs: Sequence[tuple[str, str]],
    encodings: Encodings,
    learned: Scores | None = None,
) -> Scores:
    """What `Judge.verdict` would call the probability of each pair; `learned` in place of its own learned part."""
    found = np.zeros(len(pairs))
    asked: list[int] = []
    for i, (a, b) in enumerate(pairs):
        decided = encodings.ruling(a, b)
        if decided is None:
            asked.append(i)
        else:
            found[i] = decided.probability
    if learned is not None:
        found[asked] = learned[asked]
    elif asked:
        stored, new = (np.stack([encodings.vector(pairs[i][side]) for i in asked]) for side in (0, 1))
        rows_of = np.array([encodings.features(*pairs[i]) for i in asked])
        turned = turned_cosine(judge.adapter, stored, new)
        logits = judge.network.logits(np.column_stack([rows_of, turned]))
        found[asked] = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    return found


def cosines(pairs: Sequence[tuple[str, str]], encodings: Encodings) -> Scores:
    return np.array([float(encodings.vector(a) @ encodings.vector(b)) for a, b in pairs])


def recall_at(scores: Scores, same: Scores, limit: float) -> float:
    """The share of good pairs above the score that at most this share of bad ones passes."""
    bad = np.sort(scores[same == 0])[::-1]
    cut = bad[int(limit * len(bad))] if len(bad) else 0.0
    return float((scores[same == 1] > max(cut, 0.0)).mean())


def tradeoff(scores: Scores, same: Scores) -> list[tuple[float, float]]:
    """(bad pairs served, good pairs served) at every score."""
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > 0]
    good, bad = (np.cumsum(same[order] == label) / max(1, (same == label).sum()) for label in (1, 0))
    ends = np.append(np.diff(scores[order]) != 0, True)
    return list(zip(bad[ends].tolist(), good[ends].tolist(), strict=True))


def table(
    report: Report, title: str, content: list[Row], same: Scores, contenders: list[Contender], limit: float
) -> None:
    report.say(
        f"\n## {title}: {int(same.sum())} good pairs, {int((same == 0).sum())} bad ones\n",
        f"| | good served | bad served | precision | good at <= {limit:.1%} bad |",
        "|---|---:|---:|---:|---:|",
    )
    if (same == 0).any():
        curves = [Curve(name, tradeoff(scores, same)) for name, scores, _ in contenders]
        report.draw(title, ("bad pairs served", "good pairs served"), limit, curves)
    for name, scores, threshold in contenders:
        hits = scores >= threshold
        good, bad = hits[same == 1], hits[same == 0]
        precision = f"{same[hits].mean():.3f}" if hits.any() else "-"
        wrong = f"{bad.mean():.3f} ({int(bad.sum())})" if len(bad) else "-"
        at_limit = f"{recall_at(scores, same, limit):.3f}" if len(bad) else "-"
        report.say(f"| {name} | {good.mean():.3f} | {wrong} | {precision} | {at_limit} |")
    categories = sorted({str(row.get("category") or row.get("src") or "") for row in content} - {""})
    if len(categories) < 2:
        return
    report.say(
        "\n| served, by category | n | " + " | ".join(c.name for c in contenders) + " |",
        "|---|---:|" + "---:|" * len(contenders),
    )
    of = np.array([str(row.get("category") or row.get("src")) for row in content])
    for category in categories:
        for label in (1, 0):
            mask = (of == category) & (same == label)
            if mask.any():
                cells = " | ".join(
                    f"{(scores[mask] >= threshold).mean():.3f}" for _, scores, threshold in contenders
                )
                report.say(f"| {category}, {'good' if label else 'bad'} | {int(mask.sum())} | {cells} |")


def errors(
    title: str, content: list[Row], same: Scores, contender: Contender, judge: Judge, encodings: Encodings
) -> None:
    """Bad pairs that would be served, and good ones that are not, with what is said of them."""
    wrong = [
        i
        for i in np.argsort(-contender.scores)
        if same[i] == 0 and contender.scores[i] >= contender.threshold
    ]
    print(f"\n### {title}, {contender.name}: {len(wrong)} bad pairs served")
    for i in wrong[:12]:
        print(f"- {contender.scores[i]:.3f} {content[i]['a']!r} served {content[i]['b']!r}")
    missed = [i for i in range(len(same)) if same[i] == 1 and contender.scores[i] < contender.threshold]
    print(f"\n### {title}, {contender.name}: {len(missed)} good pairs not served, of which")
    for i in np.random.default_rng(0).permutation(missed)[:12]:
        a, b = content[i]["a"], content[i]["b"]
        verdict = judge.verdict(encodings.view(b, judge), encodings.view(a, judge))
        print(f"- {a!r}, {b!r}: {verdict.reason}, {verdict.explanation}")


def stream_table(
    report: Report,
    title: str,
    classes: list[str],
    near: list[tuple[int, int]],
    contenders: list[Contender],
    bound: tuple[str, float],
) -> None:
    kind, limit = bound
    report.say(
        f"\n## {title}: {len(classes)} requests, nearest {NEIGHBOURS}\n",
        f"| | hit rate at {kind} <= {limit:.1%} | at score | hit rate as shipped | errors of all | wrong of hits |",
        "|---|---:|---:|---:|---:|---:|",
    )
    curves = []
    for name, scores, threshold in contenders:
        outcomes = sweep(classes, near, scores)
        top = best_of(outcomes, kind, limit)
        as_is = replay(classes, near, scores, threshold)
        wrong = [each.error_rate if kind == "errors of all" else each.wrong_share for each in outcomes]
        curves.append(Curve(name, [(x, each.hit_rate) for x, each in zip(wrong, outcomes, strict=True)]))
        report.say(
            f"| {name} | {top.hit_rate:.3f} | {top.threshold:.4f} | {as_is.hit_rate:.3f} | {as_is.error_rate:.4f} "
            f"| {as_is.wrong_share:.3f} |"
        )
    report.draw(title, (kind, "hit rate"), limit, curves)


def stream(report: Report, subject: Subject, name: str, validated: Scores | None = None) -> None:
    folder, judge, encodings = subject
    content = rows(folder, name)
    encodings.add(row["text"] for row in content)
    vectors = np.stack([encodings.vector(row["text"]) for row in content])
    least = QQP_LEAST_COSINE if name.startswith("qqp") else LEAST_COSINE
    near = neighbours(vectors, REACH, least)
    pairs = [(content[j]["text"], content[i]["text"]) for i, j in near]
    contenders = [Contender("cosine", cosines(pairs, encodings), BASELINE)]
    if validated is not None:
        learned = scores_of(judge, pairs, encodings, learned=validated)
        contenders.append(Contender("judge, cross-validated", learned, judge.threshold))
    contenders.append(Contender("judge, shipped", scores_of(judge, pairs, encodings), judge.threshold))
    bound = ("wrong of hits", 0.02) if name.startswith("qqp") else ("errors of all", 0.005)
    stream_table(report, name, [class_of(row) for row in content], near, contenders, bound)


def pair_set(
    report: Report,
    subject: Subject,
    name: str,
    limit: float,
    validated: Scores | None = None,
    most: int | None = None,
) -> None:
    folder, judge, encodings = subject
    content = rows(folder, name)[:most]
    every = labelled(folder, name, encodings, most)
    pairs = [(pair.a, pair.b) for pair in every]
    same = np.array([float(pair.same) for pair in every])
    contenders = [Contender("cosine", cosines(pairs, encodings), BASELINE)]
    if validated is not None:
        learned = scores_of(judge, pairs, encodings, learned=validated)
        contenders.append(Contender("judge, cross-validated", learned, judge.threshold))
    contenders.append(Contender("judge, shipped", scores_of(judge, pairs, encodings), judge.threshold))
    table(report, name, content, same, contenders, limit)
    if name == "semanticmemo_pairs":
        of = np.array([row["category"] in {"paraphrase", "opposite-action"} for row in content])
        for contender in contenders:
            found = recall_at(contender.scores[of], same[of], limit)
            report.say(f"\nparaphrases at <= {limit:.1%} opposites, {contender.name}: {found:.3f}")
    refusals(report, pairs, same, contenders[1], encodings)
    if name != "intent_pairs":
        errors(name, content, same, contenders[1], judge, encodings)


def refusals(
    report: Report,
    pairs: Sequence[tuple[str, str]],
    same: Scores,
    contender: Contender,
    encodings: Encodings,
) -> None:
    """What refuses good pairs and bad ones, most good ones first."""
    counted: dict[str, list[int]] = {}
    for (a, b), label, score in zip(pairs, same, contender.scores, strict=True):
        if score < contender.threshold:
            decided = encodings.ruling(a, b)
            cause = "the learned part" if decided is None else _kind(decided.explanation)
            counted.setdefault(cause, [0, 0])[int(label)] += 1
    report.say(f"\n| refused by, {contender.name} | good | bad |", "|---|---:|---:|")
    for cause, (bad, good) in sorted(counted.items(), key=lambda item: (-item[1][1], -item[1][0]))[:12]:
        report.say(f"| {cause} | {good} | {bad} |")


def _kind(explanation: str) -> str:
    """Without the words it is about."""
    return "links differ" if explanation.startswith("'") else explanation.partition(":")[0]


def conversations(report: Report, subject: Subject) -> None:
    """Whether a chat's answer would be served to another with the same last message."""
    folder, judge, encodings = subject
    content = rows(folder, "fow_conversations")
    pairs = [(row["a"][-1]["content"], row["b"][-1]["content"]) for row in content]
    encodings.add(text for pair in pairs for text in pair)
    same = np.array([float(row["same"]) for row in content])
    judged = scores_of(judge, pairs, encodings)
    took: list[float] = []
    said: list[str] = []
    for row in content:
        ours, theirs = (Chat(encodings.reading(row[s][-1]["content"]), turns_of(row[s])) for s in "ba")
        difference(ours, theirs)  # a chat's turns are read once, when they are first seen
        began = time.thread_time()
        said.append(difference(ours, theirs))
        took.append(1e3 * (time.thread_time() - began))
    agree = np.array([not each for each in said])
    contenders = [
        Contender("cosine, last message", cosines(pairs, encodings), BASELINE),
        Contender("judge, last message", judged, judge.threshold),
        Contender("judge, whole chat", judged * agree, judge.threshold),
    ]
    table(report, "fow_conversations", content, same, contenders, 0.03)
    wrong = [i for i in range(len(same)) if contenders[2].scores[i] >= judge.threshold and not same[i]]
    missed = [i for i in range(len(same)) if contenders[2].scores[i] < judge.threshold and same[i]]
    print(f"\n### fow_conversations: {len(wrong)} bad pairs served, {len(missed)} good ones not, of which")
    for i in (*wrong, *missed):
        print(f"- {content[i]['category']}: {pairs[i][1]!r}: {said[i] or 'the last messages differ'}")
    middle, p95, most = np.percentile(took, [50, 95, 100])
    report.say(
        f"\nOne chat against another, of one core: {middle:.2f} ms at the median, {p95:.2f} at p95, {most:.2f} at most."
    )


def timing(report: Report, subject: Subject) -> None:
    """A look-up reads the candidate's prompt anew, so that is in the time of a candidate."""
    folder, judge, encodings = subject
    every: list[float] = []
    for row in rows(folder, "fow_pairs"):
        a, b = row["a"], row["b"]
        ours = judge.view(read(b), encodings.vector(b), encodings.words(b))
        began = time.thread_time()
        judge.verdict(ours, judge.view(read(a), encodings.vector(a), encodings.words(a)))
        every.append(1e3 * (time.thread_time() - began))
    middle, p95, most = np.percentile(every, [50, 95, 99])
    report.say(
        f"\nOne candidate, of one core: {middle:.2f} ms at the median, {p95:.2f} at p95, {most:.2f} at p99."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with fow_pairs.jsonl.gz and its like"
    )
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "tollway-encodings.pickle")
    parser.add_argument("--seed", type=int, default=0, help="of the cross-validation")
    parser.add_argument(
        "--unseen", action="store_true", help="the shipped model was not trained on these data"
    )
    parser.add_argument("--qqp", choices=["with", "without", "only"], default="with", help="the largest set")
    parser.add_argument(
        "--most", type=int, help="of the largest set of pairs, only so many from its beginning"
    )
    parser.add_argument("--save", action="store_true", help="write tables and curves to bench/results/")
    asked = parser.parse_args()
    subject, report = Subject(asked.data, shipped(), Encodings(asked.keep)), Report()
    report.say(f"The judge serves from probability {subject.judge.threshold}; cosine is read at {BASELINE}.")
    if asked.qqp != "only":
        trained_sets(report, subject, None if asked.unseen else (asked.seed, asked.keep))
    if asked.qqp != "without":
        pair_set(report, subject, "qqp_pairs", 0.01, most=asked.most)
        stream(report, subject, "qqp_stream")
    if asked.save:
        name = "cache_quality_qqp" if asked.qqp == "only" else "cache_quality"
        options = "" if asked.qqp == "with" else f" --qqp {asked.qqp}"
        report.write(name, options + (f" --most {asked.most}" if asked.most else ""))


def trained_sets(report: Report, subject: Subject, validation: tuple[int, Path] | None) -> None:
    validated: dict[str, Scores] = {}
    if validation is not None:
        trained = gather(subject.folder, subject.encodings)
        likely, _, _ = unseen(trained, *validation)
        validated = {name: likely[trained.source == name] for name in WEIGHTS}
    for name, limit in PAIR_SETS:
        pair_set(report, subject, name, limit, validated.get(name))
    conversations(report, subject)
    for name in STREAMS:
        stream(report, subject, name, validated.get(name))
    timing(report, subject)


if __name__ == "__main__":
    main()
