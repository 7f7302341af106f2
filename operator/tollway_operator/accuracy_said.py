"""What is said of an index's error rate, in its status. Pure; called by `status`."""

from tollway_api.conditions import ConditionReason, ConditionStatus
from tollway_api.error_control import Standing, Verdict
from tollway_api.semantic_cache_index import AccuracyStatus
from tollway_api.snapshot import Index

Said = tuple[ConditionStatus, ConditionReason, str]


def accuracy_met(index: Index | None, known: Standing | None, fault: str) -> Said:
    """`index` is None before it is published, `known` before labels have been read; `fault` says why they cannot be."""
    unknown = ConditionStatus.UNKNOWN
    if index is None:
        return unknown, ConditionReason.PENDING, "Not published yet."
    if index.accuracy is None:
        return unknown, ConditionReason.NO_BOUND, "No bound is asked for: it has no spec.accuracy."
    if known is None or known.bound != index.accuracy.bound:
        if fault:
            return unknown, ConditionReason.STORE_UNAVAILABLE, fault
        return unknown, ConditionReason.PENDING, "No labels have been read yet."
    match known.verdict:
        case Verdict.MET:
            return ConditionStatus.TRUE, ConditionReason.ACCURACY_MET, _message(known)
        case Verdict.BREACHED:
            return ConditionStatus.FALSE, ConditionReason.ACCURACY_BREACHED, _message(known)
        case Verdict.TOO_FEW_LABELS:
            return unknown, ConditionReason.TOO_FEW_LABELS, _message(known)


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
    interval, asked, counts = known.interval, _percent(known.bound.max_error_rate), known.counts
    at = known.serves_from or known.bound.first
    seen = (
        f"Of {counts.judged} judged hits from probability {at:g} on {_percent(interval.estimate)} were wrong; "
        f"in truth {_percent(interval.lower)} to {_percent(interval.upper)}"
    )
    if counts.missing:
        seen += f", whatever the {counts.missing} are that nobody could judge"
    unsaid = counts.missing + counts.skipped
    most = f" Most of the sample, {unsaid} hits, got no label; tollway_cache_labels_total says why."
    return f"{seen}{_follows(known, asked, at)}{most if unsaid > counts.judged else ''}"


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


def _percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"
