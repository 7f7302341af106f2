"""Tenants for tests of the ledger."""

from tollway_api.meta import ModelName, TenantName
from tollway_api.snapshot import Limit, OnExceeded, Tenant
from tollway_api.tenant_budget import AUTO, ExceededAction, LedgerUnavailable


def tenant(*limits: Limit, name: str = "acme") -> Tenant:
    return Tenant(
        name=TenantName(name),
        namespace="default",
        key_digests={},
        limits=limits,
        alert_threshold_percent=80,
        on_exceeded=OnExceeded(ExceededAction.REJECT, "no", None),
        preferred_model=ModelName(AUTO),
        on_ledger_unavailable=LedgerUnavailable.DENY,
    )
