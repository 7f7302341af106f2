"""Every metric of the data plane, in a registry of its own. Their names are part of the product: dashboards and
alerts are built on them.
"""

from collections.abc import Collection, Iterable, Iterator
from heapq import nlargest
from math import inf
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tollway_api.error_control import Standing
from tollway_api.messages import Lookups
from tollway_api.meta import TenantName
from tollway_api.snapshot import NANO_PER_USD, Snapshot, Tenant
from tollway_dataplane.core.decision import CacheOutcome, outcome_of
from tollway_dataplane.record import Record
from tollway_dataplane.spending.balances import Balances, share_taken
from tollway_dataplane.telemetry.recent import Recent
from tollway_dataplane.telemetry.route_metrics import RouteMetrics
from tollway_dataplane.telemetry.tenant_metrics import TenantMetrics
from tollway_dataplane.telemetry.upstream_metrics import Children, UpstreamMetrics

# Their creation times would double the number of series and nobody asks for them.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library does not type it

_LATENCY_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    120,
)
_LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)


class Metrics:
    """`observe` takes a finished request; the rest is set by the background tasks that know."""

    def __init__(self, registry: CollectorRegistry, balances: Balances, most_tenants: int) -> None:
        self.registry = registry
        self.cache = CacheMetrics(registry)
        self.route = RouteMetrics(registry)
        self.money = MoneyMetrics(registry, balances, most_tenants)
        self.upstream = UpstreamMetrics(registry)
        self.process = ProcessMetrics(registry)
        self.recent = Recent()  # for people, who look at one data plane now and then without a Prometheus
        duration = Histogram(
            "ai_request_duration_seconds",
            "From the request's arrival to the end of its reply.",
            ["operation", "source", "status"],
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self._duration = Children(duration.labels)
        self._refusals = Counter(
            "tollway_refusals_total", "Requests refused, by the reply's code.", ["code"], registry=registry
        )
        routed = Counter(
            "ai_routed_requests_total",
            "Requests for which a model was chosen, by the one that answered and why that was chosen.",
            ["model", "reason"],
            registry=registry,
        )
        self._routed = Children(routed.labels)
        self.in_flight = 0
        in_flight = Gauge("tollway_requests_in_flight", "Requests under way.", registry=registry)
        in_flight.set_function(lambda: self.in_flight)

    def follow(self, snapshot: Snapshot) -> None:
        """Forgets what is gone."""
        self.cache.follow(snapshot.indexes)
        self.money.follow(snapshot.tenants)

    def observe(self, record: Record, seconds: float) -> None:
        """Counts one finished request, and how long it took."""
        source = record.source or "none"
        exemplar = {"trace_id": record.trace.id} if record.trace.id else None
        self._duration[record.operation, source, str(record.status)].observe(seconds, exemplar)
        if record.refusal:
            self._refusals.labels(record.refusal).inc()
        if record.route_reason is not None:
            self._routed[record.model or "none", record.route_reason].inc()
        self.cache.observe(record)
        self.upstream.observe(record)
        self.money.observe(record)
        self.recent.observe(record, seconds)


class CacheMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._hits = 0
        self._looked_up = 0
        self._by_index: dict[str, list[int]] = {}  # hits, and lookups, of those that are there
        self._indexes: frozenset[str] = frozenset()
        hit_ratio = Gauge(
            "ai_cache_hit_ratio",
            "Share of cache lookups answered, since start; bypasses aside.",
            registry=registry,
        )
        hit_ratio.set_function(lambda: self._hits / self._looked_up if self._looked_up else 0.0)
        lookups = Counter(
            "ai_cache_lookups_total", "Cache lookups.", ["outcome", "reason"], registry=registry
        )
        self._lookups = Children(lookups.labels)
        # Has a value only where hits are judged; an unjudged cache does not claim to be right.
        self._hit_accuracy = Gauge(
            "ai_cache_hit_accuracy",
            "Share of judged hits by meaning that were right: the estimate, and the ends of its confidence interval.",
            ["index", "bound"],
            registry=registry,
        )
        self._operating_point = Gauge(
            "tollway_cache_operating_point",
            "Least probability that is served by meaning where the error rate is bounded; +Inf while nothing is.",
            ["index"],
            registry=registry,
        )
        self._verdict = Gauge(
            "tollway_cache_accuracy_verdict",
            "1 for what is known of an index's error bound: Met, Breached, or TooFewLabels to say.",
            ["index", "verdict"],
            registry=registry,
        )
        self._labels = Counter(
            "tollway_cache_labels_total",
            "Hits by meaning that were to be judged, by what came of it, or why nothing did.",
            ["index", "outcome"],
            registry=registry,
        )
        self._stores = Counter(
            "tollway_cache_stores_total",
            "Answers to remember, by what came of it.",
            ["outcome"],
            registry=registry,
        )

    def follow(self, indexes: Iterable[str]) -> None:
        """From now on these are there. One that goes takes its count along: a later one of its name is another."""
        self._indexes = frozenset(indexes)
        for gone in self._by_index.keys() - self._indexes:
            del self._by_index[gone]

    def by_index(self) -> dict[str, Lookups]:
        return {index: Lookups(hits, total) for index, (hits, total) in self._by_index.items()}

    def observe(self, record: Record) -> None:
        if record.cache_reason is None:
            return
        outcome = outcome_of(record.cache_reason)
        self._lookups[outcome, record.cache_reason].inc()
        if outcome is CacheOutcome.BYPASS:
            return
        is_hit = outcome is CacheOutcome.HIT
        self._looked_up += 1
        self._hits += is_hit
        if record.index in self._indexes:
            counts = self._by_index.setdefault(record.index, [0, 0])
            counts[0] += is_hit
            counts[1] += 1

    def observe_label(self, index: str, outcome: str) -> None:
        self._labels.labels(index, outcome).inc()

    def observe_standing(self, index: str, known: Standing | None) -> None:
        self._verdict.remove_by_labels({"index": index})
        if known is None:
            self._operating_point.remove_by_labels({"index": index})
        else:
            self._operating_point.labels(index).set(inf if known.serves_from is None else known.serves_from)
            self._verdict.labels(index, known.verdict).set(1)
        if known is None or not known.counts.judged:
            self._hit_accuracy.remove_by_labels({"index": index})
            return
        for bound, value in known.shares_right._asdict().items():
            self._hit_accuracy.labels(index, bound).set(value)

    def observe_store(self, outcome: str) -> None:
        self._stores.labels(outcome).inc()


class MoneyMetrics:
    def __init__(self, registry: CollectorRegistry, balances: Balances, most_tenants: int) -> None:
        self._balances = balances
        self._tenants = TenantMetrics(most_tenants)
        registry.register(self._tenants)
        registry.register(Utilization(balances, most_tenants))
        self._unsettled = Counter(
            "tollway_ledger_unsettled_total",
            "Settlements the ledger did not take at once.",
            registry=registry,
        )
        self._uncounted = Counter(
            "tollway_ledger_uncounted_total",
            "Settlements that were given up, since the ledger was away for too many.",
            registry=registry,
        )
        self._of_indexes = Counter(
            "ai_index_cost_usd_total",
            "USD spent on an index itself, at its embedding's provider, and in no tenant's budget.",
            ["index"],
            registry=registry,
        )

    def follow(self, tenants: Collection[TenantName]) -> None:
        """From now on these are there."""
        self._tenants.keep_only(tenants)
        self._balances.keep_only(tenants)

    def unsettled(self) -> None:
        self._unsettled.inc()

    def uncounted(self) -> None:
        self._uncounted.inc()

    def overshot(self, tenant: Tenant, nano: int) -> None:
        self._tenants.overshot(tenant.name, nano)

    def spent_on_index(self, index: str, nano: int) -> None:
        self._of_indexes.labels(index).inc(nano / NANO_PER_USD)

    def observe(self, record: Record) -> None:
        self._tenants.observe(record)


class Utilization(Collector):
    """Of the tenants whose budgets are fullest, so that nobody's alert is missed. Prometheus asks now and then, so the
    sums are made when it does.
    """

    def __init__(self, balances: Balances, most_tenants: int) -> None:
        self._balances = balances
        self._most_tenants = most_tenants

    def collect(self) -> Iterator[Metric]:
        name, help_text = "ai_budget_utilization_ratio", "Used and held, as a share of the limit."
        family = GaugeMetricFamily(name, help_text, labels=["tenant", "limit"])
        shares = {
            owner: {title: share_taken(*each) for title, each in limits.items()}
            for owner, limits in self._balances.by_owner().items()
        }
        shared = shares.pop("", {})
        named = nlargest(self._most_tenants, shares, key=lambda each: max(shares[each].values()))
        for owner, each in (("", shared), *((tenant, shares[tenant]) for tenant in named)):
            for title, share in each.items():
                family.add_metric([owner, title], share)
        yield family


class ProcessMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.redis_up = Gauge(
            "tollway_redis_up", "1 where Redis answers, 0 where it does not.", ["role"], registry=registry
        )
        self.redis_memory = Gauge(
            "redis_memory_usage_bytes", "Memory that Redis uses.", ["role"], registry=registry
        )
        self.redis_max_memory = Gauge(
            "redis_memory_max_bytes", "Redis's maxmemory; 0 is no bound.", ["role"], registry=registry
        )
        self.loop_lag = Histogram(
            "tollway_event_loop_lag_seconds",
            "How late the event loop woke a sleeping task.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self._snapshot = Gauge(
            "tollway_snapshot_info", "1 for the snapshot that runs.", ["revision"], registry=registry
        )
        self.snapshots_rejected = Counter(
            "tollway_snapshots_rejected_total", "Snapshots that could not be run.", registry=registry
        )

        self._spans = Counter(
            "tollway_trace_spans_total",
            "Spans of traced requests: sent to the collector, failed to be, or dropped since too many waited.",
            ["outcome"],
            registry=registry,
        )

    def count_spans(self, outcome: str, count: int) -> None:
        self._spans.labels(outcome).inc(count)

    def observe_snapshot(self, revision: str) -> None:
        self._snapshot.clear()
        self._snapshot.labels(revision).set(1)
