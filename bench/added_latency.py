"""`make bench-latency`: what gateways add to an answer at a quarter, half and three quarters of what each can take,
under callers who do not wait for each other (`open_loop`). Each is compared at the same rate with the baseline that
does nothing but hand on, or, for answers from memory, read and reply.
"""

import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.cases import CASES, Asking, Stand, opened
from bench.command import given
from bench.latency_curves import drawing
from bench.load import Shape, burst
from bench.open_loop import Offered, OpenLoop, dues, request
from bench.report import number, origin, said, save, shown, spread, table
from bench.side_by_side import MOST_PER_SECOND

SHARES: Final = (0.25, 0.5, 0.75)
PERCENTILES: Final = (50, 95, 99)
_ENOUGH: Final = 300  # requests, for a 99th percentile that says something
_LONGEST_S: Final = 20.0
_HOW: Final = """\
Requests are due by a Poisson process, whatever becomes of those before; what an answer takes is counted from when it
was due. The capacity is the mean of bursts of wrk with 32 callers, in the same run. "Added" is beyond the baseline at
the same rate in the same round; medians of alternating rounds (least to most). "Sent late" is our own share of all
latencies. Callers, provider, Redis and gateway share the processors.
"""


@dataclass(frozen=True)
class At:
    """One case beside its baseline, at one rate, in one round."""

    case: Mapping[int, float]  # ms by percentile
    baseline: Mapping[int, float]
    late_ms: float  # p99 of our own lateness
    failures: Mapping[str, int]


def offer(asking: Asking, rate: float, seconds: float, seed: int) -> Offered:
    subject, due = asking.subject, dues(rate, seconds, seed)

    def requests() -> Iterator[bytes]:
        while True:
            for each in asking.bodies(64):
                yield request(subject.chat, subject.headers, each)

    return OpenLoop(subject.url).offer(due, requests())


def percentiles(values: Sequence[float]) -> dict[int, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else [*values] * 99
    assert cuts, "nobody was answered"
    return {each: cuts[each - 1] for each in PERCENTILES}


def compare(one: Asking, other: Asking, rate: float, seconds: float, seed: int) -> At:
    length = min(max(seconds, _ENOUGH / rate), _LONGEST_S)
    base, found = (offer(each, rate, length, seed) for each in (other, one))
    return At(
        percentiles(found.latencies_ms),
        percentiles(base.latencies_ms),
        percentiles(found.late_ms)[99],
        found.failures,
    )


def measure(names: Sequence[str], rounds: int, seconds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        bases = dict.fromkeys(CASES[name].against for name in names)
        asked = opened([*bases, *names], Stand(folder, stack))
        found: dict[str, Any] = {}
        capacities = {name: _capacity(name, asked[name], folder) for name in names}
        rows: dict[tuple[str, float], list[At]] = {}
        for turn in range(rounds):
            for name in names:
                base = asked[CASES[name].against]
                for share in SHARES:
                    at = compare(asked[name], base, share * capacities[name], seconds, turn)
                    rows.setdefault((name, share), []).append(at)
                    print(
                        f"round {turn + 1}/{rounds}: {name} at {share:.0%}: p50 {at.case[50]:.2f} ms",
                        flush=True,
                    )
        for name in names:
            found[name] = {
                "requests_per_second": round(capacities[name], 1),
                "against": CASES[name].against,
                "at": {f"{share:g}": _summary(rows[name, share]) for share in SHARES},
            }
        return found


def _capacity(name: str, asking: Asking, folder: Path) -> float:
    """Requests a second, over three bursts after one to warm up."""
    subject, found = asking.subject, []
    length = 3 * asking.case.longer
    for seconds in (1, length, length, length):
        bodies = asking.bodies(seconds * MOST_PER_SECOND)
        found.append(burst(subject.chat, subject.headers, bodies, Shape(seconds), folder).requests_per_second)
    rate = statistics.mean(found[1:])
    assert rate, f"{name}: nobody was answered in {length} s"
    print(f"{name} takes {rate:,.0f} a second", flush=True)
    return rate


def _summary(found: Sequence[At]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for each in PERCENTILES:
        summary[f"p{each}_ms"] = spread([at.case[each] for at in found])
        summary[f"baseline_p{each}_ms"] = spread([at.baseline[each] for at in found])
        summary[f"added_p{each}_ms"] = spread([at.case[each] - at.baseline[each] for at in found])
    return {
        **summary,
        "late_p99_ms": spread([at.late_ms for at in found]),
        "failures": dict(sum((Counter(at.failures) for at in found), Counter[str]())),
    }


def as_markdown(report: Mapping[str, Any]) -> str:
    cases = report["cases"]
    against = [f"- {name}: beyond {case['against']}" for name, case in cases.items()]
    lines = ["# Latency that gateways add, in an open loop", "", said(report), "", _HOW]
    return "\n".join([*lines, *_table(cases, SHARES), *against, ""])


def as_brief(report: Mapping[str, Any]) -> str:
    """At half of what each can take."""
    return "\n".join([said(report), "", *_table(report["cases"], [0.5])])


def _table(cases: Mapping[str, Any], shares: Sequence[float]) -> list[str]:
    keys = ("p50_ms", "added_p50_ms", "added_p95_ms", "added_p99_ms", "late_p99_ms")
    rows = []
    for name, case in cases.items():
        for share in shares:
            at = case["at"][f"{share:g}"]
            failures = ", ".join(f"{count} × {what}" for what, count in at["failures"].items())
            title = f"{name}, {share:.0%} of {number(case['requests_per_second'])}/s"
            rows.append([title, *(shown(at[key]) for key in keys), failures or "none"])
    return table(["", "p50 ms", "added p50", "added p95", "added p99", "sent late, p99", "failures"], rows)


def main() -> None:
    told = given(__doc__, [name for name, case in CASES.items() if case.against], rounds=3, seconds=5)
    begun = origin("bench.added_latency")
    cases = measure(told.names, told.rounds, told.seconds)
    report = {**begun, "cases": cases}
    text = as_markdown(report)
    print(f"\n{text}")
    if told.save:
        save("added_latency", report, text, as_brief(report), drawing(cases))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
