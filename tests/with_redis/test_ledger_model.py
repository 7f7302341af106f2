"""The ledger against a model of it, on a real Redis: whatever the order of what is asked, whatever is asked twice or is
not heard, and wherever the clock jumps: no limit is exceeded, nothing counts twice, and nothing that was spent is
forgotten before its window has passed, in any of the accounts in which a request counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis.asyncio import Redis

from tests.budgets import LedgerClock, Unreliable, stop_clock
from tests.tenants import shared, sharing, tenant
from tollway_api import wire
from tollway_api.snapshot import Calendar, Limit, Rolling, Tenant
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_api.windows import window_bounds
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import HOLD_LIFE_MS, RedisLedger
from tollway_dataplane.core.budgeting import Denied
from tollway_dataplane.errors import LedgerFault

_T = TypeVar("_T")

NOON_MS = int(datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp() * 1_000)  # the day before one of 25 hours
MINUTE = Limit("minute", Unit.REQUESTS, 60, Rolling(60_000))
HOUR = Limit("hour", Unit.TOKENS, 100, Rolling(3_600_000))
DAY = Limit("day", Unit.USD, 150, Calendar(CalendarPeriod.DAY, "Europe/Berlin"))
PATIENCE_S = 30.0  # where the machine does everything at once, a ledger may be late that is not away

Key = tuple[str, str]  # an account, and the name of one of its limits
Amounts = Mapping[Key, int]

TENANTS = ("acme", "beta", "gamma")
SHARED = ("team/all", "tollway/all")
LIMITS: dict[Key, Limit] = {
    (account, limit.name): limit
    for account, limits in {
        "acme": [MINUTE, HOUR, DAY],
        "beta": [HOUR],
        "team/all": [HOUR, DAY],
        "tollway/all": [MINUTE],
    }.items()
    for limit in limits
}
MOST_LIMITS = 6

WHO = st.sampled_from(TENANTS)
IDS = st.sampled_from([*(f"request-{number}" for number in range(5)), f"{wire.LEASE}pod.1"])
AMOUNTS = st.lists(st.just(0) | st.integers(0, 40), min_size=MOST_LIMITS, max_size=MOST_LIMITS)
SOME_ROOM = st.lists(st.integers(0, 20) | st.integers(0, 150), min_size=MOST_LIMITS, max_size=MOST_LIMITS)
ROOMS: st.SearchStrategy[list[int]] = st.just([]) | SOME_ROOM


@dataclass
class Spent:
    key: Key
    amount: int
    at_ms: int
    may_be_forgotten: bool = False  # the clock has shown a time by which its window had passed


@dataclass
class Model:
    """What the ledger promises, counted in the plainest way."""

    limits: dict[Key, Limit] = field(default_factory=lambda: dict(LIMITS))
    sharing: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict.fromkeys(TENANTS, SHARED))
    now_ms: int = NOON_MS
    spent: list[Spent] = field(default_factory=list)
    holds: dict[str, tuple[Amounts, int]] = field(default_factory=dict)  # and when it comes back
    finished: set[str] = field(default_factory=set)

    def of(self, account: str) -> list[Limit]:
        return [limit for key, limit in self.limits.items() if key[0] == account]

    def tenant(self, name: str) -> Tenant:
        budgets = [shared(each, *self.of(each)) for each in self.sharing[name]]
        return sharing(tenant(*self.of(name), name=name), *budgets)

    def keys(self, name: str) -> list[Key]:
        """In the order of the tenant's limits."""
        return [key for account in (name, *self.sharing[name]) for key in self.limits if key[0] == account]

    def pass_time(self) -> None:
        for each in self.spent:
            bounds = window_bounds(self.limits[each.key], datetime.fromtimestamp(each.at_ms / 1_000, UTC))
            ends_ms = bounds.end_ms or each.at_ms + bounds.length_ms
            each.may_be_forgotten |= ends_ms <= self.now_ms
        self.holds = {name: hold for name, hold in self.holds.items() if hold[1] > self.now_ms}

    def held(self, key: Key) -> int:
        return sum(amounts.get(key, 0) for amounts, _ in self.holds.values())

    def leased(self, key: Key) -> int:
        leases = (amounts for name, (amounts, _) in self.holds.items() if f"/{wire.LEASE}" in name)
        return sum(amounts.get(key, 0) for amounts in leases)

    def least_used(self, key: Key) -> int:
        """What is surely within the window."""
        return sum(
            each.amount for each in self._of(key) if not each.may_be_forgotten and self._counts(each, 0)
        )

    def most_used(self, key: Key) -> int:
        """With what may still be counted, since a window rolls by buckets."""
        return sum(each.amount for each in self._of(key) if self._counts(each, 1))

    def _of(self, key: Key) -> list[Spent]:
        return [each for each in self.spent if each.key == key]

    def _counts(self, each: Spent, buckets: int) -> bool:
        bounds = window_bounds(self.limits[each.key], datetime.fromtimestamp(self.now_ms / 1_000, UTC))
        if bounds.end_ms:
            return bounds.start_ms <= each.at_ms < bounds.end_ms
        return each.at_ms > self.now_ms - bounds.length_ms - buckets * bounds.bucket_ms


class Interleavings(RuleBasedStateMachine):
    url = ""  # of the Redis

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.model = Model()
        self.unsure: list[Callable[[], None]] = []  # what the model does once pending calls are made again
        self.run(self._connect())

    async def _connect(self) -> None:
        self.redis: Redis = connect(self.url, PATIENCE_S)
        await self.redis.flushall()
        self.ledger = RedisLedger(self.redis, PATIENCE_S)
        self.script = Unreliable(self.ledger._script)
        self.ledger._script = self.script  # type: ignore[assignment]  # of the same shape
        await self._set_clock()

    async def _set_clock(self) -> None:
        await LedgerClock(self.redis).set(self.model.now_ms)

    def run(self, work: Awaitable[_T]) -> _T:
        async def awaited() -> _T:
            return await work

        return self.runner.run(awaited())

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.redis.aclose())
            self.runner.close()

    @rule(
        who=WHO,
        name=IDS,
        amounts=AMOUNTS,
        how=st.sampled_from(["hold", "extend", "resize"]),
        room=ROOMS,
        loses=st.sampled_from(["", "", "", "call", "reply"]),
    )
    def reserve(self, who: str, name: str, amounts: list[int], how: str, room: list[int], loses: str) -> None:
        """An extension asks for no room."""
        model, keys, held_as = self.model, self.model.keys(who), f"{who}/{name}"
        asked = dict(zip(keys, amounts, strict=False))
        rooms = dict(zip(keys, (how != "extend" and room) or [0] * MOST_LIMITS, strict=False))
        standing = model.holds.get(held_as, ({}, 0))[0]
        gives_back = how == "resize"
        wanted = {
            **standing,
            **{key: max(not gives_back and standing.get(key, 0), asked[key]) for key in keys},
        }
        more = {key: max(0, wanted[key] - standing.get(key, 0)) for key in keys}
        # Where it is resized with room to spare, that must be there also for no more than it has.
        checked = {key: more[key] or (gives_back and rooms[key]) for key in keys}
        needed = {key: checked[key] and max(more[key], rooms[key]) for key in keys}
        fits_surely = all(self._room(key, model.most_used) >= needed[key] for key in keys)
        fits = all(not needed[key] or self._room(key, model.least_used) >= needed[key] for key in keys)
        self.script.loses = loses
        whose = model.tenant(who)
        words = whose, name, list(asked.values()), list(rooms.values()) if room else []
        match how:
            case "hold":
                asking = self.ledger.hold(*words)
            case "resize":
                asking = self.ledger.resize(*words)
            case _:
                asking = self.ledger.extend(*words[:3])
        try:
            denied: Denied | None = self.run(asking)
        except LedgerFault:
            taken = self._held_now(held_as)
            if taken is not None and held_as not in model.finished:
                assert taken in (_some(standing), _some(wanted)), "nothing in between"
                # A call that was lost, or one that was denied, leaves it as it was, also when it comes back.
                if loses == "reply" and taken == _some(wanted):
                    model.holds[held_as] = (wanted, model.now_ms + HOLD_LIFE_MS)
            if how == "hold":
                self.unsure.append(lambda: self._finish(held_as, {}))
            return
        if held_as in model.finished:
            assert denied is None, "it is answered as it was, and holds nothing"
        elif denied is None:
            assert fits, "it would not fit whatever is forgotten"
            model.holds[held_as] = (wanted, model.now_ms + HOLD_LIFE_MS)
        else:
            assert not fits_surely, f"there was room: {denied}"

    @rule(who=WHO, name=IDS, amounts=AMOUNTS, loses=st.sampled_from(["", "", "call", "reply"]))
    def settle(self, who: str, name: str, amounts: list[int], loses: str) -> None:
        used = dict(zip(self.model.keys(who), amounts, strict=False))
        asking = self.ledger.settle(self.model.tenant(who), name, list(used.values()))
        self._ask_to_finish(asking, f"{who}/{name}", used, loses)

    @rule(who=WHO, name=IDS, loses=st.sampled_from(["", "", "call", "reply"]))
    def release(self, who: str, name: str, loses: str) -> None:
        asking = self.ledger.release(self.model.tenant(who), name)
        self._ask_to_finish(asking, f"{who}/{name}", {}, loses)

    def _ask_to_finish(self, asking: Awaitable[None], held_as: str, used: Amounts, loses: str) -> None:
        self.script.loses = loses
        if loses == "call":
            with pytest.raises(LedgerFault):
                self.run(asking)
            self.unsure.append(lambda: self._finish(held_as, used))
            return
        try:
            self.run(asking)
        except LedgerFault:
            assert loses == "reply"
        self._finish(held_as, used)

    def _finish(self, held_as: str, used: Amounts) -> None:
        """In every account in which it was held or is spent, and once."""
        if held_as in self.model.finished:
            return
        self.model.holds.pop(held_as, None)
        self.model.finished.add(held_as)
        self.model.spent += [Spent(key, amount, self.model.now_ms) for key, amount in used.items()]

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

    @rule(key=st.sampled_from(list(LIMITS)), amount=st.integers(1, 200))
    def edit(self, key: Key, amount: int) -> None:
        self.model.limits[key] = replace(self.model.limits[key], amount=amount)

    @rule(who=WHO, shared=st.lists(st.sampled_from(SHARED), unique=True))
    def join_and_leave(self, who: str, shared: list[str]) -> None:
        """Also while its requests are under way. One without limits of its own always shares some."""
        if shared or self.model.of(who):
            self.model.sharing[who] = tuple(shared)

    @invariant()
    def what_it_says_is_so(self) -> None:
        """To whoever asks: here somebody who shares all budgets, and has no holds."""
        if not hasattr(self, "ledger"):
            return
        model = self.model
        model.pass_time()
        budgets = [shared(each, *model.of(each)) for each in SHARED]
        somebody = [
            sharing(tenant(name="delta"), *budgets),
            *(tenant(*model.of(each), name=each) for each in TENANTS[:2]),
        ]
        said = [taken for each in somebody for taken in self.run(self.ledger.read(each))]
        keys = [key for each in (*SHARED, *TENANTS) for key in model.limits if key[0] == each]
        for key, taken in zip(keys, said, strict=True):
            assert model.least_used(key) <= taken.used <= model.most_used(key), key
            assert taken.held == model.held(key), key
        self._what_is_leased_is_known()

    def _what_is_leased_is_known(self) -> None:
        found = cast("dict[bytes, bytes]", self.run(self.redis.hgetall(wire.ledger_keys("").holds)))
        leased = {name[1:].decode(): int(sum_) for name, sum_ in found.items() if name.startswith(b"~")}
        expected = {wire.full_name(key[0], limit): self.model.leased(key) for key, limit in LIMITS.items()}
        assert leased == {name: amount for name, amount in expected.items() if amount}

    def _room(self, key: Key, used: Callable[[Key], int]) -> int:
        return self.model.limits[key].amount - used(key) - self.model.held(key)

    def _held_now(self, held_as: str) -> Amounts | None:
        """What Redis has of one hold."""
        packed = cast("bytes | None", self.run(self.redis.hget(wire.ledger_keys("").holds, held_as)))
        if packed is None:
            return None
        by_name = {
            name.decode(): int(amount)
            for name, _, amount in (each.rpartition(b"=") for each in packed.split())
        }
        names = {wire.sum_of(key[0], limit)[1:]: key for key, limit in self.model.limits.items()}
        return {names[name]: amount for name, amount in by_name.items()}


def _some(amounts: Amounts) -> Amounts:
    """Without what is nothing."""
    return {key: amount for key, amount in amounts.items() if amount}


def test_no_interleaving_exceeds_a_limit_or_forgets_what_was_spent(
    ledger_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_clock(monkeypatch)
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
