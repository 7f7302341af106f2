"""What is said of an index's error rate, in its status. Pure; called by `status`."""

from typing import Final

from tollway_api.conditions import ConditionReason, ConditionState, ConditionStatus
from tollway_api.error_control import Standing, Verdict
from tollway_api.semantic_cache_index import AccuracyStatus
from tollway_api.snapshot import Index
from tollway_operator.bound_status import Words, bound_met, percent, unlabelled


def accuracy_met(index: Index | None, known: Standing | None, fault: str) -> ConditionState:
    """`index` is None before it is published, `known` before labels have been read; `fault` says why they cannot be."""
    if index is None:
        return ConditionStatus.UNKNOWN, ConditionReason.PENDING, "Not published yet."
    return bound_met(_WORDS, index.accuracy, known, fault)


def accuracy_status(index: Index | None, known: Standing | None) -> AccuracyStatus | None:
    if index is None or index.accuracy is None or known is None or known.bound != index.accuracy.bound:
        return None
    interval, served = known.interval, known.serves_from
    return AccuracyStatus.model_construct(
        error_rate=f"{interval.estimate:.4f}",
        lower=f"{interval.lower:.4f}",
        upper=f"{interval.upper:.4f}",
        labels=known.counts.judged,
        threshold="" if served is None else f"{served:g}",
    )


def _message(known: Standing) -> str:
    """The numbers, what follows from them, and what is done."""
    interval, asked, counts = known.interval, percent(known.bound.max_error_rate), known.counts
    at = known.serves_from or known.bound.first
    seen = (
        f"Of {counts.judged} judged hits from probability {at:g} on {percent(interval.estimate)} were wrong; "
        f"in truth {percent(interval.lower)} to {percent(interval.upper)}"
    )
    if counts.missing:
        seen += f", whatever the {counts.missing} are that nobody could judge"
    return f"{seen}{_follows(known, asked, at)}{unlabelled(counts, 'hits', 'tollway_cache_labels_total')}"


def _follows(known: Standing, asked: str, at: float) -> str:
    match known.verdict:
        case Verdict.MET:
            return f", which is within {asked}. Served by meaning from {at:g} on."
        case Verdict.BREACHED:
            return f"; the bound of {asked} does not hold at {known.bound.first:g}. {_done(known)}"
        case Verdict.TOO_FEW_LABELS:
            return f": too few labels to show that it is within {asked}. {_done(known)}"


def _done(known: Standing) -> str:
    served = known.serves_from
    if served is None:
        return "Nothing is served by meaning until a threshold is shown to hold; exact hits are."
    return f"Until then served by meaning from {served:g} on, of which the cache's judge promises it itself."


_WORDS: Final = Words(
    ConditionReason.ACCURACY_MET,
    ConditionReason.ACCURACY_BREACHED,
    "No bound is asked for: it has no spec.accuracy.",
    _message,
)
