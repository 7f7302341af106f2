"""Queues of requests that wait for what others hold: one for each limit, the oldest request first. A request asks the
ledger only while it is the first in every queue that it stands in; one that comes while others wait for a limit that
counts it goes behind them. Called by `budgets`.

A request that is first for one limit and is denied by another stands in both queues for a moment, and then in that of
the other alone, so that nobody is held up for what is plenty; it keeps its place by age wherever it goes. Each time
that it comes back to a limit which it had let pass, the moment is twice as long: where both are tight it has both in
the end. All queues go by age, so no two requests ever wait for each other (Rosenkrantz, Stearns and Lewis, "System
Level Concurrency Control for Distributed Database Systems", 1978).

A request that is not the first in every queue that it stands in stands in one alone. So the first of any queue may ask:
no limit is kept from those behind for longer than that moment, and what is known of it is no older than what its first
heard last.
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
from tollway_dataplane.core.budgeting import Denied, LimitState

# In one data plane, for all limits together: a request that waits keeps its connection and its body. Half as many of
# one tenant, so that there is room for the others.
MOST_WAITING: Final = 10_000
MOST_OF_ONE: Final = MOST_WAITING // 2
# How long a request that is denied by another limit keeps its place here, the first time: it can ask twice more.
KEEPS_S: Final = 0.2
_BY_AGE: Final = attrgetter("number")


@dataclass(slots=True)
class _Queue:
    """The requests that wait for one limit."""

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
        """The denial that others ahead of a request have got, where the request takes something of the limit that they
        wait for; None where nobody is ahead. `amounts` are one per limit. All who wait are ahead of a newcomer, and
        those who have waited for longer ahead of a waiter.
        """
        for limit, amount in zip(tenant.limits, amounts, strict=True) if self._queues else ():
            queue = self._queues.get(_place(tenant, limit)) if amount else None
            if queue is None or queue.denied is None:
                continue
            if waiter is None or queue.waiting[0].number < waiter.number:
                return _of_limit_alone(queue.denied, limit)
        return None

    @property
    def is_empty(self) -> bool:
        return not self._queues

    def is_full_for(self, tenant: Tenant) -> bool:
        return self._waiting.total() >= MOST_WAITING or self._waiting[tenant.name] >= MOST_OF_ONE

    @contextmanager
    def waiter(self, tenant: Tenant, limit: Limit) -> Iterator["Waiter"]:
        """The request waits from now on, behind all who wait for the limit, until the context ends."""
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
        """Ends the wait of every request whose limits have changed since it asked."""
        for waiter in [each for queue in self._queues.values() for each in queue.waiting]:
            if not is_current(waiter.tenant):
                waiter.end()

    def enter(self, place: str, waiter: "Waiter") -> None:
        """Puts the waiter into the queue by its age. The one that was first until then has lost its turn there, and
        leaves all other queues.
        """
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
        """Notes what the ledger said last in every queue for a limit of this tenant; None: the ledger is away."""
        states: Sequence[LimitState | None] = denied.states if denied else [None] * len(tenant.limits)
        for limit, state in zip(tenant.limits, states, strict=True):
            queue = self._queues.get(_place(tenant, limit))
            if queue is None:
                continue
            if denied is None or limit == denied.limit:
                queue.denied = denied
            elif state is not None and queue.denied is not None:
                queue.denied = replace(queue.denied, states=[state], number=0)


@dataclass(slots=True, eq=False)
class Waiter:
    """One request that waits. It stands in the queue of each limit that denied it lately; `denied_at` says when."""

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
        """Waits for this limit and leaves all other queues, since it has to wait here first."""
        place = _place(self.tenant, limit)
        self._enter(place, asyncio.get_running_loop().time())
        self.stay_at(place)

    def stay_at(self, place: str) -> None:
        for other in [each for each in self.denied_at if each != place]:
            self._leave(other)

    def heard(self, denied: Denied | None) -> None:
        """Takes in that a limit has no room for the request; None: the ledger is away."""
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
    """What was told, of the limit alone: the rest is about the request that asked, which may be another's."""
    return replace(told, states=[LimitState(limit, told.used, told.held)], number=0, asked=0)


def _place(tenant: Tenant, limit: Limit) -> str:
    return full_name(account_of(tenant.name, limit), limit)
