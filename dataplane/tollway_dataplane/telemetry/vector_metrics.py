"""Every metric of the embed server, in a registry of its own."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from tollway_dataplane.record import Record
from tollway_dataplane.telemetry.upstream_metrics import Children

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library does not type it

_SECONDS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TEXTS: Final = (1, 2, 4, 8, 16)


class VectorMetrics:
    """`observe` takes a finished request, `observe_batch` a run of the encoder."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.in_flight = 0
        in_flight = Gauge("tollway_embed_requests_in_flight", "Requests under way.", registry=registry)
        in_flight.set_function(lambda: self.in_flight)
        duration = Histogram(
            "tollway_embed_request_duration_seconds",
            "From the request's arrival to its reply.",
            ["operation", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._duration = Children(duration.labels)
        self._refusals = Counter(
            "tollway_embed_refusals_total",
            "Requests refused, by the reply's code.",
            ["code"],
            registry=registry,
        )
        self._tokens = Counter("tollway_embed_tokens_total", "Tokens read.", registry=registry)
        self._batches = Histogram(
            "tollway_embed_batch_texts",
            "Texts that one run of the encoder embeds, of whatever requests.",
            buckets=_TEXTS,
            registry=registry,
        )

    def follow(self, waiting: Callable[[], int]) -> None:
        name, said = "tollway_embed_texts_waiting", "Texts taken on and not embedded yet."
        Gauge(name, said, registry=self.registry).set_function(waiting)

    def observe(self, record: Record, seconds: float) -> None:
        self._duration[record.operation, str(record.status)].observe(seconds)
        if record.refusal:
            self._refusals.labels(record.refusal).inc()
        self._tokens.inc(record.usage.prompt_tokens)

    def observe_batch(self, texts: int) -> None:
        self._batches.observe(texts)


def described(record: Record) -> dict[str, object]:
    """Of a request, for the log."""
    return {
        "request_id": record.request_id,
        "operation": record.operation,
        "status": record.status,
        "refusal": record.refusal,
        "prompt_tokens": record.usage.prompt_tokens,
        "ended": record.ended,
    }
