"""The `x-tollway-*` headers: where an answer came from and what it cost."""

from typing import Final

from tollway_dataplane.core.decision import Source
from tollway_dataplane.core.pricing import as_usd
from tollway_dataplane.judgement.judge import shown_probability
from tollway_dataplane.record import Record

# For which nobody was asked.
_HITS: Final = frozenset({Source.EXACT, Source.SEMANTIC})


def headers_of(record: Record) -> dict[str, str]:
    """What is known when the reply begins. A stream's cost is known only when it ends, unless it is a hit's."""
    headers = {"x-tollway-request-id": record.request_id}
    facts: dict[str, str | None] = {
        "x-tollway-source": record.source,
        "x-tollway-model": record.model,
        "x-tollway-policy": record.policy,
        "x-tollway-revision": record.revision,
        "x-tollway-cache-reason": record.cache_reason,
        "x-tollway-stale": record.stale,
        "x-tollway-route-reason": _reason(record),
        "x-tollway-dropped-parameters": ", ".join(record.left_out),
    }
    headers |= {name: value for name, value in facts.items() if value}
    if record.similarity is not None:
        headers["x-tollway-similarity"] = f"{record.similarity:.4f}"
    if record.probability is not None:
        headers["x-tollway-reuse-probability"] = shown_probability(record.probability)
    is_remembered = record.source in _HITS or record.source is Source.STALE
    if is_remembered or (record.source is not None and not record.streaming):
        headers["x-tollway-cost-usd"] = as_usd(record.cost_nano)
    if record.saved_nano:
        headers["x-tollway-saved-usd"] = as_usd(record.saved_nano)
    if record.source not in _HITS:
        headers |= _of_attempts(record)
    return headers


def _of_attempts(record: Record) -> dict[str, str]:
    """What was tried, and what the budget said to it."""
    headers = {}
    if record.fallbacks:
        headers["x-tollway-fallbacks"] = str(record.fallbacks)
    if failed := [each for each in record.attempts if each.outcome not in {"ok", "cut"}]:
        headers["x-tollway-failed-attempts"] = ", ".join(f"{each.model}:{each.outcome}" for each in failed)
    if record.limit:
        headers["x-tollway-limit"] = record.limit
    if record.tight:
        headers["x-tollway-budget-tight"] = record.tight
    if record.max_tokens is not None:
        headers["x-tollway-max-tokens"] = str(record.max_tokens)
    if record.cut:
        headers["x-tollway-cut"] = record.cut
    if record.dropped:
        headers["x-tollway-context-dropped"] = str(record.dropped)
    headers |= record.rate_limits()
    return headers


def _reason(record: Record) -> str | None:
    """Why this model, with what the choice hung on."""
    found, reason = record.assessment, record.route_reason
    if reason is None or found is None or reason is not found.reason:
        return reason
    if not found.was_embedded:
        return f"{reason}; not embedded"
    if found.probability is None:
        return reason
    told = f"{reason}; probability={found.probability:.4f}; threshold={found.threshold:.4f}"
    return told if found.has_own_weights else f"{told}; not by own weights"
