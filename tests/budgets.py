"""A data plane's budgets on a real ledger, without the rest of it."""

import time
from typing import Final

from prometheus_client import CollectorRegistry

from tollway_api.meta import ModelName
from tollway_api.snapshot import Model, Price, Protocol
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.balances import Balances
from tollway_dataplane.budgets import Budgets
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.core.tokens import Counted
from tollway_dataplane.holds import Need, Slice
from tollway_dataplane.leases import Leases
from tollway_dataplane.metrics import MoneyMetrics

FREE_OF_CHARGE: Final = Model(
    name=ModelName("cheap"),
    upstream_id="openai/cheap",
    protocol=Protocol.OPENAI,
    endpoint=None,
    api_key=None,
    price=Price(0, 0),
    context_window=1_000,
    max_output_tokens=1_000,
    timeout_ms=1_000,
)


def budgets_on(ledger: RedisLedger, leases: Leases | None = None) -> Budgets:
    balances = Balances()
    leases = leases or Leases(ledger, "pod", time.monotonic)
    return Budgets(ledger, leases, balances, MoneyMetrics(CollectorRegistry(), balances, 1))


def need(prompt: int, answer: int, patience_s: float = 0.0, counted: int | None = None) -> Need:
    """Tokens of a prompt and of an answer at most, which is paid for as it comes where it must be; `counted` is how
    many the prompt has by its tokenizer.
    """

    async def begin() -> Slice:
        tokens = prompt if counted is None else counted
        return Slice(Counted(tokens, tokens), first=32, fewest=16, grows=True)

    return Need(Usage(prompt, answer), begin, lambda _: patience_s)
