"""What it costs to judge one candidate of a look-up: `python -m bench.candidate_cost`. Processor time of one thread
over 200 made-up pairs, with the encoder and the judge that ship.
"""

import argparse
import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.candidate_pairs import pairs
from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.heap import settle_heap
from tollway_dataplane.judgement.judge import ALL_CHECKS, View, shipped
from tollway_dataplane.judgement.verification import verify
from tollway_dataplane.prompts.reading import WordVectors, read

Kept = dict[str, tuple[npt.NDArray[np.float32], WordVectors]]  # what an entry keeps of its prompt
TITLES: Final = {
    "new": "both prompts new to a process that has just begun",
    "anew": "both read anew, of words that the process has met",
    "further": "a further candidate: its prompt is read anew, the caller's has been read",
    "known": "a further candidate that was judged for another caller",
}


@dataclass(frozen=True)
class Demands:
    threshold: float
    strict_threshold: float
    checks: frozenset[CriticalCheck] = ALL_CHECKS


def encoded() -> Kept:
    embedder = asyncio.run(LocalEmbedder.load())
    judge = shipped()
    views = {text: judge.view_of(text, embedder.encode([text])[0]) for pair in pairs() for text in pair}
    return {text: (view.vector, view.words) for text, view in views.items()}


def timed(judged: Callable[[], object]) -> float:
    """Microseconds."""
    began = time.thread_time_ns()
    judged()
    return (time.thread_time_ns() - began) / 1_000


def one_round(kept: Kept) -> tuple[dict[str, list[float]], Counter[str]]:
    """In a process that has just begun."""
    judge = shipped()
    demands = Demands(judge.threshold, judge.threshold)
    reasons: Counter[str] = Counter()

    def view(text: str) -> View:
        return judge.view(read(text), *kept[text])

    def judged(ours: str, theirs: str) -> None:
        reasons[verify(view(ours), view(theirs), demands, judge).reason] += 1

    def judged_further(ours: View, theirs: str) -> None:
        verify(ours, view(theirs), demands, judge)

    def judged_again(ours: View, theirs: View) -> None:
        verify(ours, theirs, demands, judge)

    settle_heap()  # as the data plane does
    found = {"new": [timed(partial(judged, *pair)) for pair in pairs()]}
    found["anew"] = [timed(partial(judged, *pair)) for pair in pairs()]
    found["further"], found["known"] = [], []
    # What comes before is another candidate, of which the caller's prompt knows its own side by then.
    before_each = list(zip(pairs(), [*pairs()[1:], pairs()[0]], strict=True))
    for (ours, theirs), (_, before) in before_each:
        caller = view(ours)
        judged_further(caller, before)
        found["further"].append(timed(partial(judged_further, caller, theirs)))
    other = view(pairs()[0][0])
    for (ours, theirs), (_, before) in before_each:
        caller, remembered = view(ours), view(theirs)
        judge.probability(other, remembered)
        judged_again(other, remembered)
        judged_further(caller, before)
        found["known"].append(timed(partial(judged_again, caller, remembered)))
    return found, reasons


def measure(rounds: int) -> tuple[dict[str, npt.NDArray[np.float64]], Counter[str]]:
    """Of each pair the least of all rounds: what more it took was somebody else's."""
    done: list[tuple[dict[str, list[float]], Counter[str]]] = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        kept = processes.submit(encoded).result()
        done = [processes.submit(one_round, kept).result() for _ in range(rounds)]
    return {name: np.min([found[name] for found, _ in done], axis=0) for name in TITLES}, done[0][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="each in a process of its own")
    found, reasons = measure(parser.parse_args().rounds)
    print("| one candidate, in µs | median | p95 | p99 |\n|---|---:|---:|---:|")
    for name, took in found.items():
        median, most, nearly_all = np.percentile(took, (50, 95, 99))
        print(f"| {TITLES[name]} | {median:.0f} | {most:.0f} | {nearly_all:.0f} |")
    shares = ", ".join(f"{reason} {count / reasons.total():.0%}" for reason, count in reasons.most_common())
    print(f"\nDecided: {shares}")


if __name__ == "__main__":
    main()
