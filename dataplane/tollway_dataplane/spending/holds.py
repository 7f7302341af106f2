"""What one attempt reserves of its tenant's budget: what it needs to begin with, and how much of that it has so far.
Made by `budgets`, which asks for it; `metering` and `dispatch` read it.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from tollway_api.snapshot import Limit, Model, Price, Tenant
from tollway_api.tenant_budget import Unit
from tollway_api.wire import account_of
from tollway_dataplane.core.budgeting import Denied, amounts, tokens_that_fit_all
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.core.pricing import cost, dearest
from tollway_dataplane.core.tokens import Counted
from tollway_dataplane.core.values import value


@dataclass(frozen=True, slots=True)
class Slice:
    """What an attempt needs to begin with."""

    prompt: Counted
    first: int = 0  # tokens of the answer to hold at least, and fewer where no more are left
    fewest: int = 0  # below which it is not worth asking
    grows: bool = False  # whether the hold may grow as the answer comes


@value
class Need:
    """What an attempt may use, and where that is not plenty, which is asked only then, a slice of it."""

    worst: Usage
    slice: Callable[[], Awaitable[Slice]]
    # To wait for what others hold of a limit, of which they mostly give much back.
    patience_s: Callable[[Limit], float] = lambda _: 0.0
    gives_way: bool = False  # to all who wait: it does not wait itself, and takes nothing that they wait for

    def counted_once(self) -> "Need":
        """However often it is asked about its slice."""
        found: list[Slice] = []

        async def counted() -> Slice:
            if not found:
                found.append(await self.slice())
            return found[0]

        return Need(self.worst, counted, self.patience_s, self.gives_way)


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
    renamed: int = 0

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begins with the whole worst case; also anew, where that came to less."""
        self.held, self.most, self.tight = self.worst, self.worst.completion_tokens, ""
        self.price = dearest(self.model.price, self.worst)

    def rename(self) -> None:
        """What was asked for under its id may be held, and is released for that; it asks under another one."""
        self.renamed += 1
        self.id = f"{self.id.partition('~')[0]}~{self.renamed}"

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
        counted = Usage(self.prompt, self.written, estimated=True)
        return counted if self.reported is None else self.reported.completed(counted)

    def amounts(self, usage: Usage, price: Price, requests: int = 1) -> list[int]:
        """What a usage counts against each limit of the tenant."""
        counted = amounts(self.tenant.limits, usage, price, requests)
        if not self.waived:
            return counted
        pairs = zip(self.tenant.limits, counted, strict=True)
        return [0 if self._is_waived(limit) else amount for limit, amount in pairs]

    def room(self, denied: Denied, prompt_tokens: int, *, if_given_back: bool = False) -> int:
        """Tokens of an answer beside a prompt, for what is left of each limit of which it takes tokens or money; or for
        what would be, if others gave back what they hold.
        """
        pairs = zip(denied.states, self.amounts(self.worst, self.price, 0), strict=True)
        concerned = [each for each, amount in pairs if amount]
        rooms = [(each.limit, each.unused if if_given_back else each.left) for each in concerned]
        return tokens_that_fit_all(rooms, prompt_tokens, self.price)

    def _is_waived(self, limit: Limit) -> bool:
        return limit.unit is not Unit.USD and account_of(self.tenant.name, limit) in self.waived
