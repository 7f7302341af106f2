"""What is counted by tenant. Each tenant is a dozen series, which thousands of tenants would make too many for a
Prometheus; so only those that spend most have series of their own, and what the rest does is counted as one.

No series ever falls: a tenant that comes among those that spend most begins with what it does from then on, and one
that is overtaken keeps its counts, unseen, and goes on from them if it comes back. So the sum of all increases is
exact, and there are never more series than for so many tenants and one.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from tollway_api.snapshot import NANO_PER_USD
from tollway_dataplane.core.facts import NO_USAGE
from tollway_dataplane.record import JUDGING, Record

# No tenant may be called so.
OTHERS: Final = "_other"
# By how much more a tenant must have spent than the least of those that are named, so that two do not take turns.
_MARGIN: Final = 1.25


# Each is one of its kind; by its fields it would be hashed in Python, several times a request.
@dataclass(frozen=True, slots=True, eq=False)
class _Family:
    name: str
    help: str
    labels: tuple[str, ...] = ()
    is_money: bool = True  # counted in nano-USD and shown in USD
    is_gauge: bool = False

    def metric(self) -> GaugeMetricFamily | CounterMetricFamily:
        kind = GaugeMetricFamily if self.is_gauge else CounterMetricFamily
        return kind(self.name, self.help, labels=["tenant", *self.labels])


_COST: Final = _Family("ai_cost_per_tenant", "USD spent at providers since start.", is_gauge=True)
_SAVED: Final = _Family("ai_cost_saved_usd_total", "USD that cache hits did not cost.")
_SAVED_BY_ROUTING: Final = _Family(
    "ai_cost_saved_by_routing_usd_total",
    "USD that answers of the simple model would have cost more at the complex one.",
)
_ESTIMATED: Final = _Family(
    "ai_cost_estimated_usd_total",
    "Of what was spent, USD that were estimated because the provider did not say.",
)
_OVERHEAD: Final = _Family(
    "ai_cost_overhead_usd_total",
    "Of what was spent, USD for the cache: to embed prompts, and to judge answers beside live ones.",
    ("purpose",),
)
_OVERSHOOT: Final = _Family(
    "ai_budget_overshoot_usd", "USD used beyond what was held, since start.", is_gauge=True
)
_TOKENS: Final = _Family(
    "ai_tokens_total", "Tokens used at providers.", ("model", "direction"), is_money=False
)
_REQUESTS: Final = _Family(
    "ai_requests_total", "Requests, by where their answers came from.", ("source",), is_money=False
)
_FAMILIES: Final = (
    _COST, _SAVED, _SAVED_BY_ROUTING, _ESTIMATED, _OVERHEAD, _OVERSHOOT, _TOKENS, _REQUESTS,
)  # fmt: skip


_Series = tuple[_Family, tuple[str, ...]]  # with its labels but the tenant
_Counts = Counter[_Series]  # whole numbers, since sums of floats drift


class TenantMetrics(Collector):
    """Of `most` tenants at a time, and of all others together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._spent: Counter[str] = Counter()  # nano-USD of each tenant, named or not
        self._named: dict[str, _Counts] = {}
        self._unseen: dict[str, _Counts] = {}  # of those that were named before
        self._others = _Counts()
        self._least = 0  # what everyone who is named has spent

    def observe(self, record: Record) -> None:
        if not record.tenant:
            return
        self._spent[record.tenant] += record.cost_nano
        counts, is_judging = self._counts_of(record.tenant), record.operation == JUDGING
        if not is_judging:
            counts[_REQUESTS, (record.source or "none",)] += 1
        if record.saved_nano:
            counts[_SAVED, ()] += record.saved_nano
        if not record.cost_nano and record.usage is NO_USAGE:
            return  # nobody else was asked
        judging = record.cost_nano if is_judging else 0
        for family, labels, amount in (
            (_COST, (), record.cost_nano),
            (_SAVED_BY_ROUTING, (), record.routed_nano),
            (_ESTIMATED, (), record.estimated_nano),
            (_OVERHEAD, ("Judging",), judging),
            (_OVERHEAD, ("Embedding",), record.embedding_nano),
            (_TOKENS, (record.model, "prompt"), record.usage.prompt_tokens),
            (_TOKENS, (record.model, "completion"), record.usage.completion_tokens),
        ):
            if amount:
                counts[family, labels] += amount

    def overshot(self, tenant: str, nano: int) -> None:
        self._counts_of(tenant)[_OVERSHOOT, ()] += nano

    def keep_only(self, tenants: Collection[str]) -> None:
        """Forgets tenants that are gone."""
        for known in (self._spent, self._named, self._unseen):
            for gone in known.keys() - set(tenants):
                del known[gone]

    def collect(self) -> Iterator[Metric]:
        families = {family: family.metric() for family in _FAMILIES}
        for tenant, counts in ((OTHERS, self._others), *self._named.items()):
            for (family, labels), amount in counts.items():
                value = amount / NANO_PER_USD if family.is_money else amount
                families[family].add_metric([tenant, *labels], value)
        yield from families.values()

    def _counts_of(self, tenant: str) -> _Counts:
        if (counts := self._named.get(tenant)) is not None:
            return counts
        if not self._has_room_for(tenant):
            return self._others
        counts = self._named[tenant] = self._unseen.pop(tenant, _Counts())
        return counts

    def _has_room_for(self, tenant: str) -> bool:
        """By making it, where somebody who is named has spent much less."""
        if len(self._named) < self._most:
            return True
        spent = self._spent[tenant]
        # What the least has spent only grows while nobody comes, so mostly this need not be looked for.
        if not self._named or spent <= _MARGIN * self._least:
            return False
        least = min(self._named, key=self._spent.__getitem__)
        self._least = self._spent[least]
        if spent <= _MARGIN * self._least:
            return False
        self._unseen[least] = self._named.pop(least)
        return True
