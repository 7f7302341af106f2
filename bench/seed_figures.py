"""What a run of `bench.seed` came to: pure, from what callers had, what providers billed and what the data plane's log
says.
"""

import hashlib
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.faults import most_share
from bench.replay import Outcome
from bench.traffic import Ask, Kind
from tollway_dataplane.core.decision import CacheReason

HITS: Final = frozenset({"exact", "semantic"})
WAITED: Final = CacheReason.COALESCED  # for the same question of somebody else, and so for the provider
OUT_OF_TIME: Final = frozenset(
    {CacheReason.CACHE_TIMEOUT, CacheReason.CACHE_UNAVAILABLE, CacheReason.EMBEDDER_UNAVAILABLE}
)
CHEAP: Final = "gpt-4o-mini"
STAND_IN: Final = "gpt-4o"
RICH: Final = "gpt-4"  # 60 USD for a million tokens of an answer, as the audit's
CHEAP_OF_LIVE: Final = 0.30  # in the audit


@dataclass(frozen=True)
class Billed:
    usd: Mapping[str, float]  # by model

    @property
    def total(self) -> float:
        return sum(self.usd.values())


@dataclass(frozen=True)
class Noted:
    """What the data plane's log says of one request: reasons, and the milliseconds that the provider took which
    answered.
    """

    cache: str
    route: str
    refusal: str
    provider_ms: float


NOBODY: Final = Noted("", "", "", 0.0)  # of a request that came to no data plane


@dataclass(frozen=True)
class Phase:
    """One replay. What was noted is in the order of the outcomes; CPU seconds are the data plane's."""

    asks: Sequence[Ask]
    outcomes: Sequence[Outcome]
    noted: Sequence[Noted]
    billed: Billed
    cpu_s: float

    @property
    def answered(self) -> list[Outcome]:
        return [each for each in self.outcomes if each.status == 200]

    @property
    def errors(self) -> int:
        return len(self.outcomes) - len(self.answered)

    @property
    def hits(self) -> list[Outcome]:
        return [each for each in self.answered if each.source in HITS]

    @property
    def at_once(self) -> list[Outcome]:
        """Hits that were there when they were asked for."""
        waited = {each.request for each in self.waiting}
        return [each for each in self.hits if each.request not in waited]

    @property
    def waiting(self) -> list[Outcome]:
        """Hits that waited for a provider's answer to the same question."""
        pairs = zip(self.outcomes, self.noted, strict=True)
        return [outcome for outcome, noted in pairs if noted.cache == WAITED and outcome.status == 200]

    @property
    def without_provider_ms(self) -> list[float]:
        """Of those that were answered without waiting for somebody else's question."""
        pairs = zip(self.outcomes, self.noted, strict=True)
        return [
            outcome.ms - noted.provider_ms
            for outcome, noted in pairs
            if outcome.status == 200 and noted.cache != WAITED
        ]

    @property
    def out_of_time_share(self) -> float:
        """Of those that found the cache or the encoder too busy, and so were asked of a model without either."""
        return _share(sum(each.cache in OUT_OF_TIME for each in self.noted), len(self.noted))

    @property
    def usd_per_answer(self) -> float:
        return self.billed.total / len(self.answered)

    @property
    def per_second(self) -> float:
        ends = max(each.at_ms + each.took_ms for each in self.outcomes)
        return 1_000 * len(self.outcomes) / (ends - min(each.at_ms for each in self.outcomes))

    def ask(self, outcome: Outcome) -> Ask:
        return self.asks[outcome.number]


@dataclass(frozen=True)
class Measured:
    before: Phase
    after: Phase
    at_most: Phase
    rss_mb: float


def digest(prompt: str) -> str:
    """What the simulated provider's answer says of the prompt that it was made for."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def wrong_hits(phase: Phase, meanings: Mapping[str, int]) -> int:
    """Those whose answer was made for a prompt that is not labelled the same. `meanings` are by digest of all prompts.
    Not all that means the same is labelled so, hence no more than these are wrong.
    """
    return sum(meanings.get(each.answered) != phase.ask(each).meaning for each in phase.hits)


def reachable(asks: Sequence[Ask]) -> list[bool]:
    """Of each whether something of its meaning was asked before."""
    known: set[int] = set()
    found = []
    for each in asks:
        found.append(each.meaning in known)
        known.add(each.meaning)
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else 0.0


def figures(found: Measured) -> dict[str, object]:
    """As JSON has it. Milliseconds and shares."""
    before, after, at_most = found.before, found.after, found.at_most
    meanings = {digest(each.prompt): each.meaning for each in (*after.asks, *at_most.asks)}
    wrong = wrong_hits(after, meanings)
    live = [each for each in after.answered if each.source not in HITS]
    at_once = [each.ms for each in after.at_once]
    kinds = Counter(each.kind for each in after.asks)
    hit_kinds = Counter(after.ask(each).kind for each in after.hits)
    by_set = {
        name: _share(
            sum(
                after.ask(each).source == name
                for each in after.hits
                if after.ask(each).kind is Kind.PARAPHRASE
            ),
            sum(each.source == name for each in after.asks if each.kind is Kind.PARAPHRASE),
        )
        for name in sorted({each.source for each in after.asks})
    }
    return {
        "requests": len(after.outcomes),
        "per_second": round(after.per_second, 1),
        "kinds": {kind: round(count / len(after.asks), 4) for kind, count in kinds.items()},
        "hit_of_kind": {kind: _share(hit_kinds[kind], count) for kind, count in kinds.items()},
        "paraphrases_hit_of_set": by_set,
        "reachable_share": _share(sum(reachable(after.asks)), len(after.asks)),
        "hit_share": _share(len(after.hits), len(after.answered)),
        "wrong_hits": wrong,
        "wrong_share_of_hits": _share(wrong, len(after.hits)),
        "cache_reasons": dict(Counter(each.cache for each in after.noted).most_common()),
        "out_of_time_share": after.out_of_time_share,
        "out_of_time_share_at_most": at_most.out_of_time_share,
        "time_dependent_share": _share(
            sum(each.cache == CacheReason.TIME_DEPENDENT for each in after.noted), len(after.noted)
        ),
        "route_reasons": dict(Counter(each.route for each in after.noted if each.route).most_common()),
        "refusals": dict(Counter(each.refusal for each in after.noted if each.refusal)),
        "live_models_usd": {name: round(usd, 6) for name, usd in after.billed.usd.items()},
        "cheap_share_of_live": _share(sum(each.model == "cheap" for each in live), len(live)),
        "spend_saved": round(1 - after.usd_per_answer / before.usd_per_answer, 4),
        "spend_saved_routed_as_in_the_audit": round(_routed_as_in_the_audit(before, after), 4),
        "usd_per_1000_answers": [round(1_000 * each.usd_per_answer, 4) for each in (before, after)],
        "hit_mean_ms": round(statistics.mean(at_once), 2),
        "hit_p50_ms": round(percentile(at_once, 50), 2),
        "hit_p99_ms": round(percentile(at_once, 99), 2),
        "hits_that_waited": len(after.waiting),
        "live_mean_ms": round(statistics.mean(each.ms for each in live), 2),
        "before_p99_ms": round(percentile([each.ms for each in before.answered], 99), 1),
        "before_mean_ms": round(statistics.mean(each.ms for each in before.answered), 1),
        "after_p99_ms": round(percentile([each.ms for each in after.answered], 99), 1),
        "after_p50_ms": round(percentile([each.ms for each in after.answered], 50), 1),
        "after_p50_without_provider_ms": round(percentile(after.without_provider_ms, 50), 2),
        "after_p99_without_provider_ms": round(percentile(after.without_provider_ms, 99), 1),
        "late_p99_ms": round(percentile([each.late_ms for each in after.outcomes], 99), 1),
        "errors_before": _share(before.errors, len(before.outcomes)),
        "errors_after": _share(after.errors, len(after.outcomes)),
        "errors_after_count": after.errors,
        "errors_after_at_most": round(most_share(after.errors, len(after.outcomes)), 5),
        "most_per_second": round(at_most.per_second, 1),
        "cpu_s_per_1000": round(1_000 * after.cpu_s / len(after.outcomes), 3),
        "cpu_s_per_1000_at_most": round(1_000 * at_most.cpu_s / len(at_most.outcomes), 3),
        "rss_mb": round(found.rss_mb),
    }


def _routed_as_in_the_audit(before: Phase, after: Phase) -> float:
    """What would have been saved, had the router left no more to the cheap model than in the audit."""
    by_cheap = [each for each in after.answered if each.source not in HITS and each.model == "cheap"]
    cheap_usd = after.billed.usd.get(CHEAP, 0.0) / (len(by_cheap) or 1)
    per_live = CHEAP_OF_LIVE * cheap_usd / before.usd_per_answer + 1 - CHEAP_OF_LIVE
    return 1 - (1 - len(after.hits) / len(after.answered)) * per_live


def _share(part: int, whole: int) -> float:
    return round(part / whole, 5) if whole else 0.0
