"""What is said of a budget, a tenant's or a shared one, in its status. Pure; called by `status`."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from tollway_api.conditions import ConditionReason, ConditionState, ConditionStatus, moment
from tollway_api.snapshot import Limit, SharedBudget, Snapshot, Tenant
from tollway_api.tenant_budget import LimitStatus, Unit
from tollway_api.windows import Usage

_WARN_MS: Final = 7 * 86_400_000
_NEARLY_USED_PERCENT: Final = 90


def usage_of(account: str, limits: Sequence[Limit], read: Mapping[str, Sequence[Usage]]) -> list[Usage]:
    """In the order of its limits; none while one of them is not as it was when usage was read last."""
    by_limit = {usage.limit: usage for usage in read.get(account, ())}
    return [by_limit[limit] for limit in limits] if by_limit.keys() >= set(limits) else []


def within_budget(budget: Tenant | SharedBudget | None, usage: Sequence[Usage], fault: str) -> ConditionState:
    """By what is used: what is held may come back, and the next request has room again. `budget` is None before it is
    published; `fault` says why its usage is not known.
    """
    if budget is None:
        return (ConditionStatus.UNKNOWN, ConditionReason.PENDING, "Not published yet.")
    if not budget.limits:
        return (ConditionStatus.TRUE, ConditionReason.WITHIN_BUDGET, "It has no limits.")
    if fault:
        return (ConditionStatus.UNKNOWN, ConditionReason.USAGE_UNKNOWN, fault)
    if not usage:
        return (ConditionStatus.UNKNOWN, ConditionReason.PENDING, "Not counted yet.")
    fullest = max(usage, key=percent_used)
    percent = percent_used(fullest)
    if percent >= 100:
        message = f"Limit {fullest.limit.name} is used up{_until(fullest)}."
        return (ConditionStatus.FALSE, ConditionReason.BUDGET_EXCEEDED, message)
    if exhausted := [each for each in usage if is_exhausted(each, budget)]:
        limit = max(exhausted, key=percent_used)
        left = f"{amount(limit.limit.amount - limit.used, limit.limit.unit)} {limit.limit.unit.noun}"
        message = (
            f"What is left of limit {limit.limit.name}, {left}, is less than requests need{_until(limit)}."
        )
        return (ConditionStatus.FALSE, ConditionReason.EXHAUSTED, message)
    if percent >= budget.alert_threshold_percent:
        message = f"Limit {fullest.limit.name} is above {budget.alert_threshold_percent} %."
        return (ConditionStatus.TRUE, ConditionReason.BUDGET_ALERT, message)
    return (ConditionStatus.TRUE, ConditionReason.WITHIN_BUDGET, "No limit is used up.")


def used_up_by_all(tenant: Tenant, snapshot: Snapshot, read: Mapping[str, Sequence[Usage]]) -> str:
    """What stops a tenant that may itself be within its budget; "" where nothing does."""
    return "".join(
        f" Limit {budget_id}/{usage.limit.name}, which it shares, is used up{_until(usage)}."
        for budget_id in tenant.shared
        for usage in usage_of(budget_id, snapshot.shared[budget_id].limits, read)
        if percent_used(usage) >= 100 or is_exhausted(usage, snapshot.shared[budget_id])
    )


def is_exhausted(usage: Usage, budget: Tenant | SharedBudget) -> bool:
    """Whether somebody found too little left lately, of a limit of which little is left: where much is, it was asked
    for too much at once.
    """
    return usage.refused and percent_used(usage) >= min(_NEARLY_USED_PERCENT, budget.alert_threshold_percent)


def _until(usage: Usage) -> str:
    return f" until {moment(usage.resets_ms)}" if usage.resets_ms else ""


def keys_valid(tenant: Tenant | None, now_ms: int) -> ConditionState:
    """By this operator's clock; data planes refuse by theirs. `tenant` is None before it is published."""
    if tenant is None:
        return (ConditionStatus.UNKNOWN, ConditionReason.PENDING, "Not published yet.")
    ends = {
        place: tenant.key_facts[place].expires_ms if place in tenant.key_facts else None
        for place in tenant.key_digests
    }
    by_end = sorted((end, place) for place, end in ends.items() if end is not None)
    gone = [place for end, place in by_end if end <= now_ms]
    soon = [(end, place) for end, place in by_end if now_ms < end <= now_ms + _WARN_MS]
    said = f"Expired: {', '.join(gone)}; take it out." if gone else ""
    if gone and len(gone) == len(ends):
        return (ConditionStatus.FALSE, ConditionReason.KEYS_EXPIRED, f"No key is valid any more. {said}")
    if soon:
        warning = ", ".join(f"{place} at {moment(end)}" for end, place in soon)
        message = (
            f"To expire: {warning}. Add a key beside it, and take this one out once nobody uses it. {said}"
        )
        return (ConditionStatus.TRUE, ConditionReason.KEY_EXPIRING, message.rstrip())
    message = said or "No key expires soon." if by_end else "No key expires."
    return (ConditionStatus.TRUE, ConditionReason.KEYS_VALID, message)


def limit_status(usage: Usage, exposure: int | None) -> LimitStatus:
    """`exposure` is None where it is not known, or without bound."""
    limit, taken = usage.limit, usage.used + usage.held
    return LimitStatus.model_construct(
        name=limit.name,
        unit=limit.unit,
        used=amount(usage.used, limit.unit),
        held=amount(usage.held, limit.unit),
        remaining=amount(max(0, limit.amount - taken), limit.unit),
        percent=_percent(taken, limit),
        resets_at=moment(usage.resets_ms) if usage.resets_ms else None,
        exposure="" if exposure is None else amount(exposure, limit.unit),
    )


def percent_used(usage: Usage) -> int:
    """Without what is held."""
    return _percent(usage.used, usage.limit)


def _percent(count: int, limit: Limit) -> int:
    return 100 * count // limit.amount if limit.amount else 100


def amount(count: int, unit: Unit) -> str:
    """Nano-USD as a decimal of dollars, anything else as it is."""
    if unit is not Unit.USD:
        return str(count)
    text = f"{Decimal(count).scaleb(-9):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
