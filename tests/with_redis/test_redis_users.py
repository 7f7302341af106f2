"""The two planes with users who may do nothing but what they need, on real servers."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Start
from tests.dataplanes import Running, Setup, SharedEmbedder, compiled, until
from tests.redis_users import DATAPLANE, FILES, OPERATOR, Guarded, allowed, guarded
from tests.tenants import limit, tenant
from tests.views import view_of
from tollway_api import wire
from tollway_api.epochs import Epochs, Scope
from tollway_api.error_control import Label
from tollway_api.reembedding import Progress
from tollway_api.routing_policy import ModelState
from tollway_api.tenant_budget import LedgerUnavailable
from tollway_cli.embedded_redis import RedisRole
from tollway_dataplane.adapters import redis_claims
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_forgetter import RedisForgetter
from tollway_dataplane.adapters.redis_health import RedisHealth
from tollway_dataplane.adapters.redis_labels import RedisLabels
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.adapters.redis_reembedding import RedisReembedding
from tollway_dataplane.background import running
from tollway_dataplane.core.breaker import Verdict
from tollway_dataplane.ports import FoundBy, Place, Remembered, Served
from tollway_operator.errors import StoreFault
from tollway_operator.provision import provision
from tollway_operator.redis_store import open_store

PASSWORD, PARAPHRASE = "How do I reset my password?", "How can I reset my password?"
BOUNDED = {"accuracy": {"maxErrorRate": "1%", "window": "24h"}}
WORDLLAMA = {**BOUNDED, "embedding": {"model": "wordllama", "dimensions": 256}}
SETUP = Setup("http://a/v1", "http://b/v1", index=BOUNDED)
(INDEX,) = compiled(SETUP.objects()).indexes.values()
(NEW,) = compiled(SETUP.but(index=WORDLLAMA).objects()).indexes.values()
SAMPLE = wire.hits_of(INDEX)
PLACE = Place(INDEX, wire.index_tag(INDEX.id) + "0" * 24, "e" * 32)
# Of clusters, and of databases with another number.
ELSEWHERE = {"cluster|nodes", "cluster|slots", "asking", "readonly", "ft._list", "select"}
SCRIPTS = Path(redis_claims.__file__).parent


@dataclass(frozen=True)
class Pair:
    cache: Guarded
    ledger: Guarded

    def urls(self, user: str) -> tuple[str, str]:
        return self.cache.url(user), self.ledger.url(user)

    def refused(self) -> list[str]:
        return self.cache.refused() + self.ledger.refused()

    def begin_anew(self) -> None:
        for each in (self.cache, self.ledger):
            each.command("CONFIG", "RESETSTAT")
            each.command("ACL", "LOG", "RESET")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("guarded")
    with (
        guarded(RedisRole.CACHE, folder / "cache") as cache,
        guarded(RedisRole.LEDGER, folder / "ledger") as ledger,
    ):
        yield Pair(cache, ledger)


@pytest.fixture
def pair(servers: Pair) -> Pair:
    for each in (servers.cache, servers.ledger):
        each.command("FLUSHALL")
    servers.begin_anew()
    return servers


async def test_a_data_plane_needs_what_its_users_may_and_no_more(
    pair: Pair, start: Start, setup: Setup, embedder: SharedEmbedder
) -> None:
    operators = pair.urls(OPERATOR)
    await provision(compiled(setup.but(index=BOUNDED).objects()), *operators)
    pair.begin_anew()
    cache_url, ledger_url = pair.urls(DATAPLANE)
    acme = {"limits": [{"name": "hourly", "amount": "100", "unit": "Requests", "window": {"rolling": "1h"}}]}
    gateway = await start(
        setup.but(index=BOUNDED, acme=acme),
        cache_url=cache_url,
        ledger_url=ledger_url,
        operators=operators,
        cache_write_deadline_s=5.0,
    )
    await until(lambda: gateway.dataplane.forgetting.is_trusted)
    assert (await gateway.ask(PASSWORD)).source == "live"
    await gateway.stored()
    assert [(await gateway.ask(each)).status for each in (PASSWORD, PARAPHRASE)] == [200, 200]
    await use_cache(cache_url, embedder)
    await use_ledger(ledger_url)
    await until(lambda: "eval" in pair.cache.given())
    assert pair.refused() == []
    assert refusals(gateway) == []
    for role, server in ((RedisRole.CACHE, pair.cache), (RedisRole.LEDGER, pair.ledger)):
        assert set(allowed(role, DATAPLANE)) - server.given() - ELSEWHERE == set(), "they are not needed"


def refusals(gateway: Running) -> list[dict[str, object]]:
    return [line for line in gateway.log_lines() if line["event"] == "Redis refuses what Tollway needs"]


async def use_cache(url: str, embedder: SharedEmbedder) -> None:
    """What a data plane does now and then."""
    redis = connect(url, 5.0)
    cache, labels, forgetter = (
        RedisAnswerCache(redis, 5.0, 384),
        RedisLabels(redis, 5.0),
        RedisForgetter(redis, 5.0),
    )
    filling = RedisReembedding(redis)
    view = view_of(PASSWORD, embedder)
    await cache.put(PLACE, FoundBy(view, [(INDEX.version, view.vector)]), Remembered(b"{}", "cheap", 0, 0.0))
    wanted = replace(PLACE, entry="2" * 32)
    assert await cache.claim(wanted, 5.0) == (True, None)
    async with running(cache.claims.keep()):
        await asyncio.sleep(1.1)
    cache.claims.release(wanted)
    await cache.claims.drain()
    assert SAMPLE is not None
    await labels.count(SAMPLE, 0, Label.RIGHT)
    await labels.tallies(SAMPLE)
    await labels.note(INDEX, "r", Served("acme", "0" * 32, "e" * 32, 0.97))
    assert await labels.served([INDEX], "r") is not None
    assert await labels.claim(INDEX, "r")
    told = {("a", False): Verdict(ModelState.OPEN, 0.001)}
    await RedisHealth(redis, 5.0).exchange(told)
    claim = await filling.claim(NEW.version)
    assert claim is not None
    await filling.beginning(INDEX.version)
    _, keys = await filling.scan(INDEX.version, 0)
    (lacking, *_) = await filling.lacking(INDEX.version, NEW.version, keys)
    await filling.add(INDEX.version, NEW.version, lacking, np.full(256, 1 / 16, dtype=np.float32))
    await filling.sample(INDEX.version, 8)
    assert await filling.note(NEW.version, claim.fence, Progress(INDEX.version.name, "run"))
    await filling.release(NEW.version, claim.fence)
    await forgetter.news(Epochs(), 0.01, trusted=False)
    await forgetter.purge(Scope(INDEX.id))
    await forgetter.news(Epochs(), 0.01, trusted=True)
    assert await forgetter.sweep(-60.0)
    await cache.unlink_orphan(PLACE)
    await forgetter.evict(PLACE)
    await redis.hset(wire.HEALTH_KEY, "a", "Open 1 2 3")  # it is over, and deleted
    await RedisHealth(redis, 5.0).exchange({})
    await redis.aclose()


async def use_ledger(url: str) -> None:
    """What a data plane does when there is little left, and when a process has died."""
    redis = connect(url, 5.0)
    ledger, acme = RedisLedger(redis, 5.0), tenant(limit(1_000))
    await ledger.hold(acme, "dead", [10], life_s=0)
    await ledger.hold(acme, "lease.one", [500], life_s=60)
    await ledger.extend(acme, "lease.one", [600], life_s=60)
    assert await ledger.hold(acme, "b", [900]) is not None, "it is recalled"
    assert await ledger.recalled() == {"acme"}
    await ledger.release(acme, "lease.one")
    await ledger.hold(acme, "c", [900])
    await ledger.settle(acme, "c", [900])
    assert await ledger.hold(acme, "d", [900]) is not None, "it is refused"
    for number in range(101):
        await ledger.settle(acme, f"e{number}", [0])
    assert await ledger.read(acme)
    await redis.aclose()


async def test_an_operator_needs_what_its_users_may_and_no_more(pair: Pair) -> None:
    cache_url, ledger_url = pair.urls(OPERATOR)
    snapshot = compiled(SETUP.objects())
    for _ in range(2):  # the second time it is there already
        await provision(snapshot, cache_url, ledger_url)
    assert SAMPLE is not None
    pair.cache.command("SET", wire.entry_key(PLACE.partition, PLACE.entry), "x")
    async with open_store(cache_url, "cache") as cache, open_store(ledger_url, "ledger") as ledger:
        assert await cache.claim(3)
        assert await cache.standing_fence() == 3
        await cache.epochs()
        await cache.progress([INDEX.version])
        await cache.tallies(SAMPLE)
        assert (await cache.forget(INDEX.id)).deleted == 1
        assert (await cache.drop_version(wire.index_name(INDEX.version))).complete
        await ledger.facts()
        await ledger.holds()
        await ledger.spent(["acme"])
        assert await ledger.note_alert(
            f"{wire.ledger_keys('').holds.rpartition(':')[0]}:alert:acme:x:1:e", 1_000
        )
        for server in (pair.cache, pair.ledger):
            assert server.refused() == []
        for role, server in ((RedisRole.CACHE, pair.cache), (RedisRole.LEDGER, pair.ledger)):
            assert set(allowed(role, OPERATOR)) - server.given() - ELSEWHERE == set(), "they are not needed"
        pair.ledger.command("HSET", wire.ledger_keys("acme").spent, "one:Tokens|0", 5)
        with pytest.raises(StoreFault, match="permissions"):
            await ledger.note_alert(wire.ledger_keys("acme").spent, 1_000)
    assert pair.ledger.command("HGETALL", wire.ledger_keys("acme").spent), (
        "what was spent is not its to change"
    )


async def test_nobody_reads_what_is_not_tollways_or_asks_for_what_it_has_no_use_of(pair: Pair) -> None:
    for server in (pair.cache, pair.ledger):
        server.command("SET", "others", "x")
        for user in (DATAPLANE, OPERATOR):
            for words in (
                ("GET", "others"),
                ("FLUSHALL",),
                ("CONFIG", "GET", "*"),
                ("KEYS", "*"),
                ("ACL", "LIST"),
            ):
                assert "no permissions" in str(server.command("ACL", "DRYRUN", user, *words)), (user, words)


@pytest.mark.parametrize(
    ("role", "command", "source"),
    [
        (RedisRole.CACHE, "ft.search", "live"),
        (RedisRole.CACHE, "hmget", "live"),
        (RedisRole.LEDGER, "zscore", "exact"),
    ],
)
async def test_what_is_missing_costs_hits_or_what_budgets_say_and_is_in_the_log(
    pair: Pair, start: Start, setup: Setup, role: RedisRole, command: str, source: str
) -> None:
    server = pair.cache if role is RedisRole.CACHE else pair.ledger
    server.command("ACL", "SETUSER", DATAPLANE, f"-{command}")
    try:
        cache_url, ledger_url = pair.urls(DATAPLANE)
        acme = {
            "limits": [{"name": "hourly", "amount": "100", "unit": "Requests", "window": {"rolling": "1h"}}],
            "onLedgerUnavailable": LedgerUnavailable.ALLOW,
        }
        gateway = await start(
            setup.but(acme=acme),
            cache_url=cache_url, ledger_url=ledger_url, operators=pair.urls(OPERATOR), near_cache_bytes=0,
            cache_write_deadline_s=5.0,
        )  # fmt: skip
        await until(lambda: gateway.dataplane.forgetting.is_trusted)
        assert (await gateway.ask(PASSWORD)).status == 200
        await gateway.stored()
        asked = PARAPHRASE if command == "ft.search" else PASSWORD
        reply = await gateway.ask(asked)
        assert (reply.status, reply.source) == (200, source)
        await until(lambda: bool(refusals(gateway)))
        said = refusals(gateway)
        assert [line["redis"] for line in said][:1] == [role.value]
        assert command in str(said[0]["reason"]).lower()
    finally:
        server.command("ACL", "SETUSER", DATAPLANE, f"+{command}")


async def test_an_operator_that_is_refused_says_so_and_of_what(pair: Pair) -> None:
    pair.cache.command("ACL", "SETUSER", OPERATOR, "-ft.create")
    try:
        with pytest.raises(
            StoreFault, match=r"would not create index version .* no permissions to run the (?i:.ft.create.)"
        ):
            await provision(compiled(SETUP.objects()), *pair.urls(OPERATOR))
    finally:
        pair.cache.command("ACL", "SETUSER", OPERATOR, "+ft.create")
    with pytest.raises(StoreFault, match="does not let us in"):
        await provision(
            compiled(SETUP.objects()), pair.cache.url(OPERATOR, "wrong"), pair.ledger.url(OPERATOR)
        )


@pytest.mark.parametrize("role", RedisRole)
def test_scripts_give_no_command_that_is_not_allowed(role: RedisRole) -> None:
    files = [SCRIPTS / "ledger.lua"]
    if role is RedisRole.CACHE:
        files = [SCRIPTS / name for name in ("epochs.lua", "health.lua")] + sorted(SCRIPTS.glob("redis_*.py"))
    given = {
        name.lower() for each in files for name in re.findall(r"redis\.call\(\s*'(\w+)'", each.read_text())
    }
    assert len(given) > 5
    assert given - set(allowed(role, DATAPLANE)) == set()


def test_the_documentation_has_the_files_as_they_are() -> None:
    text = (FILES.parents[1] / "docs" / "redis.md").read_text()
    for file in FILES.glob("*.acl"):
        assert file.read_text().strip() in text, file.name
