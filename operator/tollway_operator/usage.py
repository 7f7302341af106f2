"""What is spent of each budget, read from the ledger for the statuses; the data planes do the counting."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from tollway_api.snapshot import Snapshot
from tollway_api.windows import Usage, usage_of
from tollway_operator.polling import Poller
from tollway_operator.redis_store import RedisStore

_AT_ONCE: Final = 500

Usages = dict[str, list[Usage]]  # by account, for the limits there were then


def usage_poller(ledger: RedisStore, every_s: float, on_change: Callable[[], None]) -> Poller[Usages]:
    return Poller[Usages](partial(read_usage, ledger), {}, "what was spent is not known", every_s, on_change)


async def read_usage(ledger: RedisStore, snapshot: Snapshot) -> Usages:
    """Of those accounts that make sense. Raises StoreFault."""
    budgets = [each for each in snapshot.budgets if each.limits]
    found: Usages = {}
    # Before what is spent: what is settled in between is then shown twice for a moment, and never not at all.
    holds = await ledger.holds()
    for start in range(0, len(budgets), _AT_ONCE):
        some = budgets[start : start + _AT_ONCE]
        spent = await ledger.spent([each.account for each in some])
        for each, recorded in zip(some, spent, strict=True):
            if recorded is not None:
                with suppress(ValueError):
                    found[each.account] = usage_of(each.account, each.limits, recorded, holds)
        await asyncio.sleep(0)
    return found
