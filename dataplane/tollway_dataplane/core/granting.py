"""A grant: what a pod holds in the ledger under one id for many requests of a tenant that asks often, each of which it
then holds and settles by itself, and reports together. Who gets one, how much, and what is left of it. Pure; called by
`grants`. A quota that is granted and reported so is a session's in RFC 8506 (Diameter Credit-Control), section 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add, sub
from typing import Final

from tollway_api.snapshot import Tenant

# So many requests between two looks are worth a grant: fewer are asked of the ledger one by one, so that what they used
# is counted there when they end.
_OFTEN: Final = 10
# Twice as many may come until the next look as came until this one.
_AHEAD: Final = 2
# A grant is at most this share of what is left of each limit, so that many pods may have one, and all that is held for
# nobody yet is little.
_SHARE: Final = 32


@dataclass(slots=True)
class Asked:
    """What a tenant has asked for since somebody looked."""

    tenant: Tenant
    count: int = 0
    amounts: list[int] = field(default_factory=list)  # in all, one per limit

    def add(self, amounts: Sequence[int]) -> None:
        self.count += 1
        self.amounts = list(map(add, self.amounts, amounts)) if self.amounts else list(amounts)

    def ahead(self) -> list[int]:
        """What to hold before it is asked for, until somebody looks again."""
        return [_AHEAD * amount for amount in self.amounts] if self.count >= _OFTEN else []


def room_to_grant(amounts: Sequence[int]) -> list[int]:
    """What must be left of each limit for such a grant."""
    return [_SHARE * amount for amount in amounts]


@dataclass(slots=True)
class Grant:
    """`amounts` is what may be held and used, and never more than the ledger holds under the id; `until` is by the
    pod's own clock, in seconds, and nothing is taken later than that.
    """

    id: str
    tenant: Tenant
    amounts: list[int]
    until: float
    asked: Sequence[int] = ()  # what the ledger holds; nothing where that is not known
    held: list[int] = field(init=False)  # of the amounts, by requests that are under way
    used: list[int] = field(init=False)  # of the amounts, and not reported yet
    holds: dict[str, Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.held, self.used = [0] * len(self.amounts), [0] * len(self.amounts)

    def hold(self, hold_id: str, amounts: Sequence[int]) -> bool:
        """Whether there is room for all of it, which is held then."""
        held = list(map(add, self.held, amounts))
        for amount, taken, used in zip(self.amounts, held, self.used, strict=True):
            if taken + used > amount:
                return False
        self.held = held
        self.holds[hold_id] = amounts
        return True

    def settle(self, hold_id: str, used: Sequence[int]) -> None:
        """Frees the hold, and counts what was used, which may be more than that."""
        self.held = list(map(sub, self.held, self.holds.pop(hold_id)))
        self.used = list(map(add, self.used, used))

    def report(self) -> list[int]:
        """What was used since the last time, which is the ledger's to count from now on."""
        used, self.used = self.used, [0] * len(self.used)
        self.amounts = list(map(sub, self.amounts, used))
        return used
