"""Counts what tenants spend, in Redis, by one atomic script over all limits of a tenant. See `ledger.lua`."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tollway_api import wire
from tollway_api.meta import TenantName
from tollway_api.snapshot import Tenant
from tollway_api.windows import window_bounds
from tollway_dataplane.adapters.redis_batch import ScriptBatch
from tollway_dataplane.adapters.redis_client import REDIS_ERRORS
from tollway_dataplane.core.budgeting import Denied
from tollway_dataplane.errors import LedgerFault

# A hold comes back by itself this long after its pod last said that the request still runs.
HOLD_LIFE_MS: Final = 45_000
EXTEND_EVERY_S: Final = 15.0
_MOST_PENDING: Final = 100_000
_MOST_UNSURE: Final = 1_000
_SCRIPT: Final = resources.files(__package__).joinpath("ledger.lua").read_text("utf-8")

Observe = Callable[[Tenant, Sequence[int]], None]


def _unobserved(_tenant: Tenant, _taken: Sequence[int]) -> None:
    """Nobody asked."""


class RedisLedger:
    """`observe` hears what is used and what is held of each limit, one after the other, whenever the ledger says."""

    def __init__(self, redis: Redis, deadline_s: float, observe: Observe = _unobserved) -> None:
        self._script = ScriptBatch(redis, _SCRIPT, deadline_s)
        self._windows: dict[TenantName, _Windows] = {}
        self._observe = observe
        self._standing: dict[str, Tenant] = {}
        self._pending: deque[tuple[Tenant, str, Sequence[int]]] = deque(maxlen=_MOST_PENDING)

    async def hold(self, tenant: Tenant, hold_id: str, amounts: Sequence[int]) -> Denied | None:
        try:
            status, *values = await self._run("hold", tenant, hold_id, amounts)
        except LedgerFault:
            # It may have been made all the same, and would stand in others' way until it comes back by itself. Never
            # so many that what was really used is forgotten for them.
            if len(self._pending) < _MOST_UNSURE:
                self._pending.append((tenant, hold_id, [0] * len(amounts)))
            raise
        if status == b"denied":
            number, used, held, wait_ms = (int(value) for value in values)
            limit, asked = tenant.limits[number - 1], amounts[number - 1]
            return Denied(limit, asked, used, held, max(1, -(-wait_ms // 1_000)))
        self._standing[hold_id] = tenant
        self._observe(tenant, [int(value) for value in values])
        return None

    async def settle(self, tenant: Tenant, hold_id: str, amounts: Sequence[int]) -> None:
        self._standing.pop(hold_id, None)
        try:
            _, *values = await self._run("settle", tenant, hold_id, amounts)
        except LedgerFault:
            self._pending.append((tenant, hold_id, amounts))
            raise
        self._observe(tenant, [int(value) for value in values])

    async def settle_pending(self) -> None:
        """Settles again what could not be settled. What Redis had taken without saying so then counts twice: too much
        rather than too little. Raises LedgerFault; a tenant whose account is damaged keeps no other waiting.
        """
        fault: LedgerFault | None = None
        for _ in range(len(self._pending)):
            try:
                await self._run("settle", *self._pending[0])
            except LedgerFault as found:
                fault = found
                if not isinstance(found.__cause__, ResponseError):
                    break
                self._pending.rotate(-1)
            else:
                self._pending.popleft()
        if fault is not None:
            raise fault

    async def keep_holds(self) -> None:
        """Runs for the life of the process: extends the holds of requests still under way, and settles what is left
        to settle.
        """
        while True:
            await asyncio.sleep(EXTEND_EVERY_S)
            with suppress(LedgerFault):
                await self.settle_pending()
            for hold_id, tenant in list(self._standing.items()):
                try:
                    await self._run("extend", tenant, hold_id, [0] * len(tenant.limits))
                except LedgerFault:
                    break  # the hold lives for two more rounds; try again in the next

    async def aclose(self) -> None:
        """Settles what is left to settle, if the ledger is there; otherwise holds expire and usage is lost."""
        with suppress(LedgerFault):
            await self.settle_pending()

    async def _run(
        self, operation: str, tenant: Tenant, hold_id: str, amounts: Sequence[int]
    ) -> list[bytes | int]:
        now_ms = int(time.time() * 1_000)
        # Twice at most: the first answer of a pod whose clock is off tells it the ledger's time.
        for _ in range(2):
            windows = self._windows_of(tenant, now_ms)
            words: list[str | int] = [
                operation,
                hold_id,
                HOLD_LIFE_MS,
                " ".join(map(str, amounts)),
                windows.words,
            ]
            try:
                reply = await self._script.run([*wire.ledger_keys(tenant.name), *words], keys=3)
            except REDIS_ERRORS as exc:
                raise LedgerFault(f"{operation} for tenant {tenant.name}: {type(exc).__name__}") from exc
            status, now_ms, *values = cast("list[Any]", reply)
            if status != b"clock":
                return [status, *values]
        raise LedgerFault(
            f"{operation} for tenant {tenant.name}: no calendar window contains the ledger's time"
        )

    def _windows_of(self, tenant: Tenant, now_ms: int) -> "_Windows":
        """The tenant's limits in the script's words, made anew when a window ends or the tenant was edited."""
        windows = self._windows.get(tenant.name)
        if windows is None or windows.tenant is not tenant or not windows.start_ms <= now_ms < windows.end_ms:
            windows = self._windows[tenant.name] = _Windows.around(tenant, now_ms)
        return windows


@dataclass(frozen=True, slots=True)
class _Windows:
    """A tenant's limits as text, valid from `start_ms` to `end_ms`."""

    tenant: Tenant
    words: str
    start_ms: int
    end_ms: int

    @classmethod
    def around(cls, tenant: Tenant, now_ms: int) -> "_Windows":
        now = datetime.fromtimestamp(now_ms / 1_000, UTC)
        bounds = [window_bounds(limit, now) for limit in tenant.limits]
        words = " ".join(
            f"{wire.counted_as(limit)} {limit.amount} {each.bucket_ms} {each.length_ms} {each.start_ms} {each.end_ms}"
            for limit, each in zip(tenant.limits, bounds, strict=True)
        )
        calendar = [each for each in bounds if each.bucket_ms == 0]
        start_ms = max((each.start_ms for each in calendar), default=0)
        return cls(tenant, words, start_ms, min((each.end_ms for each in calendar), default=2**63))
