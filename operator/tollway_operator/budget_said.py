"""What is said of a tenant's budget, in its status. Pure; called by `status`."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tollway_api.conditions import ConditionReason, ConditionStatus, moment
from tollway_api.meta import TenantName
from tollway_api.snapshot import Limit, Tenant
from tollway_api.tenant_budget import LimitStatus, Unit
from tollway_api.windows import Usage

Said = tuple[ConditionStatus, ConditionReason, str]


def usage_of(tenant: Tenant, read: Mapping[TenantName, Sequence[Usage]]) -> list[Usage]:
    """In the order of its limits; none while one of them is not as it was when usage was read last."""
    by_limit = {usage.limit: usage for usage in read.get(tenant.name, ())}
    return [by_limit[limit] for limit in tenant.limits] if by_limit.keys() >= set(tenant.limits) else []


def within_budget(tenant: Tenant | None, usage: Sequence[Usage], fault: str) -> Said:
    """By what is used: what is held may come back, and the next request has room again. `tenant` is None before it is
    published; `fault` says why its usage is not known.
    """
    if tenant is None:
        return (ConditionStatus.UNKNOWN, ConditionReason.PENDING, "Not published yet.")
    if not tenant.limits:
        return (ConditionStatus.TRUE, ConditionReason.WITHIN_BUDGET, "It has no limits.")
    if fault:
        return (ConditionStatus.UNKNOWN, ConditionReason.USAGE_UNKNOWN, fault)
    if not usage:
        return (ConditionStatus.UNKNOWN, ConditionReason.PENDING, "Not counted yet.")
    fullest = max(usage, key=_percent_used)
    percent = _percent_used(fullest)
    if percent >= 100:
        until = f" until {moment(fullest.resets_ms)}" if fullest.resets_ms else ""
        message = f"Limit {fullest.limit.name} is used up{until}."
        return (ConditionStatus.FALSE, ConditionReason.BUDGET_EXCEEDED, message)
    if percent >= tenant.alert_threshold_percent:
        message = f"Limit {fullest.limit.name} is above {tenant.alert_threshold_percent} %."
        return (ConditionStatus.TRUE, ConditionReason.BUDGET_ALERT, message)
    return (ConditionStatus.TRUE, ConditionReason.WITHIN_BUDGET, "No limit is used up.")


def limit_status(usage: Usage) -> LimitStatus:
    limit, taken = usage.limit, usage.used + usage.held
    return LimitStatus.model_construct(
        name=limit.name,
        unit=limit.unit,
        used=_amount(usage.used, limit.unit),
        held=_amount(usage.held, limit.unit),
        remaining=_amount(max(0, limit.amount - taken), limit.unit),
        percent=_percent(taken, limit),
        resets_at=moment(usage.resets_ms) if usage.resets_ms else None,
    )


def _percent_used(usage: Usage) -> int:
    return _percent(usage.used, usage.limit)


def _percent(count: int, limit: Limit) -> int:
    return 100 * count // limit.amount if limit.amount else 100


def _amount(count: int, unit: Unit) -> str:
    """Nano-USD as a decimal of dollars, anything else as it is."""
    if unit is not Unit.USD:
        return str(count)
    text = f"{Decimal(count).scaleb(-9):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
