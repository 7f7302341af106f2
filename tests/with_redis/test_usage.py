"""What the operator reads of what data planes have counted, on a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import fields

import pytest
from redis.asyncio import Redis

from tests.dataplanes import ACME_KEY, BETA_KEY, Setup, compiled, manifest, until
from tollway_api import wire
from tollway_api.meta import TenantName
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.background import running
from tollway_dataplane.core.matching import Directory
from tollway_operator.polling import Poller
from tollway_operator.redis_store import open_store
from tollway_operator.settings import Settings
from tollway_operator.usage import Usages, usage_poller

ACME, BETA = TenantName("acme"), TenantName("beta")
LIMITS = {"limits": [{"name": "main", "unit": "Requests", "amount": "10", "window": {"rolling": "1h"}}]}
TEAM = manifest("TenantBudget", "team", {"scope": "Namespace", **LIMITS})
SNAPSHOT = compiled(Setup("http://a/v1", "http://b/v1", acme=LIMITS, beta=LIMITS, others=(TEAM,)).objects())
SHARED = "default/team"


@pytest.fixture
async def reader(ledger_redis: EmbeddedRedis) -> AsyncIterator[Poller[Usages]]:
    async with open_store(ledger_redis.url, "ledger") as store:
        reader = usage_poller(store, 0.02, lambda: None)
        async with running(reader.run(lambda: SNAPSHOT)):
            yield reader


def shown(reader: Poller[Usages], account: str) -> list[tuple[int, int]]:
    """Used and held of each limit."""
    return [(each.used, each.held) for each in reader.found.get(account, ())]


async def test_what_tenants_use_of_a_shared_budget_is_read_as_its_own(
    reader: Poller[Usages], redis: Redis
) -> None:
    ledger, directory = RedisLedger(redis, 2.0), Directory(SNAPSHOT, "")
    acme, beta = (directory.authenticate(wire.key_digest(key), 0.0).tenant for key in (ACME_KEY, BETA_KEY))
    await ledger.settle(acme, "a", [1, 3])
    await ledger.hold(beta, "b", [1, 2])
    await until(lambda: shown(reader, SHARED) == [(3, 2)])
    assert (shown(reader, ACME), shown(reader, BETA)) == ([(1, 0)], [(0, 1)])


async def test_what_a_data_plane_counts_is_what_is_read(reader: Poller[Usages], redis: Redis) -> None:
    ledger = RedisLedger(redis, 2.0)
    await ledger.settle(SNAPSHOT.tenants[ACME], "a", [3])
    await ledger.hold(SNAPSHOT.tenants[ACME], "b", [2])
    await until(lambda: shown(reader, ACME) == [(3, 2)])
    assert shown(reader, BETA) == [(0, 0)]


async def test_a_limit_of_which_less_is_left_than_somebody_needs_is_said_to_refuse(
    reader: Poller[Usages], redis: Redis
) -> None:
    ledger, (acme, beta) = RedisLedger(redis, 2.0), (SNAPSHOT.tenants[each] for each in (ACME, BETA))

    def refusing() -> list[str]:
        return [name for name, usages in reader.found.items() if usages[0].refused]

    await ledger.settle(acme, "a", [8])
    await ledger.hold(acme, "b", [1])
    assert await ledger.hold(acme, "with room to spare", [3], [24]) is not None
    assert await ledger.hold(acme, "what is only held", [2]) is not None
    assert await ledger.hold(acme, "lease.x", [3]) is not None
    await until(lambda: shown(reader, ACME) == [(8, 1)])
    assert refusing() == []
    assert await ledger.hold(acme, "more than is left", [3]) is not None
    await until(lambda: refusing() == [ACME])
    assert await ledger.hold(beta, "a", [11]) is not None
    await until(lambda: sorted(refusing()) == [ACME, BETA])
    keys = wire.ledger_keys(ACME)
    (sec, _), full_name = await redis.time(), wire.full_name(ACME, acme.limits[0])
    await redis.zadd(keys.refused, {full_name: (sec - 601) * 1_000})
    await until(lambda: refusing() == [BETA])
    await redis.zadd(keys.refused, {full_name: (sec - 540) * 1_000})
    await until(lambda: sorted(refusing()) == [ACME, BETA])
    assert await redis.pttl(keys.refused) > 540_000, "the ledger knows it for as long"


async def test_a_hold_that_the_ledger_would_give_back_is_not_shown(
    reader: Poller[Usages], redis: Redis
) -> None:
    ledger, acme = RedisLedger(redis, 2.0), SNAPSHOT.tenants[ACME]
    await ledger.hold(acme, "stands", [2])
    await ledger.hold(acme, "dead", [5])
    await until(lambda: shown(reader, ACME) == [(0, 7)])
    keys = wire.ledger_keys(ACME)
    await redis.zadd(keys.expiry, {wire.held_as(ACME, "dead"): 1})
    await until(lambda: shown(reader, ACME) == [(0, 2)])
    assert await redis.hexists(keys.holds, wire.held_as(ACME, "dead")), "the next request removes it"
    await ledger.hold(acme, "next", [1])
    await until(lambda: shown(reader, ACME) == [(0, 3)])


@pytest.mark.parametrize(("bucket", "amount"), [("soon", "5"), ("now", "-5"), ("now", "9" * 19)])
async def test_an_account_that_somebody_has_damaged_is_not_known_and_all_others_are(
    reader: Poller[Usages], redis: Redis, bucket: str, amount: str
) -> None:
    await until(lambda: reader.found.keys() == {ACME, BETA, SHARED})
    spent = wire.ledger_keys(ACME).spent
    field = f"{wire.counted_as(SNAPSHOT.tenants[ACME].limits[0])}|"
    await redis.hset(spent, field + bucket.replace("now", str(int(time.time() * 1_000))), amount)
    await until(lambda: reader.found.keys() == {BETA, SHARED})
    await redis.delete(spent)
    await until(lambda: reader.found.keys() == {ACME, BETA, SHARED})


async def test_as_shipped_it_is_read_again_after_seconds_and_not_with_every_request(
    ledger_redis: EmbeddedRedis, redis: Redis
) -> None:
    (every_s,) = [each.default for each in fields(Settings) if each.name == "usage_refresh_s"]
    assert isinstance(every_s, float)
    assert 2.0 <= every_s <= 10.0
    ledger, news = RedisLedger(redis, 2.0), 0

    def hear() -> None:
        nonlocal news
        news += 1

    async with open_store(ledger_redis.url, "ledger") as store:
        reader = usage_poller(store, every_s, hear)
        async with running(reader.run(lambda: SNAPSHOT)):
            await until(lambda: reader.has_read)
            for number in range(10):
                await ledger.settle(SNAPSHOT.tenants[ACME], f"{number}", [1])
                await asyncio.sleep(0.04)
            assert shown(reader, ACME) == [(0, 0)]
    assert news == 1
