"""What is said alike of whatever is bounded: an index's error rate, and the simple model's answers. Pure; called by
`accuracy_status` and `quality_status`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tollway_api.conditions import ConditionReason, ConditionState, ConditionStatus
from tollway_api.error_control import Counts, Standing, Verdict
from tollway_api.snapshot import ErrorControl


@dataclass(frozen=True, slots=True)
class Words:
    met: ConditionReason
    breached: ConditionReason
    unasked: str  # where there is no bound
    message: Callable[[Standing], str]


def bound_met(
    words: Words, control: ErrorControl | None, known: Standing | None, fault: str
) -> ConditionState:
    """`known` is None before labels have been read; `fault` says why they cannot be."""
    unknown = ConditionStatus.UNKNOWN
    if control is None:
        return unknown, ConditionReason.NO_BOUND, words.unasked
    if known is None or known.bound != control.bound:
        if fault:
            return unknown, ConditionReason.STORE_UNAVAILABLE, fault
        return unknown, ConditionReason.PENDING, "No labels have been read yet."
    match known.verdict:
        case Verdict.MET:
            return ConditionStatus.TRUE, words.met, words.message(known)
        case Verdict.BREACHED:
            return ConditionStatus.FALSE, words.breached, words.message(known)
        case Verdict.TOO_FEW_LABELS:
            return unknown, ConditionReason.TOO_FEW_LABELS, words.message(known)


def unlabelled(counts: Counts, what: str, metric: str) -> str:
    """Where that is most of the sample."""
    unsaid = counts.missing + counts.skipped
    if unsaid <= counts.judged:
        return ""
    return f" Most of the sample, {unsaid} {what}, got no label; {metric} says why."


def percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"
