"""What came of gateways side by side: as a report to be kept, as a page, and as a picture. For `side_by_side`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.bars import drawing
from bench.cases import CASES, PARSE_AND_REPLY, PASS_THROUGH
from bench.load import Burst
from bench.report import Spread, number, said, shown, spread, table

ENCODER: Final = "encoder alone"
_HOW: Final = """\
wrk with 32 callers who ask again at once; and one caller alone. nginx is the provider, and answers at once. Medians of
alternating rounds (least to most). Absolute figures are this machine's, whose processors callers, provider, Redis and
subject share; the ratios are what counts. CPU is of the gateway's processes, and beside it of its Redis.
"""
_SPEED: Final = {
    "requests/s": "requests_per_second",
    "p50 ms": "p50_ms",
    "p95 ms": "p95_ms",
    "p99 ms": "p99_ms",
    "one caller, p50 ms": "lone_p50_ms",
}
_COST: Final = {
    "CPU s / 1,000 requests": "cpu_ms",
    "its Redis": "stores_cpu_ms",
    "resident MB": "resident_mb",
}


@dataclass(frozen=True)
class Found:
    """Of one case in one round."""

    crowd: Burst
    lone: Burst  # one caller
    cpu_s: float = 0.0  # of the subject's processes while the crowd asked
    stores_cpu_s: float = 0.0
    resident_mb: float = 0.0
    sources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """Of two cases' requests a second, or of what one caller waits."""

    one: str
    other: str
    least: float | None = None  # the goal
    most: float | None = None  # the goal, of what one caller waits

    @property
    def name(self) -> str:
        return f"{self.one} / {self.other}{'' if self.most is None else ', p50 of one caller'}"

    def of(self, one: Found, other: Found) -> float:
        if self.most is None:
            return one.crowd.requests_per_second / other.crowd.requests_per_second
        return one.lone.p50_ms / other.lone.p50_ms

    def goal(self, median: float) -> str:
        if self.most is not None:
            return f"≤ {self.most:g}, {'met' if median <= self.most else 'missed'}"
        return (
            "" if self.least is None else f"≥ {self.least:g}, {'met' if median >= self.least else 'missed'}"
        )


RATIOS: Final = (
    Ratio("Tollway live", PASS_THROUGH, least=0.6),
    Ratio("Tollway live", "Portkey live", least=3),
    Ratio("Tollway live", "LiteLLM Proxy live", least=50),
    Ratio("Tollway exact", PARSE_AND_REPLY, least=0.6),
    Ratio("Tollway exact", "Portkey live", least=6),
    Ratio("Tollway exact", "LiteLLM Proxy exact", least=100),
    Ratio("Tollway semantic", ENCODER, least=0.85),
    Ratio("Tollway semantic", ENCODER, most=1.3),
    Ratio("Tollway mixed", PASS_THROUGH),
)


def summary(found: Mapping[str, Sequence[Found]]) -> dict[str, dict[str, Any]]:
    """Cases and ratios by their names."""
    ratios = [each for each in RATIOS if each.one in found and each.other in found]
    return {
        "cases": {name: _case(rounds) for name, rounds in found.items()},
        "ratios": {
            each.name: spread(
                [each.of(a, b) for a, b in zip(found[each.one], found[each.other], strict=True)]
            )
            for each in ratios
        },
    }


def _case(found: Sequence[Found]) -> dict[str, Any]:
    """A lone caller may have had no answer in time of who is slow, and the encoder has no processes of its own."""
    case: dict[str, Any] = {
        "requests_per_second": spread([each.crowd.requests_per_second for each in found]),
        "p50_ms": spread([each.crowd.p50_ms for each in found]),
        "p95_ms": spread([each.crowd.p95_ms for each in found]),
        "p99_ms": spread([each.crowd.p99_ms for each in found]),
        "errors": sum(each.crowd.errors + each.lone.errors for each in found),
    }
    if lone := [each.lone.p50_ms for each in found if each.lone.requests]:
        case["lone_p50_ms"] = spread(lone)
    if all(each.resident_mb for each in found):
        # Seconds for 1,000 requests are milliseconds for one.
        case["cpu_ms"] = spread([each.cpu_s / each.crowd.requests * 1_000 for each in found])
        case["stores_cpu_ms"] = spread([each.stores_cpu_s / each.crowd.requests * 1_000 for each in found])
        case["resident_mb"] = spread([each.resident_mb for each in found])
    sources = sum((Counter[str](each.sources) for each in found), Counter[str]())
    if total := sources.total():
        case["sources"] = {source: round(count / total, 4) for source, count in sources.most_common()}
    return case


def as_brief(report: Mapping[str, Any]) -> str:
    """Medians alone, with what readers ask first."""
    columns = {"requests/s": "requests_per_second", "p99 ms": "p99_ms", "one caller, p50 ms": "lone_p50_ms"}
    columns |= {"CPU s / 1,000": "cpu_ms", "resident MB": "resident_mb"}
    rows = [
        [name, *(number(case[key]["median"]) if key in case else "" for key in columns.values())]
        for name, case in report["cases"].items()
    ]
    goals = [
        [name, number(report["ratios"][name]["median"]), goal]
        for name, goal in _goals(report["ratios"]).items()
    ]
    lines = [
        said(report),
        "",
        *table(["", *columns], rows),
        *table(["ratio", "", "goal"], goals),
    ]
    return "\n".join(lines)


def as_markdown(report: Mapping[str, Any]) -> str:
    cases, ratios = report["cases"], report["ratios"]
    speed = [[name, *_cells(case, _SPEED)] for name, case in cases.items()]
    cost = [
        [name, *_cells(case, _COST), str(case["errors"]), _sources(case)]
        for name, case in cases.items()
        if "cpu_ms" in case
    ]
    goals = [[name, shown(ratios[name]), goal] for name, goal in _goals(ratios).items()]
    lines = ["# Gateways side by side, one worker each", "", said(report), "", _HOW]
    lines += table(["", *_SPEED], speed)
    lines += table(["", *_COST, "errors", "answered from"], cost)
    lines += table(["ratio", "", "goal"], goals)
    lines += [
        "What each does:",
        "",
        *(f"- {name}: {CASES[name].what}" for name in cases if name in CASES),
        "",
    ]
    return "\n".join(lines)


def _cells(case: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    return [shown(case[key]) if key in case else "" for key in columns.values()]


def _sources(case: Mapping[str, Any]) -> str:
    return ", ".join(f"{source} {share:.1%}" for source, share in case.get("sources", {}).items())


def _goals(ratios: Mapping[str, Spread]) -> dict[str, str]:
    """Each ratio's goal, and whether it is met."""
    return {each.name: each.goal(ratios[each.name]["median"]) for each in RATIOS if each.name in ratios}


def picture(cases: Mapping[str, Mapping[str, Any]]) -> str:
    panels = {"requests a second": "requests_per_second", "p50 in ms, one caller": "lone_p50_ms"}
    panels |= {"CPU seconds for 1,000 requests": "cpu_ms", "resident MB": "resident_mb"}
    bars = {
        title: {name: case[key] for name, case in cases.items() if key in case}
        for title, key in panels.items()
    }
    return drawing(bars)
