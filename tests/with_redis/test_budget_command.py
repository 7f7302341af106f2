"""`tollway budget` on a real ledger."""

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.dataplanes import Setup, compiled
from tests.processes import run
from tollway_api.meta import TenantName
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters import redis_ledger
from tollway_dataplane.adapters.redis_ledger import RedisLedger

LIMITS = [
    {"name": "money", "amount": "5.00", "window": {"calendar": "Day"}},
    {"name": "few", "unit": "Requests", "amount": "10", "window": {"rolling": "1h"}},
]
SETUP = Setup("http://a/v1", "http://b/v1", acme={"limits": LIMITS})


@pytest.fixture
def manifests(tmp_path: Path) -> str:
    path = tmp_path / "all.yaml"
    path.write_text(SETUP.yaml())
    return str(path)


@pytest.fixture
async def ledger(ledger_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> EmbeddedRedis:
    """With what acme has used and holds, for as long as a busy machine takes to look."""
    monkeypatch.setattr(redis_ledger, "HOLD_LIFE_MS", 3_600_000)
    acme = compiled(SETUP.objects()).tenants[TenantName("acme")]
    async with Redis.from_url(ledger_redis.url) as redis:
        counting = RedisLedger(redis, 10.0)
        await counting.settle(acme, "a", [4_250_000_000, 3])
        await counting.hold(acme, "b", [250_000_000, 1])
    return ledger_redis


def test_show_says_what_is_used_held_and_left(ledger: EmbeddedRedis, manifests: str) -> None:
    source = ("--redis-url", ledger.url, "--manifests", manifests)
    done = run("tollway_cli", "budget", "show", *source, "--output", "json")
    assert (done.returncode, done.stderr) == (0, "")
    money, few = json.loads(done.stdout)
    assert money.pop("resetsAt")
    assert money == {
        "budget": "acme", "name": "money", "unit": "USD", "used": "4.25", "held": "0.25", "remaining": "0.5",
        "percent": 90, "exposure": "",
    }  # fmt: skip
    assert (few["used"], few["held"], few["remaining"], few["resetsAt"]) == ("3", "1", "6", None)
    table = run("tollway_cli", "budget", "show", *source)
    assert "4.25 USD" in table.stdout
    assert "█████████ " in table.stdout


def test_history_plots_what_the_ledger_remembers(ledger: EmbeddedRedis) -> None:
    done = run("tollway_cli", "budget", "history", "acme", "--redis-url", ledger.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "money, in USD" in done.stdout
    assert "few, in requests" in done.stdout
    assert "█" * 40 in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "--redis-url", "redis://127.0.0.1:6379"], "give --redis-url and --manifests together"),
        (["history", "acme", "--redis-url", "here"], "--redis-url: not the URL of a Redis"),
        (["history", "acme", "--redis-url", "redis://127.0.0.1:9"], "read what was spent"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], said: str) -> None:
    done = run("tollway_cli", "budget", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
