"""The admin port, the metrics and the log."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from tokenizers import Encoding

from tests.conftest import Start
from tests.dataplanes import Running, Setup, compiled, until
from tests.judges import until as patiently
from tests.servers import Provider
from tollway_api.messages import Lookups
from tollway_api.snapshot import SCHEMA_VERSION, encode
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.errors import SnapshotFault
from tollway_dataplane.prompts.reading import Encoded
from tollway_dataplane.record import Record
from tools.generate_metrics import planes


async def get(gateway: Running, path: str) -> tuple[int, str]:
    async with gateway.http.get(f"{gateway.admin_url}{path}") as response:
        return response.status, await response.text()


async def test_every_metric_is_on_the_page_of_metrics(gateway: Running) -> None:
    _, text = await get(gateway, "/metrics")
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert declared == {each.name for each in planes()["Data planes"]}


async def test_what_happened_is_counted(start: Start, setup: Setup, cheap: Provider) -> None:
    gateway = await start(setup.but(acme={"limits": [{"name": "money", "amount": "1.00"}]}))
    await gateway.ask("What is a fjord?")
    await gateway.ask("What is a fjord?")
    cheap.fail("server-error")
    await gateway.ask("What is a delta?")
    metrics = await gateway.metrics()
    tenant = (("tenant", "acme"),)
    assert metrics["ai_cache_hit_ratio"][()] == 1 / 3
    assert metrics["ai_cost_per_tenant"][tenant] > metrics["ai_cost_saved_usd_total"][tenant] > 0
    assert metrics["ai_upstream_requests_total"] == {
        (("model", "cheap"), ("outcome", "ok")): 1,
        (("model", "cheap"), ("outcome", "ServerError")): 1,
        (("model", "rich"), ("outcome", "ok")): 1,
    }
    # A hundredth may be set aside already.
    assert 0 < metrics["ai_budget_utilization_ratio"][(("limit", "money"), ("tenant", "acme"))] < 0.02
    assert metrics["tollway_requests_in_flight"][()] == 0
    assert metrics["tollway_snapshot_info"] == {(("revision", str(gateway.dataplane.live.revision)),): 1}


async def test_both_redis_are_asked_how_they_are(gateway: Running) -> None:
    async def is_known() -> bool:
        up = (await gateway.metrics()).get("tollway_redis_up")
        return up == {(("role", "cache"),): 1, (("role", "ledger"),): 1}

    await patiently(is_known)
    metrics = await gateway.metrics()
    assert metrics["redis_memory_usage_bytes"][(("role", "cache"),)] > 100_000
    assert metrics["redis_memory_max_bytes"][(("role", "cache"),)] == 256 * 1024 * 1024


async def test_an_index_that_goes_takes_its_count_along(start: Start, setup: Setup) -> None:
    """A later one of its name begins anew, and a request that began before it went counts for neither."""
    gateway = await start(setup)
    counted = gateway.dataplane.metrics.cache.by_index
    await gateway.ask("What is a fjord?")
    await gateway.ask("What is a fjord?")
    assert counted() == {"default/answers": Lookups(1, 2)}
    await gateway.swap(setup.but(acme={"alertThresholdPercent": 50}))
    assert counted() == {"default/answers": Lookups(1, 2)}, "somebody else's edit"
    without = compiled(setup.but(policy={"cache": None}).objects())
    await gateway.dataplane.live.offer(encode(replace(without, indexes={})))
    assert counted() == {}
    late = Record("r", "chat", cache_reason=CacheReason.EXACT, index="default/answers")
    gateway.dataplane.metrics.cache.observe(late)
    assert counted() == {}
    await gateway.swap(setup)
    await gateway.ask("What is a fjord?")
    assert list(counted()) == ["default/answers"]
    assert counted()["default/answers"].total == 1


async def test_a_stalled_event_loop_shows_in_the_lag_metric(gateway: Running) -> None:
    def slow_wake_ups(metrics: dict[str, dict[tuple[tuple[str, str], ...], float]]) -> float:
        lag = metrics["tollway_event_loop_lag_seconds_bucket"]
        return lag[(("le", "+Inf"),)] - lag[(("le", "0.1"),)]

    await asyncio.sleep(0.2)
    before = slow_wake_ups(await gateway.metrics())
    time.sleep(0.5)  # noqa: ASYNC251 - the stall itself
    await asyncio.sleep(0.2)
    assert slow_wake_ups(await gateway.metrics()) > before


async def test_the_event_loop_goes_on_while_prompts_are_embedded(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each inference lasts until the loop has had a turn, which it never has where the inference is on it."""
    encoded, begun, turned, in_turn = (
        LocalEmbedder._encoded,
        threading.Event(),
        threading.Event(),
        list[bool](),
    )

    def lasting(embedder: LocalEmbedder, texts: Sequence[Encoding]) -> list[Encoded]:
        begun.set()
        in_turn.append(turned.wait(10))
        return encoded(embedder, texts)

    monkeypatch.setattr(LocalEmbedder, "_encoded", lasting)
    asking = asyncio.gather(*(gateway.ask(f"What of number {n} and its friends?") for n in range(20)))
    await until(begun.is_set)
    turned.set()
    await asking
    assert all(in_turn)
    lag = (await gateway.metrics())["tollway_event_loop_lag_seconds_bucket"]
    assert lag[(("le", "+Inf"),)] > 0


async def test_probes_tell_ready_from_draining(gateway: Running) -> None:
    assert (await get(gateway, "/livez"))[0] == 200
    status, text = await get(gateway, "/readyz")
    assert status == 200
    assert str(gateway.dataplane.live.revision) in text
    gateway.dataplane.draining.set()
    assert (await get(gateway, "/readyz"))[0] == 503
    assert (await get(gateway, "/livez"))[0] == 200


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer other", "token", "Basic dG9rZW4="]
)
async def test_whatever_the_admin_port_has_wants_the_token_but_probes_and_metrics(
    start: Start, setup: Setup, tmp_path: Path, authorization: str | None
) -> None:
    """Also what is added later, since the routes are asked of the application itself."""
    (tmp_path / "token").write_text("token")
    gateway = await start(setup, admin_token_dir=tmp_path)
    app = gateway.dataplane.admin
    assert isinstance(app, Starlette)
    asked = []
    for route in app.routes:
        assert isinstance(route, Route), "what is mounted or upgraded would be overlooked here"
        if route.path in {"/livez", "/readyz", "/metrics"}:
            assert route.methods == {"GET", "HEAD"}, "they change nothing"
            continue
        for method in route.methods or set():
            headers = {} if authorization is None else {"authorization": authorization}
            url = f"{gateway.admin_url}{route.path}"
            async with gateway.http.request(method, url, data=b"{}", headers=headers) as response:
                assert response.status == 401, (method, route.path)
            asked.append(route.path)
    assert {"/console", "/feedback", "/purge", "/snapshot"} <= set(asked)


async def test_without_any_token_nobody_is_let_in(start: Start, setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("")
    for folder in (tmp_path, tmp_path / "missing"):
        gateway = await start(setup, admin_token_dir=folder)
        for authorization in ("Bearer ", "Bearer"):
            headers = {"authorization": authorization}
            async with gateway.http.post(f"{gateway.admin_url}/snapshot", headers=headers) as response:
                assert response.status == 401


async def test_a_token_is_compared_in_constant_time(
    start: Start, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it takes is nothing that a test can see, so it looks at who compares."""
    compared: list[tuple[bytes, bytes]] = []

    def comparing(given: bytes, token: bytes) -> bool:
        compared.append((given, token))
        return False

    monkeypatch.setattr("tollway_dataplane.edge.admin.hmac.compare_digest", comparing)
    (tmp_path / "token").write_text("t")
    gateway = await start(setup, admin_token_dir=tmp_path)
    headers = {"authorization": "Bearer t"}
    async with gateway.http.post(f"{gateway.admin_url}/snapshot", json={}, headers=headers) as response:
        assert response.status == 401, "nothing else lets it pass"
    assert compared == [(b"Bearer t", b"Bearer t")]


async def test_a_notification_without_an_end_is_refused_while_it_is_read(
    start: Start, setup: Setup, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("t")
    gateway = await start(setup, admin_token_dir=tmp_path)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 200_000_000:
            yield b" " * 65_536
            sent += 65_536

    headers = {"authorization": "Bearer t", "content-type": "application/json"}
    async with gateway.http.post(
        f"{gateway.admin_url}/snapshot", data=endless(), headers=headers
    ) as response:
        assert response.status == 413
    assert sent < 20_000_000, "what the sockets take before anybody reads"


async def test_a_snapshot_that_does_not_load_changes_nothing(gateway: Running) -> None:

    revision = gateway.dataplane.live.revision
    with pytest.raises(SnapshotFault):
        await gateway.dataplane.live.offer(b'{"schema_version": %d, "tenants": 5}' % SCHEMA_VERSION)
    assert gateway.dataplane.live.revision == revision
    assert (await gateway.ask("Still there?")).status == 200
    assert (await gateway.metrics())["tollway_snapshots_rejected_total"][()] == 1


async def test_the_log_says_what_was_decided_and_why(gateway: Running) -> None:
    await gateway.ask("What is a fjord?")
    await until(lambda: len(gateway.log_lines()) == 1)
    (line,) = gateway.log_lines()
    assert line["request_id"]
    expected = {
        "tenant": "acme", "policy": "default/chat", "source": "live", "cache": "NoNeighbour", "route": "Simple",
        "model": "cheap", "attempts": ["cheap:ok"], "status": 200, "stream": False, "ended": "whole",
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected
    stages = line["stages_ms"]
    assert isinstance(stages, dict)
    assert list(stages) == ["cache", "hold", "upstream"]
