"""Redis behind TLS, and with passwords and certificates that are rotated while requests are under way."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.certificates import Authority
from tests.conftest import Start
from tests.dataplanes import Reply, Running, Setup, until
from tests.proxies import proxy
from tests.redis_users import DATAPLANE, OPERATOR, PASSWORD, Guarded, guarded
from tollway_api.redis_url import check_redis_url
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_dataplane.adapters.redis_client import REDIS_ERRORS, connect
from tollway_operator.errors import StoreFault
from tollway_operator.redis_store import open_store

QUESTION = "How do I reset my password?"
LIMITED = {
    "limits": [{"name": "hourly", "amount": "100000", "unit": "Requests", "window": {"rolling": "1h"}}],
    "onLedgerUnavailable": "Deny",  # so that whatever goes wrong there is a request that fails
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("certificates") / "one")


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Redis]:
    client = connect(url, 5.0)
    try:
        yield client
    finally:
        await client.aclose()


async def test_an_authority_of_its_own_vouches_for_the_server(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, authority: Authority
) -> None:
    trusted = f"/0?ssl_ca_certs={authority.certificate('ca')}"
    with (
        proxy(cache_redis.url, authority.server()) as cache,
        proxy(ledger_redis.url, authority.server()) as ledger,
    ):
        urls = [f"rediss://127.0.0.1:{each.port}{trusted}" for each in (cache, ledger)]
        gateway = await start(
            setup.but(acme=LIMITED), cache_url=urls[0], ledger_url=urls[1], near_cache_bytes=0
        )
        await until(lambda: gateway.dataplane.forgetting.is_trusted)
        assert (await gateway.ask(QUESTION)).source == "live"
        await gateway.stored()
        assert (await gateway.ask(QUESTION)).source == "exact"
        for stranger in (f"rediss://127.0.0.1:{cache.port}/0", f"redis://127.0.0.1:{cache.port}/0"):
            async with client_of(stranger) as client:
                with pytest.raises(REDIS_ERRORS):
                    await client.get("a")
            async with open_store(stranger, "cache") as store:
                with pytest.raises(StoreFault, match=f"the cache Redis at 127.0.0.1:{cache.port}"):
                    await store.facts()


async def test_a_client_shows_its_certificate_and_both_are_renewed_without_a_restart(
    tmp_path: Path, ledger_redis: EmbeddedRedis, authority: Authority
) -> None:
    other, mounted = Authority.new(tmp_path / "other"), tmp_path / "mounted"
    shutil.copytree(authority.folder, mounted)
    shown = f"ssl_certfile={mounted}/client.crt&ssl_keyfile={mounted}/client.key"
    query = f"/0?ssl_ca_certs={mounted}/ca.crt"
    with proxy(ledger_redis.url, authority.server(asks_clients=True)) as front:
        async with client_of(f"rediss://127.0.0.1:{front.port}{query}") as client:
            with pytest.raises(REDIS_ERRORS):
                await client.get("a")
        async with client_of(f"rediss://127.0.0.1:{front.port}{query}&{shown}") as client:
            await client.set("a", "b")
            front.cut()
            front._tls = other.server(asks_clients=True)
            with proxy(ledger_redis.url, front._tls) as renewed:
                client.connection_pool.connection_kwargs["port"] = renewed.port
                await client.connection_pool.disconnect()
                client.connection_pool.reset()  # type: ignore[no-untyped-call]  # the library does not type it
                with pytest.raises(REDIS_ERRORS):
                    await client.get("a")
                shutil.copytree(other.folder, mounted, dirs_exist_ok=True)
                assert await client.get("a") == b"b"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Guarded, Guarded]]:
    with (
        guarded(RedisRole.CACHE, tmp_path / "cache") as cache,
        guarded(RedisRole.LEDGER, tmp_path / "ledger") as ledger,
    ):
        yield cache, ledger


class Secrets:
    """As a pod has them mounted: a file for each role."""

    def __init__(self, folder: Path, user: str, pair: tuple[Guarded, Guarded]) -> None:
        self._folder, self._user, self._pair = folder / user, user, pair
        self._folder.mkdir()
        self.write(PASSWORD)

    @property
    def urls(self) -> tuple[str, str]:
        return f"file://{self._folder}/cache", f"file://{self._folder}/ledger"

    def write(self, password: str) -> None:
        for name, server in zip(("cache", "ledger"), self._pair, strict=True):
            new = self._folder / f".{name}"
            new.write_text(server.url(self._user, password) + "\n")
            new.rename(self._folder / name)


async def ask_on(gateway: Running, replies: list[Reply], over: asyncio.Event) -> None:
    number = 0
    while not over.is_set():
        number += 1
        # Every other is an answer that is remembered, and every other is written.
        replies.append(await gateway.ask(QUESTION if number % 2 else f"What is the number {number} for?"))


@asynccontextmanager
async def loaded(gateway: Running, replies: list[Reply]) -> AsyncIterator[None]:
    """What has been asked when it is left has been answered: who leaves in between is charged all the same."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as asking:
        for _ in range(4):
            asking.create_task(ask_on(gateway, replies, over))
        try:
            yield
        finally:
            over.set()


async def until_more(replies: list[Reply], count: int) -> None:
    wanted = len(replies) + count
    for _ in range(1_000):
        if len(replies) >= wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"fewer than {count} more replies")


async def test_passwords_are_rotated_under_load_and_no_request_is_lost(
    start: Start, setup: Setup, pair: tuple[Guarded, Guarded], tmp_path: Path
) -> None:
    secrets, operators = (Secrets(tmp_path, user, pair) for user in (DATAPLANE, OPERATOR))
    gateway = await start(
        setup.but(acme=LIMITED),
        cache_url=secrets.urls[0], ledger_url=secrets.urls[1], operators=operators.urls, near_cache_bytes=0,
        cache_read_deadline_s=5.0,
        cache_write_deadline_s=5.0, ledger_deadline_s=5.0,
    )  # fmt: skip
    await until(lambda: gateway.dataplane.forgetting.is_trusted)
    replies: list[Reply] = []
    async with open_store(operators.urls[0], "cache") as store, loaded(gateway, replies):
        await until_more(replies, 20)
        for server in pair:
            for user in (DATAPLANE, OPERATOR):
                server.command("ACL", "SETUSER", user, ">another")
        for each in (secrets, operators):
            each.write("another")
        for server in pair:
            for user in (DATAPLANE, OPERATOR):
                server.command("ACL", "SETUSER", user, f"<{PASSWORD}")
        await until_more(replies, 20)
        await store.facts()
    assert Counter(reply.status for reply in replies) == {200: len(replies)}
    reasons = Counter(reply.headers.get("x-tollway-cache-reason") for reply in replies)
    assert not {"CacheUnavailable", "CacheTimeout"} & reasons.keys(), reasons
    assert "refuses" not in str(gateway.log_lines())
    # New connections are let in as those that there were have been left in.
    for server in pair:
        server.command("CLIENT", "KILL", "USER", DATAPLANE)
    assert (await gateway.ask(QUESTION)).source == "exact"
    for server in pair:
        assert server.refused() == []


async def test_a_password_that_is_changed_at_once_keeps_connections_and_is_known_as_soon_as_it_is_there(
    pair: tuple[Guarded, Guarded], tmp_path: Path
) -> None:
    _, ledger = pair
    secrets = Secrets(tmp_path, DATAPLANE, pair)
    said: list[str] = []
    client = connect(secrets.urls[1], 5.0, refused=said.append)
    try:
        assert await client.info("replication")
        ledger.command("ACL", "SETUSER", DATAPLANE, "resetpass", ">another")
        assert await client.info("replication"), "who is in stays in"
        await client.connection_pool.disconnect()
        with pytest.raises(REDIS_ERRORS):
            await client.info("replication")
        assert "invalid username-password pair" in said[0]
        secrets.write("another")
        assert await client.info("replication")
    finally:
        await client.aclose()


async def test_a_file_that_is_gone_or_broken_later_leaves_what_was_known(
    pair: tuple[Guarded, Guarded], tmp_path: Path
) -> None:
    secrets = Secrets(tmp_path, DATAPLANE, pair)
    async with client_of(secrets.urls[0]) as client:
        await client.info("memory")
        (tmp_path / DATAPLANE / "cache").write_text("no URL")
        await client.connection_pool.disconnect()
        assert await client.info("memory")
    with pytest.raises(ValueError, match="not the URL of a Redis"):
        check_redis_url(secrets.urls[0])
