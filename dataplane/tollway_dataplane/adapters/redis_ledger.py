"""Counts what tenants spend, in Redis, by one atomic script over all limits that count a request. See `ledger.lua`."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
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
from tollway_dataplane.adapters.redis_history import ToldLately
from tollway_dataplane.core.budgeting import Denied, LimitState, Taken
from tollway_dataplane.core.values import value
from tollway_dataplane.errors import LedgerFault

# A hold comes back by itself this long after its pod last said that the request still runs.
HOLD_LIFE_MS: Final = 45_000
KEEP_EVERY_S: Final = 15.0
ASK_AGAIN_EVERY_S: Final = 1.0
_MOST_PENDING: Final = 100_000
_MOST_UNSURE: Final = 1_000
# Of what is asked again, so much in one round trip at most: a few milliseconds of the ledger's time.
_AT_ONCE: Final = 100
_SCRIPT: Final = resources.files(__package__).joinpath("ledger.lua").read_text("utf-8")

Observe = Callable[[Tenant, Sequence[int]], None]


def _unobserved(_tenant: Tenant, _taken: Sequence[int]) -> None:
    """Nobody asked."""


def _unheard(_tenant: Tenant) -> None:
    """Nobody wants to know."""


class _Operation(StrEnum):
    HOLD = "hold"
    EXTEND = "extend"
    RESIZE = "resize"
    SETTLE = "settle"
    RELEASE = "release"
    READ = "read"


@value
class _Asked:
    """One call of the script. Asked twice, it changes nothing the second time."""

    operation: _Operation
    tenant: Tenant
    hold_id: str
    amounts: Sequence[int]  # one per limit, or none
    room: Sequence[int] = ()
    life_s: int | None = None  # None: a request's

    @property
    def key(self) -> tuple[str, ...]:
        return self.operation, self.tenant.name, self.hold_id

    @property
    def what(self) -> str:
        return f"{self.operation} for tenant {self.tenant.name}"


class RedisLedger:
    """`observe` hears what is used and what is held of each limit, one after the other, whenever the ledger says;
    `uncounted` of whose tenant a settlement was given up, because more are pending than can be remembered.
    """

    def __init__(
        self,
        redis: Redis,
        deadline_s: float,
        observe: Observe = _unobserved,
        uncounted: Callable[[Tenant], None] = _unheard,
    ) -> None:
        self._redis = redis
        self._deadline_s = deadline_s
        self._script = ScriptBatch(redis, _SCRIPT, deadline_s)
        self._windows: dict[TenantName, _Windows] = {}
        self._observe = observe
        self._uncounted = uncounted
        self._standing: dict[str, _Asked] = {}
        self._pending: dict[tuple[str, ...], _Asked] = {}  # the oldest first
        self._at_once = 1
        self._told = ToldLately[_Asked](redis, deadline_s)

    async def hold(
        self,
        tenant: Tenant,
        hold_id: str,
        amounts: Sequence[int],
        room: Sequence[int] = (),
        life_s: int | None = None,
    ) -> Denied | None:
        try:
            return await self._reserve(_Asked(_Operation.HOLD, tenant, hold_id, amounts, room, life_s))
        except LedgerFault:
            # It may have been made all the same, and would stand in others' way until it comes back by itself. Never
            # so many that what was really used is forgotten for them.
            if len(self._pending) < _MOST_UNSURE:
                self._owe(_Asked(_Operation.RELEASE, tenant, hold_id, ()))
            raise

    async def extend(
        self, tenant: Tenant, hold_id: str, amounts: Sequence[int], life_s: int | None = None
    ) -> Denied | None:
        return await self._reserve(_Asked(_Operation.EXTEND, tenant, hold_id, amounts, life_s=life_s))

    async def resize(
        self, tenant: Tenant, hold_id: str, amounts: Sequence[int], room: Sequence[int]
    ) -> Denied | None:
        return await self._reserve(_Asked(_Operation.RESIZE, tenant, hold_id, amounts, room))

    async def settle(self, tenant: Tenant, hold_id: str, amounts: Sequence[int]) -> None:
        await self._finish(_Asked(_Operation.SETTLE, tenant, hold_id, amounts))

    async def release(self, tenant: Tenant, hold_id: str) -> None:
        await self._finish(_Asked(_Operation.RELEASE, tenant, hold_id, ()))

    async def read(self, tenant: Tenant) -> list[Taken]:
        _, values = await self._run(_Asked(_Operation.READ, tenant, "", ()))
        return list(map(Taken, values[::2], values[1::2]))

    async def recalled(self) -> set[str]:
        try:
            async with asyncio.timeout(self._deadline_s):
                found = await self._redis.zrange(wire.ledger_keys("").recalled, 0, -1)
        except REDIS_ERRORS as exc:
            raise LedgerFault(f"what is recalled: {type(exc).__name__}") from exc
        return {account.decode() for account in cast("list[bytes]", found)}

    def owed(self) -> set[TenantName]:
        return {asked.tenant.name for asked in self._pending.values()}

    def _owe(self, asked: _Asked) -> None:
        self._pending[asked.key] = asked
        if len(self._pending) > _MOST_PENDING:
            given_up = self._pending.pop(next(iter(self._pending)))
            if given_up.operation is _Operation.SETTLE:
                self._uncounted(given_up.tenant)

    async def _reserve(self, asked: _Asked) -> Denied | None:
        status, values = await self._run(asked)
        tenant, amounts = asked.tenant, asked.amounts
        if status == b"denied":
            number, wait_ms, leased, *taken = values
            states = list(map(LimitState, tenant.limits, taken[::2], taken[1::2]))
            wait_s = max(1, -(-wait_ms // 1_000))
            return Denied(states, number - 1, amounts[number - 1], wait_s, leased)
        self._standing[asked.hold_id] = _Asked(
            _Operation.EXTEND, tenant, asked.hold_id, amounts, life_s=asked.life_s
        )
        self._observe(tenant, values)
        return None

    async def _finish(self, asked: _Asked) -> None:
        self._standing.pop(asked.hold_id, None)
        try:
            _, taken = await self._run(asked)
        except LedgerFault:
            self._owe(asked)
            raise
        self._told.note(asked)
        self._observe(asked.tenant, taken)

    async def finish_pending(self) -> None:
        """Asks again for what the ledger may not have taken. Raises LedgerFault; a tenant whose account is damaged
        keeps no other waiting.
        """
        fault: LedgerFault | None = None
        async for asked, found in self._ask_again(list(self._pending.values())):
            if found is None:
                self._pending.pop(asked.key, None)
                self._told.note(asked)
            fault = found or fault
        if fault is not None:
            raise fault

    async def _ask_again(self, all_of: Sequence[_Asked]) -> AsyncIterator[tuple[_Asked, LedgerFault | None]]:
        """In order, and with what came of it, until the ledger is away. Many share a round trip, but after one that
        failed few do at first: it may have been too much for its deadline.
        """
        start = 0
        while some := all_of[start : start + self._at_once]:
            faults = await asyncio.gather(*map(self._tried, some))
            for pair in zip(some, faults, strict=True):
                yield pair
            if any(fault is not None and not isinstance(fault.__cause__, ResponseError) for fault in faults):
                self._at_once = 1
                return
            start += len(some)
            self._at_once = min(2 * self._at_once, _AT_ONCE)

    async def _tried(self, asked: _Asked) -> LedgerFault | None:
        try:
            await self._run(asked)
        except LedgerFault as fault:
            return fault
        return None

    async def keep_holds(self) -> None:
        """Runs for the life of the process: keeps the holds of requests still under way, and asks again for what is
        pending, and for what a server that took over may lack.
        """
        clock = asyncio.get_running_loop().time
        keep_at = clock() + KEEP_EVERY_S
        while True:
            await asyncio.sleep(min(ASK_AGAIN_EVERY_S, KEEP_EVERY_S))
            if lost := await self._told.perhaps_lost():
                for asked in lost:
                    self._owe(asked)
                keep_at = clock()
            with suppress(LedgerFault):
                await self.finish_pending()
            if clock() < keep_at:
                continue
            keep_at = clock() + KEEP_EVERY_S
            async for _ in self._ask_again(list(self._standing.values())):
                pass  # what is not kept lives for two more rounds, and is asked for in the next

    async def aclose(self) -> None:
        """Asks again for what is pending, if the ledger is there; otherwise holds expire and usage is lost."""
        with suppress(LedgerFault):
            await self.finish_pending()

    async def _run(self, asked: _Asked) -> tuple[bytes, list[int]]:
        """The status and the numbers of the reply."""
        tenant, now_ms = asked.tenant, int(time.time() * 1_000)
        # Twice at most: the first answer of a pod whose clock is off tells it the ledger's time.
        for _ in range(2):
            windows = self._windows_of(tenant, now_ms)
            words: list[str | int] = [
                asked.operation,
                wire.held_as(tenant.name, asked.hold_id),
                HOLD_LIFE_MS if asked.life_s is None else asked.life_s * 1_000,
                " ".join(map(str, asked.amounts)),
                windows.words,
                " ".join(map(str, asked.room)),
            ]
            try:
                reply = await self._script.run([*windows.keys, *words], keys=len(windows.keys))
            except REDIS_ERRORS as exc:
                raise LedgerFault(f"{asked.what}: {type(exc).__name__}") from exc
            status, now_ms, *values = cast("list[Any]", reply)
            if status != b"clock":
                return status, list(map(int, values))
        raise LedgerFault(f"{asked.what}: no calendar window contains the ledger's time")

    def _windows_of(self, tenant: Tenant, now_ms: int) -> "_Windows":
        """The tenant's limits in the script's words, made anew when a window ends or the tenant was edited."""
        windows = self._windows.get(tenant.name)
        if windows is None or windows.tenant is not tenant or not windows.start_ms <= now_ms < windows.end_ms:
            windows = self._windows[tenant.name] = _Windows.around(tenant, now_ms)
        return windows


@dataclass(frozen=True, slots=True)
class _Windows:
    """A tenant's limits as text, valid from `start_ms` to `end_ms`, and where its accounts are."""

    tenant: Tenant
    keys: Sequence[str]
    words: str
    start_ms: int
    end_ms: int

    @classmethod
    def around(cls, tenant: Tenant, now_ms: int) -> "_Windows":
        now = datetime.fromtimestamp(now_ms / 1_000, UTC)
        bounds = [window_bounds(limit, now) for limit in tenant.limits]
        numbers: dict[str, int] = {}  # by account
        words: list[str | int] = []
        for limit, each in zip(tenant.limits, bounds, strict=True):
            account = wire.account_of(tenant.name, limit)
            words += [numbers.setdefault(account, len(numbers) + 1), account, wire.counted_as(limit)]
            words += [limit.amount, each.bucket_ms, each.length_ms, each.start_ms, each.end_ms]
        common = wire.ledger_keys(tenant.name)
        keys = [
            common.holds,
            common.expiry,
            common.recalled,
            common.refused,
            common.finished,
            *(wire.ledger_keys(each).spent for each in numbers),
        ]
        calendar = [each for each in bounds if each.bucket_ms == 0]
        start_ms = max((each.start_ms for each in calendar), default=0)
        text = " ".join(map(str, words))
        return cls(tenant, keys, text, start_ms, min((each.end_ms for each in calendar), default=2**63))
