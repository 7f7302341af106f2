"""Asks for what a hold is to cover: of what this pod was granted for a tenant that asks often, or the ledger, or of
what this pod has leased where that is away. First as much as surely suffices, or a slice of it; then more as the answer
comes; at last it is settled. Called by `budgets`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from tollway_dataplane.core.budgeting import (
    FIRST_SHARE,
    STEP_TOKENS,
    Denied,
    room_for,
    tokens_that_fit_after,
)
from tollway_dataplane.core.facts import NO_USAGE, Usage
from tollway_dataplane.core.leasing import beyond
from tollway_dataplane.errors import LedgerFault
from tollway_dataplane.ports import Ledger
from tollway_dataplane.spending.grants import Grants
from tollway_dataplane.spending.holds import Hold, Slice
from tollway_dataplane.spending.leases import Leases


class Reserving:
    """Every method that waits raises LedgerFault."""

    def __init__(self, ledger: Ledger, leases: Leases, grants: Grants) -> None:
        self._ledger = ledger
        self._leases = leases
        self._grants = grants

    def granted(self, hold: Hold) -> bool:
        """Whether the worst case is held of what this pod was granted, for which nobody waits."""
        return self._grants.hold(hold.tenant, hold.id, hold.amounts(hold.held, hold.price))

    async def whole(self, hold: Hold) -> Denied | None:
        """The worst case, where it is plenty."""
        wanted = hold.amounts(hold.held, hold.price)
        return await self._reserve(hold, wanted, room_for(hold.tenant.limits, wanted))

    async def slice(self, hold: Hold, begin: Slice, known: Denied) -> Denied | None:
        """The prompt and a first part of the answer, or as much of it as is left of every limit where that is worth
        while. `known` says what was left a moment ago.
        """
        prompt, most = begin.prompt.most, hold.worst.completion_tokens
        share = hold.room(known, prompt) // FIRST_SHARE
        hold.held = Usage(prompt, min(max(begin.first, share), most), estimated=True)
        denied = await self._reserve(hold, hold.amounts(hold.held, hold.price))
        if denied is None:
            return None
        fits = tokens_that_fit_after(denied.limit, denied.left, prompt, hold.price)
        fewest = min(begin.fewest, most)
        if not fewest <= fits < hold.held.completion_tokens:
            return denied
        # Where another limit has less than the fewest, it is asked for them all the same, and says so itself.
        hold.held = Usage(prompt, max(fewest, hold.room(denied, prompt)), estimated=True)
        return await self._reserve(hold, hold.amounts(hold.held, hold.price))

    async def _reserve(self, hold: Hold, wanted: Sequence[int], room: Sequence[int] = ()) -> Denied | None:
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

    async def grow(self, hold: Hold, completion_tokens: int) -> Denied | None:
        """Lets the hold grow by a step, or by what is left, so that it covers so many tokens of the answer."""
        wanted = max(completion_tokens, min(hold.most, hold.held.completion_tokens + STEP_TOKENS))
        denied = await self._extend(hold, wanted)
        if denied is not None:
            fits = hold.held.completion_tokens + hold.room(denied, 0)
            if completion_tokens <= fits < wanted:
                denied = await self._extend(hold, fits)
        return denied

    async def _extend(self, hold: Hold, completion_tokens: int) -> Denied | None:
        wanted = Usage(hold.held.prompt_tokens, completion_tokens, estimated=True)
        in_all = hold.amounts(wanted, hold.price)
        if hold.leased:
            denied = self._leases.hold(hold.tenant, hold.id, beyond(in_all, hold.in_ledger))
        else:
            asking = partial(self._ledger.extend, hold.tenant, hold.id, in_all)
            denied = await self._asked_of_ledger(hold, asking, needed=True)
        if denied is None:
            hold.held = wanted
        return denied

    async def settle(self, hold: Hold, usage: Usage, *, answered: bool) -> None:
        """Also of who is cancelled meanwhile: the ledger is told again then, in case it was not. What it is told twice
        changes nothing.
        """
        used = hold.amounts(usage, hold.model.price, int(answered))
        if self._grants.settle(hold.id, used):
            return
        is_nothing = usage == NO_USAGE and not answered
        try:
            await self._tell(hold, None if is_nothing else used)
        except asyncio.CancelledError:
            with suppress(LedgerFault):  # where it is away it is told later, by the adapter
                await asyncio.shield(self._tell(hold, None if is_nothing else used))
            raise
        finally:
            # Not before the ledger was told: a lease is released when nothing is missing there.
            if hold.leased:
                self._leases.settle(hold.id, beyond(used, hold.in_ledger))

    async def _tell(self, hold: Hold, used: Sequence[int] | None) -> None:
        """`used`: None where the call cost nothing."""
        if used is None:
            await self._ledger.release(hold.tenant, hold.id)
        else:
            await self._ledger.settle(hold.tenant, hold.id, used)
