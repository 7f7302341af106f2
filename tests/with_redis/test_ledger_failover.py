"""A replica takes over the ledger that lacks the last writes: what is lost meanwhile is no more than those, and pods
that live tell it of them, once.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.dataplanes import until
from tests.proxies import Proxy, proxy
from tests.tenants import tenant
from tollway_api.snapshot import Limit, Rolling
from tollway_api.tenant_budget import LedgerUnavailable, Unit
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_dataplane.adapters import redis_ledger
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.background import running
from tollway_dataplane.errors import LedgerFault
from tollway_dataplane.spending.leases import Leases

LIMIT = 1_000
ACME = replace(
    tenant(Limit("one", Unit.TOKENS, LIMIT, Rolling(3_600_000))),
    on_ledger_unavailable=LedgerUnavailable.LEASE,
)


@dataclass(frozen=True)
class Pair:
    """A primary and its replica, and where pods find whichever is the primary."""

    primary: EmbeddedRedis
    replica: EmbeddedRedis
    between: Proxy
    service: Proxy

    async def caught_up(self) -> None:
        async with Redis.from_url(self.primary.url) as redis:
            for _ in range(30):
                if await redis.wait(1, 1_000) == 1:
                    return
        raise AssertionError("the replica does not follow")

    async def fail_over(self) -> None:
        self.primary.kill()
        async with Redis.from_url(self.replica.url) as redis:
            await redis.replicaof("NO", "ONE")
        self.service.point_at(self.replica.url)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    at_once = ["--repl-diskless-sync-delay", "0"]
    with (
        EmbeddedRedis(RedisRole.LEDGER, tmp_path / "primary", more=at_once) as primary,
        proxy(primary.url) as between,
        proxy(primary.url) as service,
    ):
        follows = ["--replicaof", "127.0.0.1", str(between.port)]
        with EmbeddedRedis(RedisRole.LEDGER, tmp_path / "replica", more=follows) as replica:
            yield Pair(primary, replica, between, service)


@pytest.fixture
async def ledgers(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[RedisLedger]]:
    """Of two pods."""
    monkeypatch.setattr(redis_ledger, "ASK_AGAIN_EVERY_S", 0.05)
    clients = [connect(pair.service.url, 2.0) for _ in range(2)]
    yield [RedisLedger(client, 2.0) for client in clients]
    for client in clients:
        await client.aclose()


async def taken(ledger: RedisLedger) -> tuple[int, int]:
    for _ in range(100):
        with suppress(LedgerFault):  # the first call finds that its connection is gone
            ((used, held),) = await ledger.read(ACME)
            return used, held
    raise AssertionError("the ledger does not answer")


async def until_taken(ledger: RedisLedger, used: int, held: int) -> None:
    for _ in range(200):
        if await taken(ledger) == (used, held):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{await taken(ledger)} is not {used}, {held}")


async def test_what_a_replica_lacks_it_is_told_again_and_counts_once(
    pair: Pair, ledgers: list[RedisLedger]
) -> None:
    one, other = ledgers
    leases = Leases(one, "one", asyncio.get_running_loop().time)
    await one.settle(ACME, "a", [300])
    await pair.caught_up()
    async with running(one.keep_holds()):
        await asyncio.sleep(0.3)  # so that it knows whom it told
        pair.between.cut()
        await one.settle(ACME, "b", [200])
        await one.hold(ACME, "c", [100])
        leases.asked_by(ACME)
        await leases.look()
        assert await taken(other) == (500, 110)
        await pair.fail_over()
        await until_taken(other, 500, 110)
        for _ in range(2):
            await one.settle(ACME, "c", [90])
            await one.settle(ACME, "b", [200])
        await leases.aclose()
        assert await taken(other) == (590, 0)


async def test_what_was_counted_late_is_told_again_as_well(pair: Pair, ledgers: list[RedisLedger]) -> None:
    one, other = ledgers
    await one.hold(ACME, "a", [200])
    async with running(one.keep_holds()):
        await asyncio.sleep(0.3)
        pair.primary.pause()
        with pytest.raises(LedgerFault):
            await one.settle(ACME, "a", [200])
        pair.between.cut()
        pair.primary.resume()
        await until_taken(other, 200, 0)
        await until(lambda: not one.owed())
        await pair.fail_over()
        await until_taken(other, 200, 0)


async def test_much_that_may_be_lost_is_told_again_in_few_round_trips(
    pair: Pair, ledgers: list[RedisLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = ledgers
    async with running(one.keep_holds()):
        await asyncio.sleep(0.3)
        await asyncio.gather(*(one.settle(ACME, f"r{number}", [1]) for number in range(350)))
        for number in range(250):
            await one.hold(ACME, f"h{number}", [1])
        round_trips, exchange = list[int](), one._script._exchange

        async def counted(commands: Sequence[bytes]) -> Sequence[object]:
            round_trips.append(len(commands))
            return await exchange(commands)

        monkeypatch.setattr(one._script, "_exchange", counted)
        async with Redis.from_url(pair.primary.url) as redis:
            await redis.flushall()
        pair.primary.kill()
        pair.primary.start()
        await until_taken(other, 350, 250)
    assert len(round_trips) < 20


async def test_no_more_is_overspent_than_was_taken_while_the_replica_lagged(
    pair: Pair, ledgers: list[RedisLedger]
) -> None:
    one, other = ledgers
    await one.settle(ACME, "a", [700])
    await pair.caught_up()
    async with running(one.keep_holds()):
        await asyncio.sleep(0.3)
    pair.between.cut()
    await one.settle(ACME, "b", [200])
    await one.hold(ACME, "c", [100])
    lag = 300
    assert await other.hold(ACME, "d", [1]) is not None, "it is all taken"
    await pair.fail_over()
    await taken(other)
    for number in range(lag + 50):  # before the first pod has noticed anything
        denied = await other.hold(ACME, f"e{number}", [1])
        if denied is None:
            await other.settle(ACME, f"e{number}", [1])
    async with running(one.keep_holds()):
        # What was settled is counted all the same, and what was held has no room any more.
        await until_taken(other, LIMIT + 200, 0)
        assert await other.hold(ACME, "f", [1]) is not None
        await one.settle(ACME, "c", [90])
        assert await taken(other) == (LIMIT + 290, 0), "no more than was taken in the lag"


async def test_what_a_pod_settled_that_died_as_well_is_lost_and_nothing_else(
    pair: Pair, ledgers: list[RedisLedger]
) -> None:
    died, lives = ledgers
    await died.settle(ACME, "a", [300])
    await pair.caught_up()
    async with running(lives.keep_holds()):
        await asyncio.sleep(0.3)
        pair.between.cut()
        await died.settle(ACME, "b", [200])
        await lives.settle(ACME, "c", [50])
        await pair.fail_over()
        await until_taken(lives, 350, 0)


async def test_a_primary_that_nobody_follows_may_be_told_to_count_no_more(
    pair: Pair, ledgers: list[RedisLedger]
) -> None:
    one, other = ledgers
    async with Redis.from_url(pair.primary.url) as redis:
        await redis.config_set("min-replicas-max-lag", 1)
        await redis.config_set("min-replicas-to-write", 1)
    await pair.caught_up()
    assert await one.hold(ACME, "a", [100]) is None
    pair.between.cut()
    for _ in range(100):
        try:
            await one.settle(ACME, "a", [60])
        except LedgerFault:
            break
        await asyncio.sleep(0.1)
    with pytest.raises(LedgerFault):
        await one.hold(ACME, "b", [1])
    await pair.fail_over()
    await taken(one)
    await one.finish_pending()
    assert (await taken(other))[0] == 60


async def test_a_server_that_started_again_is_told_of_what_it_may_have_lost(
    pair: Pair, ledgers: list[RedisLedger]
) -> None:
    one, other = ledgers
    async with running(one.keep_holds()):
        await asyncio.sleep(0.3)
        await one.settle(ACME, "a", [300])
        async with Redis.from_url(pair.primary.url) as redis:
            await redis.flushall()  # as if it had never been written down
        pair.primary.kill()
        pair.primary.start()
        await until_taken(other, 300, 0)
