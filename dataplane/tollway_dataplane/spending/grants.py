"""What this pod holds in the ledger for tenants that ask often, so that most of their requests wait for no round trip:
they are held and settled here, and ten times a second the ledger is told what all of them used, and holds what is under
way together with about as much as will be asked for until it is told again. Whatever is spent is held there before, as
ever. Who asks seldom, or has not plenty left, is asked for one by one. `reserving` asks here first.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from operator import add
from typing import Final

from tollway_api.meta import TenantName
from tollway_api.snapshot import Tenant
from tollway_dataplane.background import begun, report
from tollway_dataplane.core.granting import Asked, Grant, room_to_grant
from tollway_dataplane.errors import LedgerFault
from tollway_dataplane.ports import Ledger

LOOK_EVERY_S: Final = 0.1
# Of a ledger that is away, and long before what it holds comes back by itself.
LASTS_S: Final = 1.0


class Grants:
    def __init__(
        self, ledger: Ledger, pod: str, clock: Callable[[], float], unsettled: Callable[[], None]
    ) -> None:
        """`pod` is in no other's ids. `clock` goes on evenly, in seconds. `unsettled` hears of each report that the
        ledger did not take at once.
        """
        self._ledger = ledger
        self._pod = pod
        self._clock = clock
        self._unsettled = unsettled
        self._numbers = count()
        self._asked: dict[TenantName, Asked] = {}
        self._grants: dict[TenantName, Grant] = {}
        # From which nothing is taken any more: of limits that were edited, and of which a call may be on its way still.
        self._former: list[Grant] = []
        self._taken_from: dict[str, Grant] = {}  # by what holds there
        self._is_asked = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def hold(self, tenant: Tenant, hold_id: str, amounts: list[int]) -> bool:
        """Whether it is held here; otherwise the ledger has to be asked."""
        asked = self._asked.get(tenant.name)
        if asked is None or asked.tenant is not tenant:
            asked = self._asked[tenant.name] = Asked(tenant)
            self._is_asked.set()
        asked.add(amounts)
        grant = self._grants.get(tenant.name)
        if grant is None or grant.tenant is not tenant or self._clock() >= grant.until:
            return False
        if not grant.hold(hold_id, amounts):
            return False
        self._taken_from[hold_id] = grant
        return True

    def settle(self, hold_id: str, used: list[int]) -> bool:
        """Whether it was held here; otherwise the ledger has to be told."""
        grant = self._taken_from.pop(hold_id, None)
        if grant is None:
            return False
        grant.settle(hold_id, used)
        return True

    async def run(self) -> None:
        """Reports and asks for the life of the process. What is under way when it is cancelled comes to its end."""
        while True:
            await self._is_asked.wait()
            await asyncio.sleep(LOOK_EVERY_S)
            self._looking = begun(self.look())
            await asyncio.wait([self._looking])

    async def look(self) -> None:
        """Reports what was used, and holds what is under way and what will be asked for."""
        asked, self._asked = self._asked, {}
        if not (asked or self._grants or self._former):
            self._is_asked.clear()
        for name, each in asked.items():
            if (grant := self._grants.get(name)) is not None and grant.tenant is not each.tenant:
                self._follow(grant, each.tenant)
        new = [each for name, each in asked.items() if name not in self._grants and each.ahead()]
        renewed = [self._renew(grant, asked.get(name)) for name, grant in self._grants.items()]
        # While what was used of them may not be counted yet, all that they held is.
        owed = self._ledger.owed() if self._former else ()
        former = [self._renew(each, None) for each in self._former if each.tenant.name not in owed]
        work = (*renewed, *former, *map(self._begin, new))
        for error in await asyncio.gather(*work, return_exceptions=True):
            if error is not None:  # whatever it is, the others' usage has to be reported
                report(error, "a grant was not renewed")

    def _follow(self, grant: Grant, tenant: Tenant) -> None:
        """An edit that leaves the limits as they are leaves the grant as well."""
        if grant.tenant.limits == tenant.limits:
            grant.tenant = tenant
        else:
            self._retire(grant)

    def _retire(self, grant: Grant) -> None:
        if self._grants.get(grant.tenant.name) is grant:
            self._former.append(self._grants.pop(grant.tenant.name))

    async def _begin(self, asked: Asked) -> None:
        tenant, wanted, began = asked.tenant, asked.ahead(), self._clock()
        grant = Grant(f"grant.{self._pod}.{next(self._numbers)}", tenant, wanted, began + LASTS_S, wanted)
        try:
            denied = await self._ledger.hold(tenant, grant.id, wanted, room_to_grant(wanted))
        except LedgerFault:
            return
        if denied is None:
            self._grants[tenant.name] = grant

    async def _renew(self, grant: Grant, asked: Asked | None) -> None:
        ahead = asked.ahead() if asked is not None else []
        if not grant.holds and not ahead:
            await self._end(grant)
            return
        used = grant.report()
        wanted = list(map(add, grant.held, ahead)) if ahead else grant.held
        if not ahead and wanted == grant.asked and not any(used) and self._clock() < grant.until:
            return  # nothing has happened
        # In this order, so that what was used is not free in between.
        await asyncio.gather(
            self._report(grant, f"{grant.id}.{next(self._numbers)}", used),
            self._resize(grant, wanted, room_to_grant(wanted) if ahead else ()),
        )

    async def _report(self, grant: Grant, report_id: str, used: list[int]) -> None:
        if any(used):
            try:
                await self._ledger.settle(grant.tenant, report_id, used)
            except LedgerFault:  # it is told later, by the adapter
                self._unsettled()

    async def _resize(self, grant: Grant, wanted: list[int], room: Sequence[int]) -> None:
        """Holds so much from now on, or no more than is under way, or has ended meanwhile, where that is not plenty."""
        began = self._clock()
        try:
            if await self._holds(grant, wanted, room):
                grant.until = began + LASTS_S
            else:
                grant.until = 0.0
                await self._holds(grant, list(map(add, grant.held, grant.used)), ())
        except LedgerFault:
            # The call may come later than the next one, and undo it: nothing more is taken than this one asked for.
            self._retire(grant)

    async def _holds(self, grant: Grant, wanted: Sequence[int], room: Sequence[int]) -> bool:
        # Whatever the ledger makes of it, no less than this is held meanwhile.
        grant.amounts, grant.asked = list(map(min, grant.amounts, wanted)), ()
        denied = await self._ledger.resize(grant.tenant, grant.id, wanted, room)
        if denied is None:
            grant.amounts, grant.asked = list(wanted), wanted
        return denied is None

    async def _end(self, grant: Grant) -> None:
        """One of which nothing is under way."""
        if self._grants.get(grant.tenant.name) is grant:
            del self._grants[grant.tenant.name]
        self._former = [each for each in self._former if each is not grant]
        try:
            if any(grant.used):
                await self._ledger.settle(grant.tenant, grant.id, grant.used)
            else:
                await self._ledger.release(grant.tenant, grant.id)
        except LedgerFault:
            self._unsettled()

    async def aclose(self) -> None:
        """Reports what is left. What ends later is told to the ledger by itself."""
        if self._looking is not None:
            await asyncio.wait([self._looking])
        left = [*self._grants.values(), *self._former]
        # Nothing is taken from them any more, or settled there, once what was used of them is told.
        self._taken_from.clear()
        self._grants.clear()
        await asyncio.gather(*map(self._end, left))
