"""Redis behind real sentinels: a primary dies under load, and its replica is found without a restart."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.dataplanes import Reply, Setup
from tests.processes import wait_for
from tests.redis_sentinels import PRIMARY, Watched, watched
from tests.redis_users import OPERATOR
from tests.with_redis.test_redis_connecting import client_of, loaded, until_more
from tollway_cli.embedded_redis import RedisRole
from tollway_dataplane.adapters.redis_client import REDIS_ERRORS
from tollway_operator.errors import StoreFault
from tollway_operator.redis_store import open_store

LIMITED = {
    "limits": [{"name": "hourly", "amount": "100000", "unit": "Requests", "window": {"rolling": "1h"}}]
}
SPENT = "tollway:1:{ledger}:spent:acme"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Watched]:
    with watched(RedisRole.LEDGER, tmp_path / "ledger") as made:
        yield made


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Watched]:
    with watched(RedisRole.CACHE, tmp_path / "cache") as made:
        yield made


def counted(ledger: Watched) -> int:
    fields = ledger.replica.command("HGETALL", SPENT)
    return sum(int(amount) for amount in fields.values()) if fields else 0


def is_leased(ledger: Watched) -> bool:
    """And the replica, which takes over, knows it."""
    return any(b"/lease." in name for name in ledger.replica.command("HKEYS", "tollway:1:{ledger}:holds"))


async def test_primaries_die_under_load_and_no_request_fails(
    start: Start, setup: Setup, cache: Watched, ledger: Watched
) -> None:
    operators = (cache.url(OPERATOR), ledger.url(OPERATOR))
    gateway = await start(
        setup.but(acme=LIMITED),
        cache_url=cache.url(), ledger_url=ledger.url(), operators=operators, near_cache_bytes=0,
        ledger_deadline_s=2.0, cache_write_deadline_s=5.0,
    )  # fmt: skip
    replies: list[Reply] = []
    async with loaded(gateway, replies):
        await until_more(replies, 20)
        await asyncio.to_thread(wait_for, lambda: is_leased(ledger), "something is set aside", 60)
        await until_more(replies, 20)
        await asyncio.gather(*(asyncio.to_thread(each.fail_over) for each in (cache, ledger)))
        await until_more(replies, 40)
        for _ in range(300):
            await until_more(replies, 20)
            if all(map(is_well, replies[-20:])):
                break
    failed = [reply.error for reply in replies if reply.status != 200]
    assert failed == []
    assert all(map(is_well, replies[-20:])), "it recovers by itself"
    assert {reply.source for reply in replies[-20:]} >= {"exact", "live"}
    live = sum(reply.source == "live" for reply in replies)
    for _ in range(100):  # what was asked of leases is told when the ledger is back
        if counted(ledger) == live:
            break
        await asyncio.sleep(0.1)
    assert counted(ledger) == live
    async with open_store(operators[0], "cache") as store:
        assert (await store.facts()).search_module is not None


def is_well(reply: Reply) -> bool:
    return reply.headers.get("x-tollway-cache-reason") not in ("CacheUnavailable", "CacheTimeout")


async def test_a_sentinel_that_is_away_is_passed_over(ledger: Watched) -> None:
    ledger.processes[0].kill()
    async with client_of(ledger.url()) as client:
        assert await client.info("replication")


async def test_a_primary_that_is_made_a_replica_is_left(ledger: Watched) -> None:
    """As of a failover on purpose, after which who is connected to the old one is not heard there any more."""
    async with client_of(ledger.url()) as client:
        await client.hset(SPENT, "a", "1")
        ledger.ask(0, "FAILOVER")
        await asyncio.to_thread(ledger.until_another)
        # Sentinels wait for eight seconds before they tell one that still says that it is the primary.
        await asyncio.to_thread(
            wait_for, lambda: ledger.primary.command("ROLE")[0] == b"slave", "the old one follows", 60
        )
        for _ in range(100):
            with suppress(*REDIS_ERRORS):
                await client.hset(SPENT, "b", "2")
                break
            await asyncio.sleep(0.1)
    assert ledger.replica.command("HGET", SPENT, "b") == b"2"


async def test_where_no_sentinel_knows_a_primary_the_operator_says_whom_it_asked(ledger: Watched) -> None:
    url = ledger.url(OPERATOR).replace(PRIMARY, "another")
    async with open_store(url, "ledger") as store:
        with pytest.raises(StoreFault, match=f"at another of the sentinels 127.0.0.1:{ledger.ports[0]}"):
            await store.facts()
