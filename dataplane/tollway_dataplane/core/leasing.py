"""A lease: a small slice of each limit of a tenant, which a pod holds in the ledger beforehand, and of which it counts
by itself while the ledger is away. When to take one, when it stands in others' way, and what is left of it. Pure;
called by `leases`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tollway_api.leasing import slices
from tollway_api.snapshot import Limit, Tenant
from tollway_dataplane.core.budgeting import Denied, LimitState, Taken

# A lease is taken while a quarter of every limit is left, and given back where less than a tenth is: in between it
# stays as it is, so that pods do not take and give back by turns.
_TO_TAKE: Final = 4
_TO_KEEP: Final = 10
_AGAIN_AFTER_S: Final = 2


def room_to_lease(limits: Sequence[Limit]) -> list[int]:
    """What must be left of each limit for a lease to be taken."""
    return [limit.amount // _TO_TAKE for limit in limits]


def stands_in_the_way(limit: Limit, taken: Taken) -> bool:
    """Whether so little is left that what is leased is needed."""
    return limit.amount - taken.used - taken.held < limit.amount // _TO_KEEP


def beyond(amounts: Sequence[int], others: Sequence[int]) -> list[int]:
    """By how much each is more; all of it where there are no others."""
    return [max(0, each - other) for each, other in zip(amounts, others or [0] * len(amounts), strict=True)]


@dataclass(slots=True)
class Lease:
    """`until` is by the pod's own clock, in seconds, and never later than what the ledger says."""

    id: str
    tenant: Tenant
    amounts: list[int]  # leased, one per limit
    until: float = 0.0
    used: list[int] = field(default_factory=list)
    holds: dict[str, Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.used = [0] * len(self.amounts)

    @property
    def is_touched(self) -> bool:
        """Whether something was or may be spent of it, so that it is not what the ledger takes it for."""
        return bool(self.holds) or any(self.used)

    def is_of(self, tenant: Tenant) -> bool:
        """Whether the tenant's budget would have it leased as it is."""
        return tenant.limits == self.tenant.limits and slices(tenant) == self.amounts

    def hold(self, hold_id: str, amounts: Sequence[int], room: Sequence[int]) -> Denied | None:
        """Holds these amounts under the id from now on, as the ledger would. Where a limit has no room nothing
        changes.
        """
        standing = self.holds.get(hold_id, ())
        more = beyond(amounts, standing)
        states = self._states()
        for number, each in enumerate(states):
            needed = max(more[number], room[number] if room else 0)
            if more[number] and needed > each.left:
                return Denied(states, number, amounts[number], _AGAIN_AFTER_S)
        self.holds[hold_id] = list(map(max, amounts, standing or amounts))
        return None

    def _states(self) -> list[LimitState]:
        """How the limits stand, each as if no more of it were allowed than is leased."""
        return [
            LimitState(replace(limit, amount=amount), used, sum(each[number] for each in self.holds.values()))
            for number, (limit, amount, used) in enumerate(
                zip(self.tenant.limits, self.amounts, self.used, strict=True)
            )
        ]

    def settle(self, hold_id: str, amounts: Sequence[int]) -> None:
        """Frees the hold and counts what was used."""
        self.holds.pop(hold_id)
        self.used = [used + amount for used, amount in zip(self.used, amounts, strict=True)]
