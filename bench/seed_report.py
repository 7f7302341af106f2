"""Table and pictures of `bench.seed`, beside the audit's figures."""

from collections.abc import Mapping

from bench.plots import HEIGHT, WIDTH, lines
from bench.report import heading
from bench.seed_figures import HITS, Measured, percentile, reachable
from bench.svg import sheet
from bench.traffic import Kind


def table(report: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """What is measured, the audit's figure, and ours."""

    def number(name: str) -> float:
        value = report[name]
        assert isinstance(value, int | float)
        return float(value)

    hit_kinds = report["hit_of_kind"]
    assert isinstance(hit_kinds, dict)
    per_core = 1_000 / number("cpu_s_per_1000_at_most")
    return [
        (
            "answered from memory",
            "45 %",
            f"{number('hit_share'):.1%} of {number('reachable_share'):.1%} that can be",
        ),
        (
            "… not looked up, since the answer depends on the time",
            "",
            f"{number('time_dependent_share'):.1%}",
        ),
        ("… found the cache or the encoder too busy", "", f"{number('out_of_time_share'):.1%}"),
        ("… of what is said in other words", "", f"{hit_kinds.get(Kind.PARAPHRASE, 0):.1%}"),
        (
            "wrong hits, by labels",
            "",
            f"{number('wrong_hits'):.0f} ({number('wrong_share_of_hits'):.2%} of hits)",
        ),
        ("… of what only looks like something asked before", "", f"{hit_kinds.get(Kind.NEAR_MISS, 0):.1%}"),
        ("of the others, answered by the cheap model", "30 %", f"{number('cheap_share_of_live'):.1%}"),
        ("spend saved, against all to the dear model", "62 %", f"{number('spend_saved'):.1%}"),
        (
            "… had the cheap model answered 30 % of the others",
            "",
            f"{number('spend_saved_routed_as_in_the_audit'):.1%}",
        ),
        ("a hit, mean", "12 ms", f"{number('hit_mean_ms'):.1f} ms (median {number('hit_p50_ms'):.1f})"),
        ("P99 before, straight to the dear model", "1.2 s", f"{number('before_p99_ms'):,.0f} ms"),
        ("P99 after, of all", "", f"{number('after_p99_ms'):,.0f} ms"),
        (
            "P99 after, the provider's own time excluded",
            "180 ms",
            f"{number('after_p99_without_provider_ms'):,.0f} ms (median {number('after_p50_without_provider_ms'):.1f})",
        ),
        ("errors before, 4 % of the provider's calls failing", "4 %", f"{number('errors_before'):.2%}"),
        (
            "errors after",
            "0.1 %",
            f"{number('errors_after'):.3%} (less than {number('errors_after_at_most'):.3%}, with a confidence of 95 %)",
        ),
        (
            "requests a second on one instance",
            "500",
            f"{number('most_per_second'):,.0f} beside all others; {per_core:,.0f} by its own processor time, a core",
        ),
        (
            "… of which so many found the cache or the encoder too busy",
            "",
            f"{number('out_of_time_share_at_most'):.1%}",
        ),
        (
            "its processor time for 1,000 requests, as they came and at most",
            "",
            f"{number('cpu_s_per_1000'):.2f} s, {number('cpu_s_per_1000_at_most'):.2f} s",
        ),
        ("its memory afterwards", "", f"{number('rss_mb'):,.0f} MB"),
    ]


def as_markdown(report: Mapping[str, object]) -> str:
    kinds, by_set = report["kinds"], report["paraphrases_hit_of_set"]
    assert isinstance(kinds, dict)
    assert isinstance(by_set, dict)
    mix = ", ".join(f"{share:.1%} {kind}" for kind, share in sorted(kinds.items()))
    sets = ", ".join(f"{share:.0%} of {name}" for name, share in by_set.items())
    return "\n".join(
        [
            *heading("The audit's load", report),
            f"{report['requests']:,} requests at Azure's trace's times, {report['per_second']} a second; {mix}.",
            f"Of what is said in other words {sets} were served.",
            "",
            "| | the audit | here |",
            "|---|---:|---:|",
            *(f"| {' | '.join(row)} |" for row in table(report)),
            "",
            "![Latency before and after, and hits and spend as they come](seed.svg)",
            "",
        ]
    )


def picture(found: Measured) -> str:
    """How long requests took by their share, and what was answered from memory in the course of the run."""
    series = {
        "before": [each.ms for each in found.before.answered],
        "after": [each.ms for each in found.after.answered],
        "after, without the provider": found.after.without_provider_ms,
    }
    shares = (*range(1, 100), 99.9)
    curves = {
        name: [(max(percentile(values, share), 0.1), share) for share in shares]
        for name, values in series.items()
    }
    hits = could = 0
    course: dict[str, list[tuple[float, float]]] = {"answered from memory": [], "could be": []}
    pairs = zip(reachable(found.after.asks), found.after.outcomes, strict=False)
    for number, (is_reachable, outcome) in enumerate(pairs, 1):
        hits += outcome.source in HITS
        could += is_reachable
        if number % max(1, len(found.after.asks) // 100) == 0:
            course["answered from memory"].append((number, 100 * hits / number))
            course["could be"].append((number, 100 * could / number))
    panels = [
        lines("% of requests that took no longer", "milliseconds", curves, log=True),
        lines("% answered from memory so far", "requests", course),
    ]
    return sheet(panels, WIDTH, HEIGHT, columns=2)
