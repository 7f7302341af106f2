"""The budget's part of the story: hold before a call what it can cost, settle after it what was used. While the budget
is plenty the whole worst case is held; otherwise a first slice of the answer, and the hold grows as the answer comes.
While the ledger is away the tenant's budget says whether to go on from what this pod has leased of it, without
counting, or not at all. Tenants without limits never wait for the ledger.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final, Protocol

from tollway_api.snapshot import Model, SharedLimit, Snapshot, Tenant
from tollway_api.tenant_budget import LedgerUnavailable, Unit
from tollway_dataplane.core.budgeting import Denied, tokens_that_fit_after
from tollway_dataplane.core.facts import NO_USAGE, Usage
from tollway_dataplane.core.pricing import cost, dearest
from tollway_dataplane.errors import LedgerFault, Refusal, RefusalCode
from tollway_dataplane.ports import Ledger
from tollway_dataplane.spending.balances import Balances
from tollway_dataplane.spending.exceeding import Exceeded
from tollway_dataplane.spending.grants import Grants
from tollway_dataplane.spending.holds import Hold, Need
from tollway_dataplane.spending.leases import Leases
from tollway_dataplane.spending.queueing import Queues
from tollway_dataplane.spending.reserving import Reserving

# Who waits for what others hold asks for it as often, and less often where the ledger is away.
ASK_AGAIN_S: Final = 0.1
AWAY_S: Final = 0.5
# Data planes look every second whether what they lease is recalled.
RECALLED_WITHIN_S: Final = 3.0
_UNCOUNTABLE: Final = "spending cannot be counted right now"

# What keeps a request from beginning: a limit, or that the ledger is away and its budget does not say what then.
Stopped = Denied | Refusal | None


class Accounting(Protocol):
    """Hears what has to be known of settlements."""

    def unsettled(self) -> None:
        """The ledger did not take one at once."""

    def overshot(self, tenant: Tenant, nano: int) -> None:
        """More was used than held, by so many nano-USD."""


class Budgets:
    def __init__(
        self, ledger: Ledger, leases: Leases, grants: Grants, balances: Balances, accounting: Accounting
    ) -> None:
        self._reserving = Reserving(ledger, leases, grants)
        self._leases = leases
        self._balances = balances
        self._accounting = accounting
        self._queues = Queues()
        self._snapshot: Snapshot | None = None

    def follow(self, snapshot: Snapshot) -> None:
        """Goes by the snapshot's limits from now on: nobody waits for older ones any more, or begins by them."""
        self._snapshot = snapshot
        self._leases.keep_only(self._is_current)
        self._queues.end_waits(self._is_current)

    def rate_limits(self, tenant: Tenant) -> Mapping[str, str]:
        """The headers that say what is left, as the ledger said it last, without asking it."""
        return self._balances.rate_limits(tenant) if tenant.limits else {}

    async def hold(
        self, hold_id: str, tenant: Tenant, model: Model, need: Need, waived: Collection[str] = ()
    ) -> Hold:
        """Reserves the worst case, or less where that is not plenty. Of the accounts that are `waived` only money
        counts: of those whose tokens and requests have run out, where a degraded request goes on.

        Raises Exceeded, or Refusal 503 when the ledger is away and the tenant's budget does not say what to do, or its
        lease is used up.
        """
        hold = Hold(hold_id, tenant, model, need.worst, waived, standing=bool(tenant.limits))
        if not hold.standing:
            return hold
        self._leases.asked_by(tenant)
        ahead = None
        if not self._queues.is_empty:
            ahead = self._queues.ahead_of(tenant, hold.amounts(hold.worst, hold.price))
        if ahead is None and self._reserving.granted(hold):
            return hold
        try:
            stopped = await self._in_turn(hold, need.counted_once(), ahead)
        except asyncio.CancelledError:
            # The caller left while the ledger decided. Its calls run in order, so this frees what that one holds.
            await asyncio.shield(self.settle(hold, NO_USAGE, answered=False))
            raise
        if stopped is None:
            return hold
        try:
            raise stopped if isinstance(stopped, Refusal) else Exceeded(stopped)
        finally:
            del stopped  # else a refusal would keep this frame, which keeps it, until garbage is looked for

    async def _in_turn(self, hold: Hold, need: Need, ahead: Denied | None) -> Stopped:
        """At once, or behind those who wait already for what it needs, if there are any `ahead`."""
        if need.gives_way:
            return ahead if ahead is not None else await self._ask(hold, need)
        if ahead is not None and need.patience_s(ahead.limit) > 0:
            return await self._wait(hold, need, ahead, None)
        stopped = await self._ask(hold, need)
        if isinstance(stopped, Denied) and await _may_come_back(hold, need, stopped):
            return await self._wait(hold, need, stopped, stopped)
        return stopped

    async def _wait(self, hold: Hold, need: Need, told: Denied, stopped: Denied | None) -> Stopped:
        """Until others have given back enough, while what is in the way is only held by them, or the ledger is away.
        `told` is what is known of the limit, and `stopped` the same where it has asked itself. Raises Refusal where the
        budget is another one by then.
        """
        tenant, clock = hold.tenant, asyncio.get_running_loop().time
        if self._queues.is_full_for(tenant):
            return told
        until, not_before = clock() + need.patience_s(told.limit), 0.0
        with self._queues.waiter(tenant, told.limit) as waiter:
            waiter.is_over = not self._is_current(tenant)
            if stopped is not None:
                waiter.heard(stopped)
                not_before = clock() + ASK_AGAIN_S
            while True:
                in_turn = await waiter.turn(until)
                if waiter.is_over:
                    message = "the budget was changed while this request waited for it; send it again"
                    raise Refusal(429, RefusalCode.BUDGET_EXCEEDED, message, headers={"retry-after": "1"})
                if in_turn and (rest_s := not_before - clock()) > 0:
                    await asyncio.sleep(rest_s)
                    continue
                ahead = self._queues.ahead_of(tenant, hold.amounts(hold.worst, hold.price), waiter)
                if not in_turn and ahead is not None and not await _has_room(hold, need, ahead):
                    return ahead
                if in_turn and ahead is not None and need.patience_s(ahead.limit) > 0:
                    waiter.go_behind(ahead.limit)
                    continue
                asked = await self._ask(hold, need)
                if not in_turn or clock() >= until:
                    return asked
                if asked is None or not await _may_come_back(hold, need, asked):
                    return asked
                waiter.heard(asked if isinstance(asked, Denied) else None)
                not_before = clock() + (ASK_AGAIN_S if isinstance(asked, Denied) else AWAY_S)

    async def _ask(self, hold: Hold, need: Need) -> Stopped:
        """Asks for all that is needed, or a slice of it; where the ledger is away, as the tenant's budget says."""
        try:
            return await self._ask_for_some(hold, need)
        except LedgerFault as fault:
            hold.rename()
            why = await self._why_not_without_ledger(hold, need)
            if not why:
                return None
            hold.leased = False
            message, headers = f"{_UNCOUNTABLE}, and {why}; try again soon", {"retry-after": "2"}
            refusal = Refusal(503, RefusalCode.BUDGET_UNAVAILABLE, message, headers=headers)
            refusal.__cause__ = fault
            return refusal

    async def _why_not_without_ledger(self, hold: Hold, need: Need) -> str:
        rule = hold.tenant.on_ledger_unavailable
        if rule is LedgerUnavailable.DENY:
            return "this tenant's budget refuses meanwhile"
        if rule is LedgerUnavailable.ALLOW:
            hold.begin()
            return ""
        hold.leased = True
        try:
            denied = await self._ask_for_some(hold, need)
        except LedgerFault as fault:
            return str(fault)
        return "" if denied is None else _used_up(denied)

    async def _ask_for_some(self, hold: Hold, need: Need) -> Denied | None:
        """Reserves the worst case; where that is not plenty the prompt as it was counted and a first part of the
        answer; where that does not fit, once more as much as is left. Raises LedgerFault.
        """
        if hold.held is not hold.worst:
            hold.begin()
        scarce = await self._reserving.whole(hold)
        if scarce is None or scarce.limit.unit is Unit.REQUESTS:
            return scarce  # of which it takes one, and there is none
        begin, most = await need.slice(), hold.worst.completion_tokens
        prompt = begin.prompt
        hold.prompt, hold.tight = prompt.about, scarce.limit.title
        hold.price = dearest(hold.model.price, replace(hold.worst, prompt_tokens=prompt.most))
        denied = await self._reserving.slice(hold, begin, scarce)
        if denied is not None:
            return denied
        hold.most = hold.held.completion_tokens
        if begin.grows:
            hold.most = max(hold.most, min(most, hold.room(scarce, prompt.most, if_given_back=True)))
        return None

    def _is_current(self, tenant: Tenant) -> bool:
        """Whether all limits that count its requests are as they were when it asked, whatever else was edited."""
        if self._snapshot is None:
            return True
        now = self._snapshot.tenants.get(tenant.name)
        if now is None:
            return False
        own = tuple(each for each in tenant.limits if not isinstance(each, SharedLimit))
        shared = {
            each.budget.id: each.budget.limits for each in tenant.limits if isinstance(each, SharedLimit)
        }
        shared_now = {each: limits for each in now.shared if (limits := self._snapshot.shared[each].limits)}
        return own == now.limits and shared == shared_now

    async def covers(self, hold: Hold, completion_tokens: int) -> bool:
        """Whether the hold is for so many tokens of the answer, by growing if need be. If not, it says why."""
        if completion_tokens <= hold.held.completion_tokens or not hold.standing:
            return True
        try:
            denied = await self._grow(hold, completion_tokens)
        except LedgerFault as fault:
            return await self._covers_without_ledger(hold, completion_tokens, fault)
        if denied is not None and hold.leased:
            hold.cut = f"{_UNCOUNTABLE}, and {_used_up(denied)}"
        elif denied is not None:
            hold.cut, hold.cut_by = f"limit {denied.limit.title!r} is used up", denied.limit.title
        return denied is None

    async def _grow(self, hold: Hold, completion_tokens: int) -> Denied | None:
        """What data planes have set aside is in no answer's way: it is waited for until they have given it back."""
        clock = asyncio.get_running_loop().time
        until = clock() + RECALLED_WITHIN_S
        while (denied := await self._reserving.grow(hold, completion_tokens)) is not None:
            if not denied.is_recalled or clock() >= until:
                break
            await asyncio.sleep(ASK_AGAIN_S)
        return denied

    async def _covers_without_ledger(self, hold: Hold, completion_tokens: int, fault: LedgerFault) -> bool:
        rule = hold.tenant.on_ledger_unavailable
        if rule is LedgerUnavailable.ALLOW:
            hold.held = replace(hold.held, completion_tokens=max(hold.most, completion_tokens))
            return True
        if rule is LedgerUnavailable.LEASE and not hold.leased:
            hold.leased, hold.in_ledger = True, hold.amounts(hold.held, hold.price)
            return await self.covers(hold, completion_tokens)
        hold.cut = f"{_UNCOUNTABLE}, and {fault}" if hold.leased else _UNCOUNTABLE
        return False

    async def settle(self, hold: Hold, usage: Usage, *, answered: bool) -> None:
        """Frees the hold and counts the usage. A ledger that is away is told later, by the adapter."""
        if not hold.standing:
            return
        over = cost(usage, hold.model.price) - hold.held_nano
        if over > 0:
            self._accounting.overshot(hold.tenant, over)
        try:
            await self._reserving.settle(hold, usage, answered=answered)
        except LedgerFault:
            self._accounting.unsettled()


async def _may_come_back(hold: Hold, need: Need, stopped: Denied | Refusal) -> bool:
    """Whether to wait for it: for a ledger that is away, or where there would be room enough, did others not hold it.
    Requests use up the requests that they hold; what is leased is given back.
    """
    if isinstance(stopped, Refusal):
        return True
    if need.patience_s(stopped.limit) <= 0:
        return False
    if stopped.limit.unit is Unit.REQUESTS:
        return stopped.left + stopped.leased >= stopped.asked
    begin = await need.slice()
    fewest = min(begin.fewest, hold.worst.completion_tokens)
    return hold.room(stopped, begin.prompt.most, if_given_back=True) >= fewest


async def _has_room(hold: Hold, need: Need, told: Denied) -> bool:
    """Whether it is worth asking, after what others were told of a limit a moment ago."""
    room = told.left + told.leased
    if told.limit.unit is Unit.REQUESTS:
        return room > 0
    begin = await need.slice()
    fits = tokens_that_fit_after(told.limit, room, begin.prompt.most, hold.price)
    return fits >= min(begin.fewest, hold.worst.completion_tokens)


def _used_up(denied: Denied) -> str:
    return f"what was set aside of limit {denied.limit.title!r} for that is used up"
