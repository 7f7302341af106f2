"""How much of a limit a pod sets aside for when the ledger is away. The data plane leases by it and the operator says
by it what is exposed, so the two never disagree. Amounts are integers: nano-USD, tokens or requests.
"""

from tollway_api.snapshot import Limit, SharedBudget, SharedLimit, Tenant
from tollway_api.tenant_budget import LedgerUnavailable


def slices(tenant: Tenant) -> list[int]:
    """Of each limit, what one pod leases; nothing at all where some limit has none to give: who may not count a request
    against one of its limits may not make it.
    """
    if tenant.on_ledger_unavailable is not LedgerUnavailable.LEASE:
        return []
    found = [_slice_of_tenant(limit, tenant) for limit in tenant.limits]
    return found if all(found) else []


def _slice_of_tenant(limit: Limit, tenant: Tenant) -> int:
    if isinstance(limit, SharedLimit):
        return slice_of(limit, limit.budget.lease_percent, limit.among)
    return slice_of(limit, tenant.lease_percent)


def slice_of(limit: Limit, percent: int, among: int = 1) -> int:
    """Rounded down, so that it is never more than was configured for all tenants that share it."""
    return limit.amount * percent // 100 // max(1, among)


def exposures(budget: Tenant | SharedBudget, pods: int, among: int = 1) -> list[int | None]:
    """Of each limit, the most that so many pods can spend together for so many tenants while the ledger is away; None:
    without bound.
    """
    if budget.on_ledger_unavailable is LedgerUnavailable.ALLOW:
        return [None] * len(budget.limits)
    leased = [slice_of(limit, budget.lease_percent, among) for limit in budget.limits]
    if budget.on_ledger_unavailable is LedgerUnavailable.DENY or not all(leased):
        leased = [0] * len(budget.limits)
    return [min(pods * among * each, limit.amount) for each, limit in zip(leased, budget.limits, strict=True)]
