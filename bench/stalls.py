"""How long the event loop of a data plane keeps others waiting, and what it does meanwhile. `python -m bench.stalls`.

One load after the other, of 32 connections each: live requests, exact hits, hits by meaning, exact hits as streams;
then exact hits while Prometheus scrapes, while bodies of 1 MB come, and while snapshots of many tenants are swapped.
The data plane watches itself (`bench.watched`). On a machine that others use, too, only the loop's own processor time
counts. Needs wrk and nginx.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bench.hits import AUTH, LIMITS, Served, chat, load, serving, taught
from bench.provider import fake_provider
from bench.report import heading, keep, origin
from tests.dataplanes import Setup, manifest, secret

GOAL_MS: Final = 20.0
_LARGE: Final = "word " * 200_000
_EVERY_S: Final = 0.5


@dataclass(frozen=True)
class Phase:
    name: str
    began: float
    ended: float


@dataclass(frozen=True)
class Delays:
    """Milliseconds: by the clock, the loop's own processor time, and collecting garbage."""

    by_clock: Sequence[float]
    own: Sequence[float]
    garbage: Sequence[float]


def with_tenants(provider: str, count: int) -> Setup:
    others = []
    for number in range(count):
        name = f"tenant-{number}"
        budget = {"apiKeys": [{"secretRef": {"name": name}}], "limits": LIMITS}
        others += [manifest("TenantBudget", name, budget), secret(name, f"the key of {name}")]
    return Setup(provider, provider, acme={"limits": LIMITS}, others=tuple(others))


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Does it over and over, with pauses, until the context is left."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(_EVERY_S):
            work()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def phases(served: Served, setup: Setup, seconds: int) -> list[Phase]:
    known, paraphrases = zip(*taught(served), strict=True)
    exact = [chat(question) for question in known]
    loads: Mapping[str, Sequence[Mapping[str, object]]] = {
        "live": [{**chat(question), "temperature": 2} for question in known],  # too high to be remembered
        "exact hits": exact,
        "hits by meaning": [chat(paraphrase) for paraphrase in paraphrases],
        "exact hits as streams": [chat(question, stream=True) for question in known],
    }
    orders = iter(range(2, 1_000))

    def scrape() -> None:
        httpx.get(f"{served.admin}/metrics", timeout=60)

    def send_large() -> None:
        httpx.post(served.completions, json=chat(_LARGE), headers=AUTH, timeout=60)

    def swap() -> None:
        order = next(orders)
        served.publish(setup.but(policy={"priority": order}), order)

    beside: Mapping[str, Callable[[], None]] = {
        "exact hits, and scrapes": scrape,
        "exact hits, and bodies of 1 MB": send_large,
        "exact hits, and new snapshots": swap,
    }
    found = []

    def burst(name: str, bodies: Sequence[Mapping[str, object]]) -> None:
        began = time.perf_counter()
        load(served.completions, bodies, seconds, served.folder / "wrk").communicate()
        found.append(Phase(name, began, time.perf_counter()))
        print(f"{name}: done", flush=True)

    for name, bodies in loads.items():
        burst(name, bodies)
    for name, work in beside.items():
        with meanwhile(work):
            burst(name, exact)
    return found


def delays_in(phase: Phase, told: Sequence[Sequence[float]]) -> Delays:
    within = [each for each in told if phase.began <= each[3] <= phase.ended]
    by_clock, own, garbage, _ = zip(*within, strict=True)
    return Delays(by_clock, own, garbage)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def as_markdown(found: Sequence[Phase], report: Mapping[str, Any], begun: Mapping[str, object]) -> str:
    lines = [
        *heading("Stalls of the event loop", begun),
        "Milliseconds that a task which is due waits, asked every two. *own*: of them, those in which the loop's",
        "thread had the processor, which is all that a machine which others use tells for sure.",
        f"The goal is a largest one below {GOAL_MS:g} ms.",
        "",
        "| load | asked | p50 | p99 | p99.9 | largest | own p50 | own p99.9 | largest own | garbage |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for phase in found:
        seen = delays_in(phase, report["delays"])
        figures = [
            *(percentile(seen.by_clock, share) for share in (0.5, 0.99, 0.999, 1)),
            *(percentile(seen.own, share) for share in (0.5, 0.999, 1)),
            max(seen.garbage),
        ]
        shown = " | ".join(f"{figure:.1f}" for figure in figures)
        lines.append(f"| {phase.name} | {len(seen.own):,} | {shown} |")
    for generation in range(3):
        within = (each for each in report["collections"] if each[2] >= found[0].began)
        took = [ms for of, ms, _ in within if of == generation]
        longest = f": {sum(took):.0f} ms of processor, the longest {max(took):.1f}" if took else ""
        lines += [
            "",
            f"Garbage of generation {generation} was collected {len(took)} times under load{longest}.",
        ]
    lines += ["", "The longest of each, and what was seen of it, innermost first:", ""]
    for phase in found:
        worst = [each for each in report["worst"] if phase.began <= each["at_s"] <= phase.ended]
        for each in worst[:3]:
            garbage = f", {each['garbage_ms']:.0f} of it garbage" if each["garbage_ms"] >= 1 else ""
            lines.append(f"- {phase.name}: {each['own_ms']:.0f} of {each['ms']:.0f} ms{garbage}")
            lines += [f"    - {count} × `{stack}`" for count, stack in each["stacks"]]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=10, help="length of one load")
    parser.add_argument("--tenants", type=int, default=1_000, help="of the snapshots that are swapped")
    parser.add_argument("--save", action="store_true", help="write the results to bench/results/")
    given = parser.parse_args()
    begun = origin("bench.stalls")
    with tempfile.TemporaryDirectory() as temporary, fake_provider(Path(temporary)) as provider:
        setup, report = with_tenants(provider, given.tenants), Path(temporary) / "report.json"
        with serving(Path(temporary) / "tollway", setup, "bench.watched", str(report)) as served:
            found = phases(served, setup, given.seconds)
            served.process.stop()
        seen = json.loads(report.read_text(encoding="utf-8"))
        text = as_markdown(found, seen, begun)
    print(f"\n{text}")
    if given.save:
        keep("stalls", {**begun, "worst": seen["worst"]}, text)


if __name__ == "__main__":
    main()
