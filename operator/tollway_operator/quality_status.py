"""What is said of the simple model's answers, in a policy's status. Pure; called by `status`."""

from typing import Final

from tollway_api.conditions import ConditionReason, ConditionState, ConditionStatus
from tollway_api.error_control import Standing, Verdict
from tollway_api.quality import QualityStatus
from tollway_api.snapshot import Policy
from tollway_operator.bound_status import Words, bound_met, percent, unlabelled


def quality_met(policy: Policy | None, known: Standing | None, fault: str) -> ConditionState:
    """`policy` is None before it is published, `known` before labels have been read; `fault` says why they cannot."""
    if policy is None:
        return ConditionStatus.UNKNOWN, ConditionReason.PENDING, "Not published yet."
    return bound_met(_WORDS, policy.route.min_quality, known, fault)


def quality_status(policy: Policy | None, known: Standing | None) -> QualityStatus | None:
    control = policy.route.min_quality if policy is not None else None
    if control is None or known is None or known.bound != control.bound:
        return None
    right = known.shares_right
    return QualityStatus.model_construct(
        estimate=f"{right.estimate:.4f}" if known.counts.judged else "",
        lower=f"{right.lower:.4f}",
        upper=f"{right.upper:.4f}",
        labels=known.counts.judged,
        simple_share=f"{known.left_to_simple:.4f}",
        measured_share=f"{known.share:.4f}",
    )


def _message(known: Standing) -> str:
    """The numbers, what follows from them, and what is done."""
    right, counts, least = known.shares_right, known.counts, percent(1 - known.bound.max_error_rate)
    tried = known.bound.first if known.threshold is None else known.threshold
    seen = (
        f"Of {counts.judged} judged answers of the simple model, to the easiest {percent(1 - tried)} of prompts by the "
        f"router's curve, {percent(right.estimate) if counts.judged else 'none'} were as good as the complex model's; "
        f"in truth {percent(right.lower)} to {percent(right.upper)}"
    )
    if counts.missing:
        seen += f", whatever the {counts.missing} are that nobody could judge"
    match known.verdict:
        case Verdict.MET:
            seen += (
                f", which is at least {least}. Of this policy's own prompts these are {percent(known.share)}."
            )
        case Verdict.BREACHED:
            seen += f"; the floor of {least} does not hold there. {_meanwhile(known)}"
        case Verdict.TOO_FEW_LABELS:
            seen += f": too few labels to show that it is at least {least}. {_meanwhile(known)}"
    return seen + unlabelled(counts, "pairs of answers", "tollway_route_labels_total")


def _meanwhile(known: Standing) -> str:
    if not known.left_to_simple:
        return "Until it is shown to hold for some share of prompts, the complex model answers all of them."
    least = percent(known.left_to_simple)
    return f"Until it is, the simple model answers {least} of prompts, the least that is asked for."


_WORDS: Final = Words(
    ConditionReason.QUALITY_MET,
    ConditionReason.QUALITY_BREACHED,
    "No floor is asked for: it has no spec.route.minQuality.",
    _message,
)
