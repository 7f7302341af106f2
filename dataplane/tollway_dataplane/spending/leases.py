"""What this pod may spend while the ledger is away: of every tenant that asked lately and whose budget says `Lease`, a
small slice, held in the ledger beforehand like any other hold. `budgets` takes from it what the ledger could not be
asked for. What a request spends is told to the ledger under its own id, as ever; so a lease is only ever released.

A lease is spent no longer than it surely stands: its life is counted by this pod's clock from before the ledger was
last asked to keep it. One that was touched is exchanged for a new one when the ledger is back: released when the last
request that took from it has ended and the ledger has heard of all of them, so that nothing is free in between.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final, TypeVar

from tollway_api.leasing import slices
from tollway_api.meta import TenantName
from tollway_api.snapshot import Tenant
from tollway_api.tenant_budget import LedgerUnavailable
from tollway_api.wire import LEASE, account_of
from tollway_dataplane.core.budgeting import Denied, Taken
from tollway_dataplane.core.leasing import Lease, room_to_lease, stands_in_the_way
from tollway_dataplane.errors import LedgerFault
from tollway_dataplane.ports import Ledger

_T = TypeVar("_T")

# Longer than most failovers take, and as short as any hold may outlive its pod.
LEASE_LIFE_S: Final = 60
KEEP_EVERY_S: Final = 5.0
LOOK_EVERY_S: Final = 1.0
_ASKED_LATELY_S: Final = 300.0
_AT_ONCE: Final = 100


@dataclass(slots=True)
class _Asking:
    """A tenant that asked lately, as it was then."""

    tenant: Tenant
    at: float
    lease_from: float = 0.0  # not before, where none could be had


class Leases:
    def __init__(self, ledger: Ledger, pod: str, clock: Callable[[], float]) -> None:
        """`pod` is in no other's ids. `clock` goes on evenly, in seconds."""
        self._ledger = ledger
        self._pod = pod
        self._clock = clock
        self._numbers = count()
        self._asking: dict[TenantName, _Asking] = {}
        self._leases: dict[TenantName, Lease] = {}
        self._exchanged: list[Lease] = []
        self._taken_from: dict[str, Lease] = {}  # by what holds there
        self._asked_about: set[str] = set()  # by id, of which the ledger's answer is on its way

    def asked_by(self, tenant: Tenant) -> None:
        """Who asks has a lease soon, though nobody waits for it."""
        if tenant.on_ledger_unavailable is LedgerUnavailable.LEASE:
            asking = self._asking.setdefault(tenant.name, _Asking(tenant, 0.0))
            asking.tenant, asking.at = tenant, self._clock()
        else:
            self._asking.pop(tenant.name, None)

    def keep_only(self, is_current: Callable[[Tenant], bool]) -> None:
        """Nothing is leased any more for those that are not as they were when they asked."""
        self._asking = {name: each for name, each in self._asking.items() if is_current(each.tenant)}

    def hold(
        self, tenant: Tenant, hold_id: str, amounts: Sequence[int], room: Sequence[int] = ()
    ) -> Denied | None:
        """Holds out of the lease, as the ledger would. Raises LedgerFault where no lease stands."""
        lease = self._taken_from.get(hold_id) or self._leases.get(tenant.name)
        if lease is None or not lease.is_of(tenant) or not lease.until:
            raise LedgerFault("nothing of this budget is set aside for that")
        if self._clock() >= lease.until:
            raise LedgerFault(f"what is set aside for that lasts {LEASE_LIFE_S} seconds, which are over")
        denied = lease.hold(hold_id, amounts, room)
        if denied is None:
            self._taken_from[hold_id] = lease
        return denied

    def settle(self, hold_id: str, amounts: Sequence[int]) -> None:
        """After the ledger was told, or will be."""
        lease = self._taken_from.pop(hold_id, None)
        if lease is not None:
            lease.settle(hold_id, amounts)

    async def give_back(self, tenant: Tenant, denied: Denied, *, needed: bool) -> bool:
        """Whether a lease was in the way of what the ledger denied, and is no more. `needed` is whether somebody would
        have to be refused otherwise; if not it is only given back where little is left.
        """
        lease, limit = self._leases.get(tenant.name), denied.limit
        if lease is None or lease.id in self._asked_about or lease.is_touched:
            return False
        if not needed and not stands_in_the_way(limit, Taken(denied.used, denied.held)):
            return False
        await self._yield(lease)
        return True

    async def _yield(self, lease: Lease) -> None:
        """Gives the lease to those who need it now, and takes no new one at once."""
        if (asking := self._asking.get(lease.tenant.name)) is not None:
            asking.lease_from = self._clock() + KEEP_EVERY_S
        await self._end(lease)

    async def run(self) -> None:
        """Keeps and ends leases, for the life of the process."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Gives back what is recalled, keeps what else stands, exchanges what was touched, and takes what is missing. A
        tenant whose account is damaged keeps no other waiting.
        """
        recalled = await self._recalled()
        await _all_of(list(self._leases.values()), partial(self._look_at, recalled))
        # Whose spending is not all counted gets nothing back, and nothing more.
        owed = self._ledger.owed()
        over = [each for each in self._exchanged if not each.holds and each.tenant.name not in owed]
        self._exchanged = [each for each in self._exchanged if each not in over]
        await _all_of(over, self._end)
        now = self._clock()
        self._asking = {name: each for name, each in self._asking.items() if now <= each.at + _ASKED_LATELY_S}
        await _all_of(
            [each for each in self._asking.values() if self._lacks(each, owed, recalled)], self._begin
        )

    async def _look_at(self, recalled: Collection[str], lease: Lease) -> None:
        if not lease.is_touched and _counts_in(recalled, lease.tenant):
            await self._yield(lease)
        elif lease.is_touched or self._clock() >= lease.until - LEASE_LIFE_S + KEEP_EVERY_S:
            await self._ask(lease, self._keep(lease))

    def _lacks(self, asking: _Asking, owed: Collection[TenantName], recalled: Collection[str]) -> bool:
        name = asking.tenant.name
        if name in self._leases or name in owed or self._clock() < asking.lease_from:
            return False
        return not _counts_in(recalled, asking.tenant)

    async def _recalled(self) -> Collection[str]:
        """Accounts; what cannot be known now is known a second later."""
        if self._leases or self._asking:
            with suppress(LedgerFault):
                return await self._ledger.recalled()
        return ()

    async def _ask(self, lease: Lease, asking: Awaitable[None]) -> None:
        self._asked_about.add(lease.id)
        with suppress(LedgerFault):
            await asking
        self._asked_about.remove(lease.id)

    async def _begin(self, asking: _Asking) -> None:
        amounts = slices(asking.tenant)
        if amounts:
            lease = Lease(f"{LEASE}{self._pod}.{next(self._numbers)}", asking.tenant, amounts)
            # Known before it is asked for, so that it is given back whenever this process ends.
            self._leases[asking.tenant.name] = lease
            await self._ask(lease, self._take(lease, asking))

    async def _take(self, lease: Lease, asking: _Asking) -> None:
        tenant, began = lease.tenant, self._clock()
        try:
            room = room_to_lease(tenant.limits)
            denied = await self._ledger.hold(tenant, lease.id, lease.amounts, room, LEASE_LIFE_S)
        except LedgerFault:
            self._forget(lease)
            raise
        if denied is not None:
            self._forget(lease)
            asking.lease_from = began + KEEP_EVERY_S
        else:
            lease.until = began + LEASE_LIFE_S

    async def _keep(self, lease: Lease) -> None:
        began, asking = self._clock(), self._asking.get(lease.tenant.name)
        gone = await self._ledger.extend(lease.tenant, lease.id, lease.amounts, LEASE_LIFE_S)
        if gone is None:
            lease.until = began + LEASE_LIFE_S
        is_wanted = asking is not None and lease.is_of(asking.tenant)
        if lease.is_touched:
            self._forget(lease)
            self._exchanged.append(lease)
        elif gone is not None or not is_wanted or await self._is_in_the_way(lease):
            await self._end(lease)

    async def _is_in_the_way(self, lease: Lease) -> bool:
        limits = lease.tenant.limits
        return any(map(stands_in_the_way, limits, await self._ledger.read(lease.tenant)))

    async def _end(self, lease: Lease) -> None:
        """One that nobody has taken from. The ledger is told later where it is away."""
        self._forget(lease)
        with suppress(LedgerFault):
            await self._ledger.release(lease.tenant, lease.id)

    def _forget(self, lease: Lease) -> None:
        if self._leases.get(lease.tenant.name) is lease:
            del self._leases[lease.tenant.name]

    async def aclose(self) -> None:
        """Gives back what is leased, and the ledger is told later where it is away: after what was spent."""
        await _all_of([*self._exchanged, *self._leases.values()], self._end)


async def _all_of(some: Sequence[_T], work: Callable[[_T], Awaitable[None]]) -> None:
    """Many at once, so that they share round trips to the ledger, and no more than it takes in a few milliseconds."""
    for start in range(0, len(some), _AT_ONCE):
        await asyncio.gather(*map(work, some[start : start + _AT_ONCE]))


def _counts_in(accounts: Collection[str], tenant: Tenant) -> bool:
    return any(account_of(tenant.name, limit) in accounts for limit in tenant.limits)
