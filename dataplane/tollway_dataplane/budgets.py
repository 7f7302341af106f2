"""The budget's part of the story: hold the worst case before a call, settle what was used after it. Tenants without
limits never wait for the ledger.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tollway_api.snapshot import Model, Tenant
from tollway_api.tenant_budget import LedgerUnavailable, Unit
from tollway_dataplane.core.budgeting import Denied, amounts
from tollway_dataplane.core.facts import NO_USAGE, Usage
from tollway_dataplane.errors import LedgerFault, Refusal, RefusalCode
from tollway_dataplane.ports import Ledger


@dataclass(frozen=True, slots=True)
class Hold:
    """One attempt's reservation. `standing` is False when there is nothing to settle."""

    id: str
    tenant: Tenant
    model: Model
    worst: Usage
    standing: bool
    money_only: bool


class Exceeded(Exception):  # noqa: N818 - control flow between two stages, caught by the caller of `hold`
    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.limit.name)
        self.denied = denied


class Budgets:
    def __init__(self, ledger: Ledger, on_unsettled: Callable[[], None]) -> None:
        self._ledger = ledger
        self._on_unsettled = on_unsettled

    async def hold(
        self, hold_id: str, tenant: Tenant, model: Model, worst: Usage, *, money_only: bool
    ) -> Hold:
        """Reserves the worst case. `money_only` is for degraded requests: tokens and requests have run out, but
        money must still fit.

        Raises Exceeded, or Refusal 503 when the ledger is away and the tenant's budget says Deny.
        """
        hold = Hold(hold_id, tenant, model, worst, bool(tenant.limits), money_only)
        if not tenant.limits:
            return hold
        try:
            denied = await self._ledger.hold(tenant, hold_id, self._amounts(hold, worst, 1))
        except LedgerFault as fault:
            if tenant.on_ledger_unavailable is LedgerUnavailable.ALLOW:
                return hold
            message = "spending cannot be counted right now, so this tenant's budget refuses; try again soon"
            headers = {"retry-after": "2"}
            raise Refusal(503, RefusalCode.BUDGET_UNAVAILABLE, message, headers=headers) from fault
        except asyncio.CancelledError:
            # The caller left while the ledger decided. Its calls run in order, so this frees what that one holds.
            await asyncio.shield(self.settle(hold, NO_USAGE, answered=False))
            raise
        if denied is not None:
            raise Exceeded(denied)
        return hold

    async def settle(self, hold: Hold, usage: Usage, *, answered: bool) -> None:
        """Frees the hold and counts the usage. A ledger that is away is told later, by the adapter."""
        if not hold.standing:
            return
        try:
            if usage == NO_USAGE and not answered:
                await self._ledger.release(hold.tenant, hold.id)
            else:
                await self._ledger.settle(hold.tenant, hold.id, self._amounts(hold, usage, int(answered)))
        except LedgerFault:
            self._on_unsettled()

    def _amounts(self, hold: Hold, usage: Usage, requests: int) -> list[int]:
        counted = amounts(hold.tenant.limits, usage, hold.model.price, requests)
        if not hold.money_only:
            return counted
        pairs = zip(hold.tenant.limits, counted, strict=True)
        return [amount if limit.unit is Unit.USD else 0 for limit, amount in pairs]


def refusal(tenant: Tenant, denied: Denied) -> Refusal:
    """The polite 429: the tenant's own message, the limit's name, and when to come back, or that it is no use."""
    message = f"{tenant.on_exceeded.message} (limit {denied.limit.name!r})"
    if denied.asked > denied.limit.amount:
        message = (
            f"this request alone could take more than limit {denied.limit.name!r} ever allows; "
            "send a smaller max_tokens or a shorter prompt"
        )
    headers = {"retry-after": str(denied.retry_after_s), "x-tollway-limit": denied.limit.name}
    return Refusal(429, RefusalCode.BUDGET_EXCEEDED, message, headers=headers)
