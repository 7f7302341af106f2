"""A data plane's budgets on a real ledger, without the rest of it; a clock of the ledger's that a test moves, and a way
to lose what it is asked or answers.
"""

import time
from dataclasses import dataclass, field
from typing import Final, NoReturn, cast

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from tollway_api.meta import ModelName
from tollway_api.snapshot import Model, Price, Protocol
from tollway_dataplane.adapters import redis_ledger
from tollway_dataplane.adapters.redis_batch import ScriptBatch, Words
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.core.tokens import Counted
from tollway_dataplane.spending.balances import Balances
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.grants import Grants
from tollway_dataplane.spending.holds import Need, Slice
from tollway_dataplane.spending.leases import Leases
from tollway_dataplane.telemetry.metrics import MoneyMetrics

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
    money = MoneyMetrics(CollectorRegistry(), balances, 1)
    return Budgets(ledger, leases, Grants(ledger, "pod", time.monotonic, money.unsettled), balances, money)


def need(prompt: int, answer: int, patience_s: float = 0.0, counted: int | None = None) -> Need:
    """Tokens of a prompt and of an answer at most, which is paid for as it comes where it must be; `counted` is how
    many the prompt has by its tokenizer.
    """

    async def begin() -> Slice:
        tokens = prompt if counted is None else counted
        return Slice(Counted(tokens, tokens), first=32, fewest=16, grows=True)

    return Need(Usage(prompt, answer), begin, lambda _: patience_s)


_CLOCK: Final = "a clock that the test moves"
_OF_REDIS: Final = "redis.call('TIME')"


@dataclass
class LedgerClock:
    """Stands still until it is moved."""

    redis: Redis
    now_ms: int = 0

    async def set(self, now_ms: int) -> None:
        self.now_ms = now_ms
        seconds, milliseconds = divmod(now_ms, 1_000)
        await self.redis.delete(_CLOCK)
        await self.redis.rpush(_CLOCK, seconds, milliseconds * 1_000)

    async def later(self, seconds: float) -> None:
        await self.set(self.now_ms + int(seconds * 1_000))


def stop_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ledgers that are made from now on."""
    script = redis_ledger._SCRIPT
    assert script.count(_OF_REDIS) == 1
    moved = script.replace(_OF_REDIS, f"redis.call('LRANGE', '{_CLOCK}', 0, 1)")
    monkeypatch.setattr(redis_ledger, "_SCRIPT", moved)


@dataclass
class Unreliable:
    """Runs the script, and may lose the call or its reply, or be so slow with a call that nobody waits for it."""

    inner: ScriptBatch
    loses: str = ""  # "call", "reply", "late", or nothing
    lasts: bool = False  # whether it loses more than one
    late: list[tuple[Words, int]] = field(default_factory=list)

    async def run(self, keys_and_arguments: Words, keys: int) -> object:
        if self.loses in ("call", "late"):
            if self.loses == "late":
                self.late.append((keys_and_arguments, keys))
            self._lost()
        reply = await self.inner.run(keys_and_arguments, keys)
        # That windows are of another time is asked about once more, and only then is it done.
        if self.loses and cast("list[object]", reply)[0] != b"clock":
            self._lost()
        return reply

    def _lost(self) -> NoReturn:
        if not self.lasts:
            self.loses = ""
        raise TimeoutError

    async def arrive(self) -> None:
        """What was late is done now, after whatever was asked since."""
        late, self.late = self.late, []
        for each in late:
            await self.inner.run(*each)
