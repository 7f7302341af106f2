"""What the process that keeps several workers counts itself, beside their own metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import choose_encoder


class WorkerMetrics:
    def __init__(self, workers: int) -> None:
        self.registry = CollectorRegistry()
        self._up = Gauge(
            "tollway_worker_up",
            "1 where a worker answers, 0 where it does not, and then its metrics are missing.",
            ["worker"],
            registry=self.registry,
        )
        self._restarts = Counter(
            "tollway_worker_restarts_total",
            "Starts of a worker after one before it had ended.",
            ["worker"],
            registry=self.registry,
        )
        for number in range(1, workers + 1):
            self._restarts.labels(str(number))

    def observe(self, number: int, *, is_up: bool) -> None:
        self._up.labels(str(number)).set(is_up)

    def restarted(self, number: int) -> None:
        self._restarts.labels(str(number)).inc()

    def page(self, accept: str) -> tuple[str, str]:
        """As who asks wants it, and its media type."""
        encoded, media_type = choose_encoder(accept)
        return encoded(self.registry).decode(), media_type
