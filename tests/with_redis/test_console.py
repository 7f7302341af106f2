"""The console's figures, and who may see them. What a browser makes of them is in tests/with_browser."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Start
from tests.dataplanes import BETA_KEY, Running, Setup
from tests.servers import Provider
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane import fleet
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_fleet import RedisFleet
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import Figures

TOKEN = "the-admin-token"
PATHS = ("/console", "/console/console.css", "/console/console.js", "/console/state")


def basic(password: str) -> str:
    return f"Basic {base64.b64encode(f'anybody:{password}'.encode()).decode()}"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    folder = tmp_path / "tokens"
    folder.mkdir()
    (folder / "token").write_text(TOKEN)
    return folder


async def state(gateway: Running) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with gateway.http.get(f"{gateway.admin_url}/console/state", headers=headers) as response:
        assert response.status == 200
        found: dict[str, Any] = json.loads(await response.read())
        return found


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_of_it_is_shown_without_the_token(
    start: Start, setup: Setup, tokens: Path, path: str
) -> None:
    gateway = await start(setup, admin_token_dir=tokens)
    strangers = (
        "",
        "Bearer wrong",
        basic("wrong"),
        basic(""),
        "Basic !",
        "Basic /w==",
        "Basic",
        f"Digest {TOKEN}",
    )
    for authorization in strangers:
        headers = {"authorization": authorization} if authorization else {}
        async with gateway.http.get(f"{gateway.admin_url}{path}", headers=headers) as response:
            assert (response.status, authorization) == (401, authorization)
            assert response.headers["www-authenticate"].startswith("Basic ")
    for authorization in (f"Bearer {TOKEN}", basic(TOKEN)):
        headers = {"authorization": authorization}
        async with gateway.http.get(f"{gateway.admin_url}{path}", headers=headers) as response:
            assert response.status == 200
            assert response.headers["cache-control"] == "no-store"
            policy = response.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert TOKEN not in await response.text()
        async with gateway.http.post(f"{gateway.admin_url}{path}", headers=headers) as response:
            assert response.status == 405, "it changes nothing"
        async with gateway.http.get(f"{gateway.url}{path}", headers=headers) as response:
            assert response.status == 404, "never on the public port"


async def test_a_password_changes_nothing(start: Start, setup: Setup, tokens: Path) -> None:
    """A browser sends it along with what another site's page has told it to post."""
    gateway = await start(setup, admin_token_dir=tokens)
    for path, body in (("/purge", {"tenant": "acme"}), ("/feedback", {}), ("/snapshot", {})):
        headers = {"authorization": basic(TOKEN)}
        async with gateway.http.post(f"{gateway.admin_url}{path}", json=body, headers=headers) as response:
            assert response.status == 401


async def test_where_there_is_no_token_nobody_is_let_in(start: Start, setup: Setup, tmp_path: Path) -> None:
    gateway = await start(setup, admin_token_dir=tmp_path / "none")
    headers = {"authorization": basic("")}
    async with gateway.http.get(f"{gateway.admin_url}/console", headers=headers) as response:
        assert response.status == 401


async def test_it_says_what_was_decided_and_nothing_of_what_was_asked(
    start: Start, setup: Setup, tokens: Path, cheap: Provider
) -> None:
    limits = [
        {"name": "money", "amount": "1.00"},
        {"name": "few", "unit": "Requests", "amount": "2", "window": {"rolling": "1h"}},
    ]
    gateway = await start(setup.but(acme={"limits": limits}), admin_token_dir=tokens)
    answer = (await gateway.ask("What is a zanzibar?")).content
    for _ in range(2):
        assert (await gateway.ask("What is a zanzibar?")).source == "exact"
    cheap.fail("server-error")
    await gateway.ask("What is a kookaburra?")
    assert (await gateway.ask("What is a wobbegong?")).status == 429
    assert (await gateway.ask("What is a zanzibar?", key="nobodys")).status == 401
    shown = await state(gateway)
    text = json.dumps(shown)
    for hidden in ("zanzibar", "kookaburra", "wobbegong", answer, "acme-test-key", BETA_KEY, TOKEN):
        assert hidden not in text
    assert {each["source"]: each["total"] for each in shown["requests"]} == {
        "exact": 2,
        "live": 2,
        "refused": 2,
    }
    assert shown["totals"]["lately"] == shown["totals"]["requests"] == 6
    assert shown["totals"]["from_memory"] == "33 %"
    metrics = await gateway.metrics()
    acme = (("tenant", "acme"),)
    for name, metric in (("spent_usd", "ai_cost_per_tenant"), ("saved_usd", "ai_cost_saved_usd_total")):
        assert float(shown["totals"][name]) == pytest.approx(metrics[metric][acme])
    last = [(each["source"], each["status"], each["model"], each["tenant"]) for each in shown["decisions"]]
    assert last == [
        ("refused", 401, "", ""),
        ("refused", 429, "", "acme"),
        ("live", 200, "rich", "acme"),
        ("exact", 200, "cheap", "acme"),
        ("exact", 200, "cheap", "acme"),
        ("live", 200, "cheap", "acme"),
    ]
    assert "1 fallback" in shown["decisions"][2]["why"]
    assert "few" in shown["decisions"][1]["why"]
    fullest, money = shown["budgets"]
    assert (fullest["owner"], fullest["limit"], fullest["used"]) == ("acme", "few", "2 of 2 requests")
    assert (fullest["percent"], fullest["state"], fullest["window"]) == ("100 %", "used up", "in 3600 s")
    assert money["used"].endswith(" of 1 USD")
    assert shown["data_planes"][0]["revision"] == gateway.dataplane.live.revision
    assert shown["amiss"] == []


async def test_data_planes_know_of_each_other(start: Start, setup: Setup, tokens: Path) -> None:
    one, other = [await start(setup, admin_token_dir=tokens) for _ in range(2)]
    await one.ask("What is a fjord?")
    await other.ask("What is a fjord?")
    await state(one)  # it tells what it has done by now
    shown = await state(other)
    assert shown["alone"] == ""
    assert [each["requests"] for each in shown["data_planes"]] == [1, 1]
    assert {each["source"]: each["total"] for each in shown["requests"]} == {"exact": 1, "live": 1}
    assert len(shown["decisions"]) == 1, "its own"
    await one.swap(setup.but(acme={"alertThresholdPercent": 50}))
    await state(one)
    assert (await state(other))["amiss"] == ["Data planes run different revisions."]


async def test_without_the_caches_redis_it_knows_of_itself(
    start: Start, setup: Setup, tokens: Path, fault_redis: EmbeddedRedis
) -> None:
    gateway = await start(setup, cache_url=fault_redis.url, admin_token_dir=tokens)
    await gateway.ask("What is a fjord?")
    fault_redis.stop()
    shown = await state(gateway)
    assert "CacheUnavailable" in shown["alone"]
    assert [each["requests"] for each in shown["data_planes"]] == [1]


async def test_whoever_falls_silent_is_forgotten(cache_redis: EmbeddedRedis) -> None:
    """So is what another version has written there."""
    redis = connect(cache_redis.url, 2.0)
    news, one, two = (
        RedisFleet(redis, 2.0, fleet.SILENT_S),
        Figures("one", 1.0, "r"),
        Figures("two", 2.0, "r"),
    )
    try:
        assert list(await news.exchange("1", one)) == [one]
        assert sorted(each.name for each in await news.exchange("2", two)) == ["one", "two"]
        said = await redis.hget(wire.FLEET_KEY, "1")
        assert isinstance(said, bytes)
        told_at, figures = said.split(b" ", 1)
        silent = b"%d %s" % (int(told_at) - 1_000 * fleet.SILENT_S, figures)
        await redis.hset(wire.FLEET_KEY, mapping={"1": silent, "3": b"no figures", "4": b"99999999999999 {}"})
        assert list(await news.exchange("2", two)) == [two]
        assert sorted(await redis.hkeys(wire.FLEET_KEY)) == [b"2", b"4"]
        assert 0 < await redis.pttl(wire.FLEET_KEY) <= 1_000 * fleet.SILENT_S
    finally:
        await redis.aclose()


async def test_a_redis_that_is_away_is_a_fault_with_a_deadline(fault_redis: EmbeddedRedis) -> None:
    redis = connect(fault_redis.url, 2.0)
    fault_redis.stop()
    try:
        with pytest.raises(CacheFault):
            await RedisFleet(redis, 0.5, fleet.SILENT_S).exchange("one", Figures("one", 1.0, "r"))
    finally:
        await redis.aclose()
