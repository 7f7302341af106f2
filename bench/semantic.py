"""What a hit by meaning costs beside what must be paid for any: embedding its prompt. `python -m bench.semantic`.

Under load, of 32 connections, hits a second are held against the texts a second that the encoder alone makes in
batches, in one thread as in a data plane. Processor time is told as well, of the event loop's thread and of the
encoder's, since on two cores the slower of the two bounds the rest, and it counts on a machine that others use, too. At
idle, of one connection, the median of a hit is held against that of one text embedded. Rounds alternate. Needs wrk and
nginx.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.hits import LIMITS, Served, chat, load, median_ms, serving, taught
from bench.provider import fake_provider
from bench.report import heading, keep, origin
from tests.dataplanes import Setup
from tollway_dataplane.adapters.local_embedder import MOST_BATCH, LocalEmbedder

_TICK_MS: Final = 1_000 / os.sysconf("SC_CLK_TCK")
GOALS: Final = {"hits a second / texts a second": 0.85, "median hit / median text, at idle": 1.3}


@dataclass(frozen=True)
class Round:
    """Milliseconds of processor are for one text, or one hit."""

    texts_per_second: float
    text_processor_ms: float
    hits_per_second: float
    loop_ms: float
    encoder_ms: float
    others_ms: float
    idle_text_ms: float
    idle_hit_ms: float


def processor_ms(pid: int) -> dict[int, float]:
    """By thread, since it began; the one of the process's own number runs the loop."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = (int(fields[11]) + int(fields[12])) * _TICK_MS
    return found


def alone(encoder: LocalEmbedder, texts: Sequence[str], seconds: float) -> tuple[float, float]:
    """Texts a second in batches, and milliseconds of processor for one."""
    starts = itertools.cycle(range(0, len(texts) - MOST_BATCH + 1, MOST_BATCH))
    begun, cpu, done = time.perf_counter(), time.thread_time(), 0
    while time.perf_counter() < begun + seconds:
        start = next(starts)
        done += len(encoder.encode(texts[start : start + MOST_BATCH]))
    return done / (time.perf_counter() - begun), (time.thread_time() - cpu) * 1_000 / done


def one_at_a_time(encoder: LocalEmbedder, texts: Sequence[str], seconds: float) -> float:
    """The median of one text, in milliseconds."""
    until, found = time.perf_counter() + seconds, []
    for text in itertools.cycle(texts):
        begun = time.perf_counter()
        if begun > until:
            break
        encoder.encode([text])
        found.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(found)


def one_round(served: Served, encoder: LocalEmbedder, texts: Sequence[str], seconds: int) -> Round:
    bodies = [chat(text) for text in texts]
    rate, text_ms = alone(encoder, texts, seconds)
    before, hits = processor_ms(served.process.process.pid), served.hits_by_meaning()
    begun = time.perf_counter()
    load(served.completions, bodies, seconds, served.folder / "wrk").communicate()
    passed = time.perf_counter() - begun
    after, hits = processor_ms(served.process.process.pid), served.hits_by_meaning() - hits
    spent = {thread: after[thread] - before.get(thread, 0) for thread in after}
    loop = spent.pop(served.process.process.pid)
    most = max(spent.values())
    idle_text = one_at_a_time(encoder, texts, seconds // 2)
    idle = load(served.completions, bodies, seconds // 2, served.folder / "wrk", connections=1)
    return Round(
        texts_per_second=rate,
        text_processor_ms=text_ms,
        hits_per_second=hits / passed,
        loop_ms=loop / hits,
        encoder_ms=most / hits,
        others_ms=(sum(spent.values()) - most) / hits,
        idle_text_ms=idle_text,
        idle_hit_ms=median_ms(idle.communicate()[0]),
    )


def measure(rounds: int, seconds: int) -> list[Round]:
    encoder = asyncio.run(LocalEmbedder.load())
    with tempfile.TemporaryDirectory() as temporary, fake_provider(Path(temporary)) as provider:
        setup = Setup(provider, provider, acme={"limits": LIMITS})
        with serving(Path(temporary) / "tollway", setup, "tollway_dataplane") as served:
            texts = [paraphrase for _, paraphrase in taught(served)]
            print(f"{len(texts)} paraphrases are hits by meaning", flush=True)
            one_round(served, encoder, texts, 2)  # warms both up
            return [one_round(served, encoder, texts, seconds) for _ in range(rounds)]


def as_markdown(found: Sequence[Round], begun: Mapping[str, object]) -> str:
    def row(name: str, value: Callable[[Round], float]) -> str:
        values = [value(each) for each in found]
        return f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |"

    under_load, at_idle = GOALS
    return "\n".join(
        [
            *heading("Hits by meaning, beside embedding alone", begun),
            f"Medians of {len(found)} alternating rounds, with the smallest and the largest. Where others had the",
            "processors as well, only processor time counts.",
            "",
            "| ratio | median | min | max | goal |",
            "|---|---:|---:|---:|---:|",
            f"{row(under_load, lambda each: each.hits_per_second / each.texts_per_second)} ≥ {GOALS[under_load]} |",
            f"{row(at_idle, lambda each: each.idle_hit_ms / each.idle_text_ms)} ≤ {GOALS[at_idle]} |",
            "",
            "| processor, ms | median | min | max |",
            "|---|---:|---:|---:|",
            row("one text of a batch, the encoder alone", lambda each: each.text_processor_ms),
            row("one hit: the encoder's thread", lambda each: each.encoder_ms),
            row("one hit: the event loop's thread", lambda each: each.loop_ms),
            row("one hit: all other threads", lambda each: each.others_ms),
            row(
                "encoder alone / the busier thread of a hit",
                lambda each: each.text_processor_ms / max(each.encoder_ms, each.loop_ms),
            ),
            "",
            "| as measured | median | min | max |",
            "|---|---:|---:|---:|",
            row("texts a second, the encoder alone", lambda each: each.texts_per_second),
            row("hits a second", lambda each: each.hits_per_second),
            row("ms, one text at idle", lambda each: each.idle_text_ms),
            row("ms, one hit at idle", lambda each: each.idle_hit_ms),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="length of one burst")
    parser.add_argument("--save", action="store_true", help="write the results to bench/results/")
    given = parser.parse_args()
    begun = origin("bench.semantic")
    found = measure(given.rounds, given.seconds)
    text = as_markdown(found, begun)
    print(f"\n{text}")
    if given.save:
        keep("semantic", {**begun, "rounds": [vars(each) for each in found]}, text)


if __name__ == "__main__":
    main()
