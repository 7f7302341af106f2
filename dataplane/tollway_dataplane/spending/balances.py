"""What the ledger said last of each tenant's limits, for who would tell people without asking it again: headers of
replies, and the metric of how full budgets are.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tollway_api.meta import TenantName
from tollway_api.snapshot import Calendar, Limit, Rolling, SharedLimit, Tenant
from tollway_api.windows import WindowBounds, window_bounds
from tollway_dataplane.core.allowances import Allowance, rate_limit_headers


def share_taken(limit: Limit, taken: int) -> float:
    """The share of a limit that is taken. A limit of nothing is used up."""
    return taken / limit.amount if limit.amount else 1.0


class _Said(NamedTuple):
    """What was told of a tenant's limits, and from what."""

    latest: object
    tenant: Tenant
    at_s: int
    headers: Mapping[str, str]


class Balances:
    """`clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._latest: dict[TenantName, tuple[Sequence[Limit], Sequence[int], int]] = {}  # the newest last
        self._rate_limits: dict[TenantName, _Said] = {}
        self._ends_ms: dict[Calendar, int] = {}  # of the windows that are current

    def observe(self, tenant: Tenant, taken: Sequence[int]) -> None:
        """`taken`: what is used and what is held of each limit, one after the other."""
        self._latest.pop(tenant.name, None)
        self._latest[tenant.name] = tenant.limits, taken, self._now_ms()

    def keep_only(self, tenants: Collection[TenantName]) -> None:
        """Forgets tenants that are gone."""
        for gone in (self._latest.keys() | self._rate_limits.keys()) - set(tenants):
            self._latest.pop(gone, None)
            self._rate_limits.pop(gone, None)
        self._ends_ms.clear()

    def __iter__(self) -> Iterator[tuple[TenantName, Limit, int]]:
        """Tenant, limit, and what is used and held of it, as long as that can still count: a tenant that was told of
        a full budget and has not asked since is not to be taken for one that has nothing left of the next day's.
        """
        now_ms = self._now_ms()
        now = datetime.fromtimestamp(now_ms / 1_000, UTC)
        windows: dict[Rolling | Calendar, WindowBounds] = {}  # thousands of tenants have a few
        for tenant, (limits, taken, said_ms) in self._latest.copy().items():
            for limit, used, held in zip(limits, taken[::2], taken[1::2], strict=True):
                if (window := windows.get(limit.window)) is None:
                    window = windows[limit.window] = window_bounds(limit, now)
                if window.counts(said_ms, now_ms):
                    yield tenant, limit, used + held

    def by_owner(self) -> dict[str, dict[str, tuple[Limit, int]]]:
        """Each limit, and what is used and held of it, by its owner and title. One of a shared budget is nobody's own,
        so its owner is "", and whoever called last has heard of it last.
        """
        found: dict[str, dict[str, tuple[Limit, int]]] = {}
        for tenant, limit, taken in self:
            owner = "" if isinstance(limit, SharedLimit) else tenant
            found.setdefault(owner, {})[limit.title] = limit, taken
        return found

    def rate_limits(self, tenant: Tenant) -> Mapping[str, str]:
        """The headers of a reply. They are the same until the ledger says something else, or a second has passed."""
        latest, now_s = self._latest.get(tenant.name), int(self._clock())
        said = self._rate_limits.get(tenant.name)
        if said is None or said.latest is not latest or said.tenant is not tenant or said.at_s != now_s:
            said = _Said(latest, tenant, now_s, rate_limit_headers(self.allowances(tenant)))
            self._rate_limits[tenant.name] = said
        return said.headers

    def allowances(self, tenant: Tenant) -> tuple[Allowance, ...]:
        """Nothing where the ledger has not said anything of the tenant's limits as they are."""
        limits, taken, _ = self._latest.get(tenant.name, ((), (), 0))
        if limits != tenant.limits:
            return ()
        now_ms = self._now_ms()
        return tuple(
            Allowance(
                limit, limit.amount - used - held, self._resets_in_s(limit, now_ms) if used + held else 0
            )
            for limit, used, held in zip(limits, taken[::2], taken[1::2], strict=True)
        )

    def _resets_in_s(self, limit: Limit, now_ms: int) -> int:
        """When all of a limit may be used again. For a rolling window that is its length, after which what was used
        until now counts no more.
        """
        if isinstance(limit.window, Rolling):
            return -(-limit.window.milliseconds // 1_000)
        end_ms = self._ends_ms.get(limit.window, 0)
        if end_ms <= now_ms:
            now = datetime.fromtimestamp(now_ms / 1_000, UTC)
            end_ms = self._ends_ms[limit.window] = window_bounds(limit, now).end_ms
        return -(-(end_ms - now_ms) // 1_000)

    def _now_ms(self) -> int:
        return int(self._clock() * 1_000)
