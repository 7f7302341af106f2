"""Who waits for what others hold. For each limit there is a queue, in the order in which its requests came to wait, and
only who is the first in every queue that it stands in asks the ledger; whoever comes while some wait for a limit that
counts him goes behind them. Called by `budgets`.

Who is first for one limit and is denied by another one stands in both queues for a moment, and then in that of the
other alone, so that nobody is held up for what is plenty; it keeps its place by age wherever it goes. Each time that it
comes back to a limit which it had let pass, the moment is twice as long: where both are tight it has both in the end.
All take precedence by age, in every queue, so no two ever wait for each other (Rosenkrantz, Stearns and Lewis, "System
Level Concurrency Control for Distributed Database Systems", 1978).

Who is not the first in every queue that it stands in stands in one alone. So the first of any queue may ask: no limit
is kept from those behind for longer than that moment, and what is known of it is no older than its first's last word.
"""

import asyncio
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from operator import attrgetter
from typing import Final

from tollway_api.meta import TenantName
from tollway_api.snapshot import Limit, Tenant
from tollway_api.wire import account_of, full_name
from tollway_dataplane.core.budgeting import Denied, Standing

# In one data plane, for all limits together: a request that waits keeps its connection and its body. Half as many of
# one tenant, so that there is room for the others.
MOST_WAITING: Final = 10_000
MOST_OF_ONE: Final = MOST_WAITING // 2
# How long who is denied by another limit is waited for, the first time: as long as it takes to ask twice more.
KEEPS_S: Final = 0.2
_BY_AGE: Final = attrgetter("number")


@dataclass(slots=True)
class _Queue:
    """For one limit."""

    waiting: "list[Waiter]" = field(default_factory=list)  # the oldest first
    denied: Denied | None = None  # what its first heard last of the limit; None while the ledger is away


class Queues:
    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._waiting: Counter[TenantName] = Counter()
        self._numbers = count()

    def ahead_of(
        self, tenant: Tenant, amounts: Sequence[int], waiter: "Waiter | None" = None
    ) -> Denied | None:
        """What others were told who wait already, where it takes something of the limit that they wait for; `amounts`
        are one per limit. Of a waiter, what those were told who have waited for longer.
        """
        for limit, amount in zip(tenant.limits, amounts, strict=True) if self._queues else ():
            queue = self._queues.get(_place(tenant, limit)) if amount else None
            if queue is None or queue.denied is None:
                continue
            if waiter is None or queue.waiting[0].number < waiter.number:
                return _of_limit_alone(queue.denied, limit)
        return None

    def is_full_for(self, tenant: Tenant) -> bool:
        return self._waiting.total() >= MOST_WAITING or self._waiting[tenant.name] >= MOST_OF_ONE

    @contextmanager
    def waiter(self, tenant: Tenant, limit: Limit) -> Iterator["Waiter"]:
        """One who waits from now on, behind all who wait for the limit."""
        waiter = Waiter(self, next(self._numbers), tenant, KEEPS_S)
        self._waiting[tenant.name] += 1
        try:
            waiter.go_behind(limit)
            yield waiter
        finally:
            waiter.leave()
            self._waiting[tenant.name] -= 1
            if not self._waiting[tenant.name]:
                del self._waiting[tenant.name]

    def end_waits(self, is_current: Callable[[Tenant], bool]) -> None:
        """Of all whose limits are not as they were when they asked."""
        for waiter in [each for queue in self._queues.values() for each in queue.waiting]:
            if not is_current(waiter.tenant):
                waiter.end()

    def enter(self, place: str, waiter: "Waiter") -> None:
        """Who was the first there until now has lost its turn, and keeps nothing else."""
        waiting = self._queues.setdefault(place, _Queue()).waiting
        insort(waiting, waiter, key=_BY_AGE)
        if waiting[0] is waiter and len(waiting) > 1:
            waiting[1].stay_at(place)

    def leave(self, place: str, waiter: "Waiter") -> None:
        queue = self._queues[place]
        at = bisect_left(queue.waiting, waiter.number, key=_BY_AGE)
        del queue.waiting[at]
        if not queue.waiting:
            del self._queues[place]
        elif not at:
            queue.waiting[0].woken.set()

    def is_first(self, place: str, waiter: "Waiter") -> bool:
        return self._queues[place].waiting[0] is waiter

    def heard(self, tenant: Tenant, denied: Denied | None) -> None:
        """The newest word, of every limit of a tenant for which some wait; None where the ledger is away."""
        standings: Sequence[Standing | None] = denied.standings if denied else [None] * len(tenant.limits)
        for limit, standing in zip(tenant.limits, standings, strict=True):
            queue = self._queues.get(_place(tenant, limit))
            if queue is None:
                continue
            if denied is None or limit == denied.limit:
                queue.denied = denied
            elif standing is not None and queue.denied is not None:
                queue.denied = replace(queue.denied, standings=[standing], number=0)


@dataclass(slots=True, eq=False)
class Waiter:
    """One request. It stands where it was denied lately, by place."""

    queues: Queues
    number: int  # by age
    tenant: Tenant
    keeps_s: float
    denied_at: dict[str, float] = field(default_factory=dict)
    let_pass: set[str] = field(default_factory=set)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False  # since the limits are others by now

    async def turn(self, until: float) -> bool:
        """Whether it is its turn before `until`, of the event loop's clock, or before its wait is over."""
        if self._is_first():
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while not (self.is_over or self._is_first()):
                    self.woken.clear()
                    await self.woken.wait()
        return self._is_first()

    def end(self) -> None:
        self.is_over = True
        self.woken.set()

    def _is_first(self) -> bool:
        return all(self.queues.is_first(place, self) for place in self.denied_at)

    def go_behind(self, limit: Limit) -> None:
        """And nowhere else, since it has to wait there first."""
        place = _place(self.tenant, limit)
        self._enter(place, asyncio.get_running_loop().time())
        self.stay_at(place)

    def stay_at(self, place: str) -> None:
        for other in [each for each in self.denied_at if each != place]:
            self._leave(other)

    def heard(self, denied: Denied | None) -> None:
        """That a limit has no room for it; None where the ledger is away."""
        if denied is None:
            self.queues.heard(self.tenant, None)
            return
        now = asyncio.get_running_loop().time()
        self._enter(_place(self.tenant, denied.limit), now)
        self.queues.heard(self.tenant, denied)
        if behind := [each for each in self.denied_at if not self.queues.is_first(each, self)]:
            self.stay_at(behind[-1])
            return
        for place, at in list(self.denied_at.items()):
            if now - at > self.keeps_s:
                self._leave(place)
                self.let_pass.add(place)

    def _enter(self, place: str, now: float) -> None:
        if place not in self.denied_at:
            self.queues.enter(place, self)
        self.denied_at[place] = now
        if place in self.let_pass:
            self.let_pass.remove(place)
            self.keeps_s *= 2

    def leave(self) -> None:
        for place in list(self.denied_at):
            self._leave(place)

    def _leave(self, place: str) -> None:
        del self.denied_at[place]
        self.queues.leave(place, self)


def _of_limit_alone(told: Denied, limit: Limit) -> Denied:
    """They may be others' requests, and of the limit alone it is the same for all."""
    return replace(told, standings=[Standing(limit, told.used, told.held)], number=0, asked=0)


def _place(tenant: Tenant, limit: Limit) -> str:
    return full_name(account_of(tenant.name, limit), limit)
