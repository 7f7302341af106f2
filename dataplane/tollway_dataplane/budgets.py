"""The budget's part of the story: hold before a call what it can cost, settle after it what was used. While the budget
is plenty the whole worst case is held; otherwise a first slice of the answer, and the hold grows as the answer comes.
While the ledger is away the tenant's budget says whether to go on from what this pod has leased of it, without
counting, or not at all. Tenants without limits never wait for the ledger.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

from tollway_api.snapshot import Limit, Model, Price, SharedLimit, Snapshot, Tenant
from tollway_api.tenant_budget import LedgerUnavailable, Unit
from tollway_api.wire import account_of
from tollway_dataplane.balances import Balances
from tollway_dataplane.core.allowances import Allowance, rate_limit_headers, what_is_left
from tollway_dataplane.core.budgeting import (
    FIRST_SHARE,
    STEP_TOKENS,
    Denied,
    amounts,
    on_exceeded,
    room_for,
    tokens_that_fit,
    tokens_that_fit_after,
)
from tollway_dataplane.core.facts import NO_USAGE, Usage
from tollway_dataplane.core.leasing import beyond
from tollway_dataplane.core.pricing import cost, dearest
from tollway_dataplane.core.tokens import Counted
from tollway_dataplane.errors import LedgerFault, Refusal, RefusalCode
from tollway_dataplane.leases import Leases
from tollway_dataplane.ports import Ledger
from tollway_dataplane.queueing import Queues

# Who waits for what others hold asks for it as often.
ASK_AGAIN_S: Final = 0.1
# OpenAI's clients wait no longer than this for a refusal to pass. Where it takes longer they would ask again within
# seconds, in vain, unless they are told not to.
_LONGEST_RETRY_S: Final = 60
_UNCOUNTABLE: Final = "spending cannot be counted right now"


@dataclass(frozen=True, slots=True)
class Slice:
    """What an attempt needs to begin with."""

    prompt: Counted
    first: int = 0  # tokens of the answer to hold at least, and fewer where no more are left
    fewest: int = 0  # below which it is not worth asking
    grows: bool = False  # whether the hold may grow as the answer comes


@dataclass(frozen=True, slots=True)
class Need:
    """What an attempt may use, and where that is not plenty, which is asked only then, a slice of it."""

    worst: Usage
    slice: Callable[[], Awaitable[Slice]]
    # To wait for what others hold of a limit, of which they mostly give much back.
    patience_s: Callable[[Limit], float] = lambda _: 0.0


@dataclass(slots=True)
class Hold:
    """One attempt's reservation. `standing` is False when there is nothing to settle."""

    id: str
    tenant: Tenant
    model: Model
    worst: Usage
    waived: Collection[str]  # accounts that have run out, of which only money counts
    standing: bool
    price: Price = field(init=False)  # of what is held, of which no token can cost more
    held: Usage = field(init=False)
    most: int = field(init=False)  # tokens of the answer that it may come to
    tight: str = ""  # the limit of which the worst case is not plenty
    cut: str = ""  # why the answer was ended
    cut_by: str = ""  # the limit, where it was one
    prompt: int = 0  # about how many tokens it has, where they were counted
    written: int = 0  # tokens of the answer, where they are counted as they come
    reported: Usage | None = None  # by the provider, of an answer that was ended
    settled: bool = False  # whether what was used has been noted
    leased: bool = False  # whether it grows by what this pod has leased, since the ledger is away
    in_ledger: Sequence[int] = ()  # and what it holds in the ledger all the same

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """With the whole worst case, and anew where that came to less."""
        self.held, self.most, self.tight = self.worst, self.worst.completion_tokens, ""
        self.price = dearest(self.model.price, self.worst)

    @property
    def held_nano(self) -> int:
        """What is held in money."""
        return cost(self.held, self.price) if self.standing else 0

    @property
    def grows(self) -> bool:
        return self.held.completion_tokens < self.most

    @property
    def seen(self) -> Usage:
        """What was counted of the attempt, unless its provider has said more."""
        return self.reported or Usage(self.prompt, self.written, estimated=True)


class Exceeded(Exception):  # noqa: N818 - control flow between two stages, caught by the caller of `hold`
    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.limit.title)
        self.denied = denied


class Accounting(Protocol):
    """Hears what has to be known of settlements."""

    def unsettled(self) -> None:
        """The ledger did not take one at once."""

    def overshot(self, tenant: Tenant, nano: int) -> None:
        """More was used than held, by so many nano-USD."""


class Budgets:
    def __init__(self, ledger: Ledger, leases: Leases, balances: Balances, accounting: Accounting) -> None:
        self._ledger = ledger
        self._leases = leases
        self._balances = balances
        self._accounting = accounting
        self._queues = Queues()
        self._snapshot: Snapshot | None = None

    def follow(self, snapshot: Snapshot) -> None:
        """From now on these are the limits: nobody who still waits begins by older ones."""
        self._snapshot = snapshot
        self._leases.keep_only(self._is_current)

    def allowances(self, tenant: Tenant) -> tuple[Allowance, ...]:
        """What the ledger said last of what is left, without asking it."""
        return self._balances.allowances(tenant) if tenant.limits else ()

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
        try:
            await self._hold_in_ledger(hold, need)
        except asyncio.CancelledError:
            # The caller left while the ledger decided. Its calls run in order, so this frees what that one holds.
            await asyncio.shield(self.settle(hold, NO_USAGE, answered=False))
            raise
        return hold

    async def _hold_in_ledger(self, hold: Hold, need: Need) -> None:
        """Or as the tenant's budget says where it is away. Raises Exceeded and Refusal."""
        try:
            await self._hold_some(hold, need)
        except LedgerFault as fault:
            # What was asked for may be held all the same, and is released for that; so it goes on under another id.
            hold.id += ".uncounted"
            why = await self._why_not_without_ledger(hold, need)
            if why:
                message, headers = f"{_UNCOUNTABLE}, and {why}; try again soon", {"retry-after": "2"}
                raise Refusal(503, RefusalCode.BUDGET_UNAVAILABLE, message, headers=headers) from fault

    async def _why_not_without_ledger(self, hold: Hold, need: Need) -> str:
        rule = hold.tenant.on_ledger_unavailable
        if rule is LedgerUnavailable.DENY:
            return "this tenant's budget refuses meanwhile"
        hold.begin()
        if rule is LedgerUnavailable.ALLOW:
            return ""
        hold.leased = True
        try:
            await self._hold_some(hold, need)
        except Exceeded as exceeded:
            return _used_up(exceeded.denied)
        except LedgerFault as fault:
            return str(fault)
        return ""

    async def _hold_some(self, hold: Hold, need: Need) -> None:
        """All that is needed, or a slice of it. Raises Exceeded and LedgerFault."""
        whole = self._amounts(hold, hold.held, hold.price, 1)
        scarce = await self._reserve(hold, room_for(hold.tenant.limits, whole))
        if scarce is not None:
            await self._hold_slice(hold, need, scarce)

    async def _hold_slice(self, hold: Hold, need: Need, scarce: Denied) -> None:
        """Reserves the prompt as it was counted and a first part of the answer; where that does not fit, once more as
        much as is left. Raises Exceeded.
        """
        if scarce.limit.unit is Unit.REQUESTS:
            raise Exceeded(scarce)  # of which it takes one, and there is none
        begin, most = await need.slice(), hold.worst.completion_tokens
        prompt = begin.prompt
        hold.prompt, hold.tight = prompt.about, scarce.limit.title
        hold.price = dearest(hold.model.price, replace(hold.worst, prompt_tokens=prompt.most))
        denied = await self._begin(hold, begin, scarce)
        if denied is not None and not hold.leased and (patience_s := need.patience_s(denied.limit)):
            denied = await self._begin_later(hold, begin, denied, patience_s)
        if denied is not None:
            raise Exceeded(denied)
        hold.most = hold.held.completion_tokens
        if begin.grows:
            unused = scarce.limit.amount - scarce.used  # which others hold, but may give back
            reachable = tokens_that_fit_after(scarce.limit, unused, prompt.most, hold.price)
            hold.most = max(hold.most, min(most, reachable))

    async def _begin(self, hold: Hold, begin: Slice, known: Denied) -> Denied | None:
        """Reserves the first slice, or as much of it as is left where that is worth while. `known` says what was left
        a moment ago.
        """
        prompt, most = begin.prompt.most, hold.worst.completion_tokens
        share = tokens_that_fit_after(known.limit, known.left, prompt, hold.price) // FIRST_SHARE
        hold.held = Usage(prompt, min(max(begin.first, share), most), estimated=True)
        denied = await self._reserve(hold)
        if denied is None:
            return None
        fits = tokens_that_fit_after(denied.limit, denied.left, prompt, hold.price)
        if not min(begin.fewest, most) <= fits < hold.held.completion_tokens:
            return denied
        hold.held = Usage(prompt, fits, estimated=True)
        return await self._reserve(hold)

    async def _begin_later(
        self, hold: Hold, begin: Slice, denied: Denied, patience_s: float
    ) -> Denied | None:
        """The same once others have given back enough, while what is in the way is only held by them. Raises Refusal
        where the budget is another one by then.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + patience_s
        if not _is_only_held(hold, begin, denied):
            return denied
        async with self._queues.turn(hold.tenant.name, until) as ours:
            still: Denied | None = denied
            while ours and still is not None and _is_only_held(hold, begin, still) and clock() < until:
                await asyncio.sleep(ASK_AGAIN_S)
                if not self._is_current(hold.tenant):
                    message = "the budget was changed while this request waited for it; send it again"
                    raise Refusal(429, RefusalCode.BUDGET_EXCEEDED, message, headers={"retry-after": "1"})
                still = await self._begin(hold, begin, still)
            return still

    def _is_current(self, tenant: Tenant) -> bool:
        """Whether all limits that count its requests are as they were when it asked."""
        if self._snapshot is None:
            return True
        now = self._snapshot.tenants.get(tenant.name)
        own = tuple(each for each in tenant.limits if not isinstance(each, SharedLimit))
        shared = {each.budget.id: each.budget for each in tenant.limits if isinstance(each, SharedLimit)}
        return (
            now is not None
            and own == now.limits
            and shared == {each: self._snapshot.shared.get(each) for each in now.shared}
        )

    async def _reserve(self, hold: Hold, room: Sequence[int] = ()) -> Denied | None:
        wanted = self._amounts(hold, hold.held, hold.price, 1)
        if hold.leased:
            return self._leases.hold(hold.tenant, hold.id, wanted, room)
        asking = partial(self._ledger.hold, hold.tenant, hold.id, wanted, room)
        # Where it is asked for with room to spare, none of it is needed yet.
        return await self._asked_of_ledger(hold, asking, needed=not room)

    async def _asked_of_ledger(
        self, hold: Hold, asking: Callable[[], Awaitable[Denied | None]], *, needed: bool
    ) -> Denied | None:
        """Once more where what this data plane leases was in the way."""
        denied = await asking()
        if denied is not None and await self._leases.give_back(hold.tenant, denied, needed=needed):
            denied = await asking()
        return denied

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

    async def _covers_without_ledger(self, hold: Hold, completion_tokens: int, fault: LedgerFault) -> bool:
        rule = hold.tenant.on_ledger_unavailable
        if rule is LedgerUnavailable.ALLOW:
            hold.held = replace(hold.held, completion_tokens=max(hold.most, completion_tokens))
            return True
        if rule is LedgerUnavailable.LEASE and not hold.leased:
            hold.leased, hold.in_ledger = True, self._amounts(hold, hold.held, hold.price, 1)
            return await self.covers(hold, completion_tokens)
        hold.cut = f"{_UNCOUNTABLE}, and {fault}" if hold.leased else _UNCOUNTABLE
        return False

    async def _grow(self, hold: Hold, completion_tokens: int) -> Denied | None:
        """By a step, or by what is left."""
        wanted = max(completion_tokens, min(hold.most, hold.held.completion_tokens + STEP_TOKENS))
        denied = await self._extend(hold, wanted)
        if denied is not None:
            fits = hold.held.completion_tokens + tokens_that_fit(denied.limit, denied.left, hold.price)
            if completion_tokens <= fits < wanted:
                denied = await self._extend(hold, fits)
        return denied

    async def _extend(self, hold: Hold, completion_tokens: int) -> Denied | None:
        wanted = Usage(hold.held.prompt_tokens, completion_tokens, estimated=True)
        in_all = self._amounts(hold, wanted, hold.price, 1)
        if hold.leased:
            denied = self._leases.hold(hold.tenant, hold.id, beyond(in_all, hold.in_ledger))
        else:
            asking = partial(self._ledger.extend, hold.tenant, hold.id, in_all)
            denied = await self._asked_of_ledger(hold, asking, needed=True)
        if denied is None:
            hold.held = wanted
        return denied

    async def settle(self, hold: Hold, usage: Usage, *, answered: bool) -> None:
        """Frees the hold and counts the usage. A ledger that is away is told later, by the adapter."""
        if not hold.standing:
            return
        self._note_overshoot(hold, usage)
        used = self._amounts(hold, usage, hold.model.price, int(answered))
        try:
            if usage == NO_USAGE and not answered:
                await self._ledger.release(hold.tenant, hold.id)
            else:
                await self._ledger.settle(hold.tenant, hold.id, used)
        except LedgerFault:
            self._accounting.unsettled()
        finally:
            # Not before the ledger was told: a lease is released when nothing is missing there.
            if hold.leased:
                self._leases.settle(hold.id, beyond(used, hold.in_ledger))

    def _note_overshoot(self, hold: Hold, usage: Usage) -> None:
        over = cost(usage, hold.model.price) - hold.held_nano
        if over > 0:
            self._accounting.overshot(hold.tenant, over)

    def _amounts(self, hold: Hold, usage: Usage, price: Price, requests: int) -> list[int]:
        counted = amounts(hold.tenant.limits, usage, price, requests)
        if not hold.waived:
            return counted
        pairs = zip(hold.tenant.limits, counted, strict=True)
        return [0 if self._is_waived(hold, limit) else amount for limit, amount in pairs]

    @staticmethod
    def _is_waived(hold: Hold, limit: Limit) -> bool:
        return limit.unit is not Unit.USD and account_of(hold.tenant.name, limit) in hold.waived


def _is_only_held(hold: Hold, begin: Slice, denied: Denied) -> bool:
    """Whether there would be room enough, did others not hold it. They use up the requests that they hold."""
    limit = denied.limit
    unused = tokens_that_fit_after(limit, limit.amount - denied.used, begin.prompt.most, hold.price)
    return limit.unit is not Unit.REQUESTS and unused >= min(begin.fewest, hold.worst.completion_tokens)


def _used_up(denied: Denied) -> str:
    return f"what was set aside of limit {denied.limit.title!r} for that is used up"


def refusal(tenant: Tenant, denied: Denied) -> Refusal:
    """The polite 429: the budget's own message, the limit's name, what is left of it, and when to come back, or that it
    is no use.
    """
    limit = denied.limit
    message = (
        f"{on_exceeded(tenant, limit).message} (limit {limit.title!r}: {what_is_left(limit, denied.left)})"
    )
    is_hopeless = denied.asked > limit.amount
    if is_hopeless and limit.amount:
        message = (
            f"this request alone could take more than limit {limit.title!r} ever allows; "
            "send a smaller max_tokens or a shorter prompt"
        )
    headers = rate_limit_headers([Allowance(limit, denied.left, denied.retry_after_s)])
    headers |= {"retry-after": str(denied.retry_after_s), "x-tollway-limit": limit.title}
    if is_hopeless or denied.retry_after_s > _LONGEST_RETRY_S:
        headers["x-should-retry"] = "false"
    return Refusal(429, RefusalCode.BUDGET_EXCEEDED, message, headers=headers)
