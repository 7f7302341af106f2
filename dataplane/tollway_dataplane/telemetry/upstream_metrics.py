"""What attempts at providers come to: how many, how fast, and what goes wrong."""

from collections.abc import Callable
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

from tollway_dataplane.record import Record

Child = TypeVar("Child")

_ATTEMPTS: Final = (1, 2, 3, 4, 5, 6)
_FIRST_TOKEN_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKENS_PER_S: Final = (5, 10, 20, 40, 80, 160, 320, 640, 1_280)
# Of an answer that came at once nobody has seen how fast it was written.
_LEAST_WRITING_S: Final = 0.01


class Children(dict[tuple[str, ...], Child]):
    """A metric's children by their labels. The library's own look-up takes a lock and several times as long, which
    counts when a request makes ten.
    """

    def __init__(self, labels: Callable[..., Child]) -> None:
        super().__init__()
        self._labels = labels

    def __missing__(self, labels: tuple[str, ...]) -> Child:
        child = self[labels] = self._labels(*labels)
        return child


class UpstreamMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        attempts = Counter(
            "ai_upstream_requests_total", "Attempts at providers.", ["model", "outcome"], registry=registry
        )
        self._attempts = Children(attempts.labels)
        self._fallbacks = Counter(
            "ai_fallback_count_total",
            "Attempts made because another had failed, or because a model was not to be asked.",
            ["from", "to", "trigger"],
            registry=registry,
        )
        self._errors = Counter(
            "ai_upstream_errors_total",
            "Attempts that failed, by the status of the provider's reply or by what went wrong.",
            ["model", "kind"],
            registry=registry,
        )
        self._per_request = Histogram(
            "ai_upstream_attempts_per_request",
            "Attempts of each request that a provider was asked for.",
            buckets=_ATTEMPTS,
            registry=registry,
        )
        first_token = Histogram(
            "ai_time_to_first_token_seconds",
            "From the call of the model that answered to the first token of its stream.",
            ["model"],
            buckets=_FIRST_TOKEN_S,
            registry=registry,
        )
        self._first_token = Children(first_token.labels)
        tokens_per_second = Histogram(
            "ai_tokens_per_second",
            "Tokens of answers in a second: of streams after the first token, and else of the whole call.",
            ["model"],
            buckets=_TOKENS_PER_S,
            registry=registry,
        )
        self._tokens_per_second = Children(tokens_per_second.labels)

    def observe(self, record: Record) -> None:
        failed = None
        made = 0
        for attempt in record.attempts:
            if attempt.made:
                made += 1
                self._attempts[attempt.model, attempt.outcome].inc()
                if failed is not None:
                    self._fallbacks.labels(failed.model, attempt.model, failed.outcome).inc()
            if attempt.kind:
                self._errors.labels(attempt.model, attempt.kind).inc()
            failed = attempt
        if made:
            self._per_request.observe(made)
        if record.begun_s is not None:
            self._first_token[record.model,].observe(record.begun_s)
        tokens = record.usage.completion_tokens
        if record.writing_s is not None and record.writing_s >= _LEAST_WRITING_S and tokens > 1:
            self._tokens_per_second[record.model,].observe(tokens / record.writing_s)
