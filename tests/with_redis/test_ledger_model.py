"""The ledger against a model of it, on a real Redis: whatever the order of what is asked, whatever is asked twice or is
not heard, and wherever the clock jumps: no limit is exceeded, nothing counts twice, and nothing that was spent is
forgotten before its window has passed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis.asyncio import Redis

from tests.tenants import tenant
from tollway_api import wire
from tollway_api.snapshot import Calendar, Limit, Rolling, Tenant
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_api.windows import window_bounds
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters import redis_ledger
from tollway_dataplane.adapters.redis_batch import ScriptBatch, Words
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import HOLD_LIFE_MS, RedisLedger
from tollway_dataplane.core.budgeting import Denied
from tollway_dataplane.errors import LedgerFault

_T = TypeVar("_T")

NOON_MS = int(datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp() * 1_000)  # the day before one of 25 hours
MINUTE = Limit("minute", Unit.REQUESTS, 60, Rolling(60_000))
HOUR = Limit("hour", Unit.TOKENS, 100, Rolling(3_600_000))
DAY = Limit("day", Unit.USD, 150, Calendar(CalendarPeriod.DAY, "Europe/Berlin"))
CLOCK = "a clock that the test moves"
OF_REDIS = "redis.call('TIME')"

IDS = st.sampled_from([f"request-{number}" for number in range(8)])
AMOUNTS = st.lists(st.integers(0, 40), min_size=3, max_size=3)
SOME_ROOM = st.lists(st.integers(0, 20) | st.integers(0, 150), min_size=3, max_size=3)
ROOMS: st.SearchStrategy[list[int]] = st.just([]) | SOME_ROOM


@dataclass
class Unreliable:
    """Runs the script, and may lose the call or its reply."""

    inner: ScriptBatch
    loses: str = ""  # "call", "reply", or nothing

    async def run(self, keys_and_arguments: Words, keys: int) -> object:
        if self.loses == "call":
            self.loses = ""
            raise TimeoutError
        reply = await self.inner.run(keys_and_arguments, keys)
        # That windows are of another time is asked about once more, and only then is it done.
        if self.loses and cast("list[object]", reply)[0] != b"clock":
            self.loses = ""
            raise TimeoutError
        return reply


@dataclass
class Spent:
    limit: int
    amount: int
    at_ms: int
    may_be_forgotten: bool = False  # the clock has shown a time by which its window had passed


@dataclass
class Model:
    """What the ledger promises, counted in the plainest way."""

    limits: list[Limit]
    now_ms: int = NOON_MS
    spent: list[Spent] = field(default_factory=list)
    holds: dict[str, tuple[list[int], int]] = field(default_factory=dict)  # amounts, and when it comes back
    finished: set[str] = field(default_factory=set)

    def pass_time(self) -> None:
        for each in self.spent:
            bounds = window_bounds(self.limits[each.limit], datetime.fromtimestamp(each.at_ms / 1_000, UTC))
            ends_ms = bounds.end_ms or each.at_ms + bounds.length_ms
            each.may_be_forgotten |= ends_ms <= self.now_ms
        self.holds = {name: hold for name, hold in self.holds.items() if hold[1] > self.now_ms}

    def held(self, limit: int) -> int:
        return sum(amounts[limit] for amounts, _ in self.holds.values())

    def least_used(self, limit: int) -> int:
        """What is surely within the window."""
        return sum(
            each.amount for each in self._of(limit) if not each.may_be_forgotten and self._counts(each, 0)
        )

    def most_used(self, limit: int) -> int:
        """With what may still be counted, since a window rolls by buckets."""
        return sum(each.amount for each in self._of(limit) if self._counts(each, 1))

    def _of(self, limit: int) -> list[Spent]:
        return [each for each in self.spent if each.limit == limit]

    def _counts(self, each: Spent, buckets: int) -> bool:
        bounds = window_bounds(self.limits[each.limit], datetime.fromtimestamp(self.now_ms / 1_000, UTC))
        if bounds.end_ms:
            return bounds.start_ms <= each.at_ms < bounds.end_ms
        return each.at_ms > self.now_ms - bounds.length_ms - buckets * bounds.bucket_ms


class Interleavings(RuleBasedStateMachine):
    url = ""  # of the Redis

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.model = Model([MINUTE, HOUR, DAY])
        self.acme: Tenant = tenant(*self.model.limits)
        self.unsure: list[Callable[[], None]] = []  # what the model does once pending calls are made again
        self.run(self._connect())

    async def _connect(self) -> None:
        self.redis: Redis = connect(self.url, 2.0)
        await self.redis.flushall()
        self.ledger = RedisLedger(self.redis, 2.0)
        self.script = Unreliable(self.ledger._script)
        self.ledger._script = self.script  # type: ignore[assignment]  # of the same shape
        await self._set_clock()

    async def _set_clock(self) -> None:
        seconds, milliseconds = divmod(self.model.now_ms, 1_000)
        await self.redis.delete(CLOCK)
        await self.redis.rpush(CLOCK, seconds, milliseconds * 1_000)

    def run(self, work: Awaitable[_T]) -> _T:
        async def awaited() -> _T:
            return await work

        return self.runner.run(awaited())

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.redis.aclose())
            self.runner.close()

    @rule(
        name=IDS,
        amounts=AMOUNTS,
        room=st.none() | ROOMS,
        loses=st.sampled_from(["", "", "", "call", "reply"]),
    )
    def reserve(self, name: str, amounts: list[int], room: list[int] | None, loses: str) -> None:
        """Without a `room`, even an empty one, it is an extension."""
        model = self.model
        standing = model.holds.get(name, ([0] * len(amounts), 0))[0]
        wanted = list(map(max, standing, amounts))
        more = [wanted[limit] - standing[limit] for limit in range(3)]
        needed = [each and max(each, least) for each, least in zip(more, room or [0] * 3, strict=True)]
        fits_surely = all(self._room(limit, model.most_used) >= needed[limit] for limit in range(3))
        fits = all(
            not needed[limit] or self._room(limit, model.least_used) >= needed[limit] for limit in range(3)
        )
        self.script.loses = loses
        extends = room is None
        asked = (
            self.ledger.extend(self.acme, name, amounts)
            if room is None
            else self.ledger.hold(self.acme, name, amounts, room)
        )
        try:
            denied: Denied | None = self.run(asked)
        except LedgerFault:
            taken = self._held_now(name)
            if taken is not None and name not in model.finished:
                assert taken == [standing, wanted][taken != standing], "nothing in between"
                model.holds[name] = (taken, model.now_ms + HOLD_LIFE_MS)
            if not extends:
                self.unsure.append(lambda: self._finish(name, [0] * len(amounts)))
            return
        if name in model.finished:
            assert denied is None, "it is answered as it was, and holds nothing"
        elif denied is None:
            assert fits, "it would not fit whatever is forgotten"
            model.holds[name] = (wanted, model.now_ms + HOLD_LIFE_MS)
        else:
            assert not fits_surely, f"there was room: {denied}"

    @rule(name=IDS, amounts=AMOUNTS, loses=st.sampled_from(["", "", "call", "reply"]))
    def settle(self, name: str, amounts: list[int], loses: str) -> None:
        self._ask_to_finish(lambda: self.ledger.settle(self.acme, name, amounts), name, amounts, loses)

    @rule(name=IDS, loses=st.sampled_from(["", "", "call", "reply"]))
    def release(self, name: str, loses: str) -> None:
        self._ask_to_finish(lambda: self.ledger.release(self.acme, name), name, [0, 0, 0], loses)

    def _ask_to_finish(
        self, ask: Callable[[], Awaitable[None]], name: str, amounts: Sequence[int], loses: str
    ) -> None:
        self.script.loses = loses
        if loses == "call":
            with pytest.raises(LedgerFault):
                self.run(ask())
            self.unsure.append(lambda: self._finish(name, amounts))
            return
        try:
            self.run(ask())
        except LedgerFault:
            assert loses == "reply"
        self._finish(name, amounts)

    def _finish(self, name: str, amounts: Sequence[int]) -> None:
        if name in self.model.finished:
            return
        self.model.holds.pop(name, None)
        self.model.finished.add(name)
        for limit, amount in enumerate(amounts):
            self.model.spent.append(Spent(limit, amount, self.model.now_ms))

    @rule()
    def ask_again(self) -> None:
        self.run(self.ledger.finish_pending())
        for finish in self.unsure:
            finish()
        self.unsure.clear()

    @rule(
        jump_ms=st.sampled_from([1, 700, 1_000, 30_000, 44_999, 46_000, 61_000, 3_600_000, 86_400_000])
        | st.integers(-7_200_000, 100_000_000)
    )
    def pass_time(self, jump_ms: int) -> None:
        self.model.now_ms = max(NOON_MS - 86_400_000, self.model.now_ms + jump_ms)
        self.run(self._set_clock())

    @rule(limit=st.integers(0, 2), amount=st.integers(1, 200))
    def edit(self, limit: int, amount: int) -> None:
        self.model.limits[limit] = replace(self.model.limits[limit], amount=amount)
        self.acme = tenant(*self.model.limits)

    @invariant()
    def what_it_says_is_so(self) -> None:
        if not hasattr(self, "ledger"):
            return
        self.model.pass_time()
        for limit, said in enumerate(self.run(self.ledger.read(self.acme))):
            assert self.model.least_used(limit) <= said.used <= self.model.most_used(limit)
            assert said.held == self.model.held(limit)

    def _room(self, limit: int, used: Callable[[int], int]) -> int:
        return self.model.limits[limit].amount - used(limit) - self.model.held(limit)

    def _held_now(self, name: str) -> list[int] | None:
        """What Redis has of one hold."""
        packed = cast("bytes | None", self.run(self.redis.hget(wire.ledger_keys(self.acme.name).holds, name)))
        if packed is None:
            return None
        parts = [part.rpartition(b"=") for part in packed.split()]
        by_name = {counted_as: int(amount) for counted_as, _, amount in parts}
        return [by_name.get(wire.counted_as(limit).encode(), 0) for limit in self.model.limits]


def test_no_interleaving_exceeds_a_limit_or_forgets_what_was_spent(
    ledger_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = redis_ledger._SCRIPT
    assert script.count(OF_REDIS) == 1
    monkeypatch.setattr(
        redis_ledger, "_SCRIPT", script.replace(OF_REDIS, f"redis.call('LRANGE', '{CLOCK}', 0, 1)")
    )
    monkeypatch.setattr(Interleavings, "url", ledger_redis.url)
    run_state_machine_as_test(
        Interleavings,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
