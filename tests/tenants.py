"""Tenants for tests of the ledger, and what costs them nothing."""

from dataclasses import replace
from typing import Final, cast

from tollway_api.meta import ModelName, TenantName
from tollway_api.snapshot import Calendar, Limit, OnExceeded, Rolling, SharedBudget, Snapshot, Tenant
from tollway_api.tenant_budget import AUTO, ExceededAction, LedgerUnavailable, Unit
from tollway_dataplane.spending.embedding_bills import EmbeddingBills

# Of embeddings that cost nothing, for which nobody asks them.
NO_BILLS: Final = cast("EmbeddingBills", None)

_HOUR = Rolling(3_600_000)
_REJECT = OnExceeded(ExceededAction.REJECT, "no", None)


def limit(amount: int, name: str = "one", window: Rolling | Calendar = _HOUR) -> Limit:
    """Of tokens."""
    return Limit(name, Unit.TOKENS, amount, window)


def tenant(*limits: Limit, name: str = "acme") -> Tenant:
    return Tenant(
        name=TenantName(name),
        namespace="default",
        key_digests={},
        limits=limits,
        alert_threshold_percent=80,
        on_exceeded=_REJECT,
        preferred_model=ModelName(AUTO),
        on_ledger_unavailable=LedgerUnavailable.DENY,
    )


def shared(account: str, *limits: Limit) -> SharedBudget:
    namespace, _, name = account.partition("/")
    return SharedBudget(namespace, name, limits, 80, _REJECT, LedgerUnavailable.DENY)


def sharing(one: Tenant, *budgets: SharedBudget) -> Tenant:
    """The tenant with their limits behind its own, as a data plane counts it."""
    limits = Snapshot("default", shared={each.id: each for each in budgets}).limits_of_shared()
    more = [limit for each in budgets for limit in limits[each.id]]
    return replace(one, limits=(*one.limits, *more), shared=tuple(each.id for each in budgets))
