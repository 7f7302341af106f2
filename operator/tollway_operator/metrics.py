"""Every metric of the operator, in a registry of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter, time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library does not type it


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._steps = Histogram(
            "tollway_operator_step_seconds",
            "How long each step of a reconciliation took.",
            ["step"],
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60),
            registry=self.registry,
        )
        self.reconciles = Counter(
            "tollway_operator_reconciles_total", "Reconciliations.", ["outcome"], registry=self.registry
        )
        self._last_success = Gauge(
            "tollway_operator_last_success_timestamp_seconds",
            "When a reconciliation last succeeded.",
            registry=self.registry,
        )
        self.queue_age = Gauge(
            "tollway_operator_queue_age_seconds",
            "How long the oldest change waits to be looked at.",
            registry=self.registry,
        )
        self.watch_age = Gauge(
            "tollway_operator_watch_age_seconds",
            "Since when a watch is not known to be up to date.",
            ["kind"],
            registry=self.registry,
        )
        self.unlistable = Gauge(
            "tollway_operator_unlistable",
            "1 while a kind cannot be listed, so that nobody knows whether its watch has told everything.",
            ["kind"],
            registry=self.registry,
        )
        self.leads = Gauge("tollway_operator_leads", "1 while this replica leads.", registry=self.registry)
        self.acknowledged = Counter(
            "tollway_operator_acks_total", "Acknowledgements by pods.", registry=self.registry
        )
        self.refused = Counter("tollway_operator_nacks_total", "Rejections by pods.", registry=self.registry)
        self._pods = Gauge(
            "tollway_operator_pods",
            "Ready pods by the revision that they run.",
            ["revision"],
            registry=self.registry,
        )
        self.publishes = Counter(
            "tollway_operator_publishes_total", "Snapshots written.", registry=self.registry
        )
        self.status_writes = Counter(
            "tollway_operator_status_writes_total", "Statuses written.", registry=self.registry
        )
        self.index_operations = Counter(
            "tollway_operator_index_operations_total",
            "Index versions made, replaced and deleted.",
            ["operation"],
            registry=self.registry,
        )
        self.alerts = Counter(
            "tollway_operator_alerts_total",
            "Alerts of budgets to the webhook, by whether it took them.",
            ["outcome"],
            registry=self.registry,
        )
        self._objects = Gauge("tollway_operator_objects", "Objects known.", ["kind"], registry=self.registry)
        self._problems = Gauge(
            "tollway_operator_problems", "What is wrong with objects.", ["severity"], registry=self.registry
        )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        finally:
            self._steps.labels(name).observe(perf_counter() - began)

    def succeeded(self) -> None:
        self.reconciles.labels("ok").inc()
        self._last_success.set(time())

    def observe_objects(self, by_kind: Mapping[str, int], by_severity: Mapping[str, int]) -> None:
        for gauge, counts in ((self._objects, by_kind), (self._problems, by_severity)):
            gauge.clear()
            for label, count in counts.items():
                gauge.labels(label).set(count)

    def observe_pods(self, by_revision: Mapping[str, int]) -> None:
        self._pods.clear()
        for revision, count in by_revision.items():
            self._pods.labels(revision).set(count)
