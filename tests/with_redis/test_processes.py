"""Data planes as processes, joined by Redis and a mounted snapshot alone."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests import loopback
from tests.dataplanes import ACME_KEY, Setup, WithoutCache
from tests.processes import free_port, started, wait_for
from tests.servers import Provider
from tests.snapshots import mounted, process_env, published
from tollway_cli.embedded_redis import EmbeddedRedis

AUTH = {"authorization": f"Bearer {ACME_KEY}"}


def test_two_data_planes_follow_one_snapshot_and_share_hits_and_budgets(
    tmp_path: Path, setup: Setup, cheap: Provider, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    limits = [{"name": "fifty", "unit": "Requests", "amount": "50"}]
    folder = tmp_path / "snapshot"
    before = published(setup.but(acme={"limits": limits}), folder, cache_redis, ledger_redis)
    urls = []
    with ExitStack() as stack:
        for name in ("one", "two"):
            port, admin = free_port(), free_port()
            env = {
                **process_env(folder, cache_redis, ledger_redis, port, admin),
                "TOLLWAY_CACHE_READ_DEADLINE_S": "1",
                "TOLLWAY_LEDGER_DEADLINE_S": "5",
                "TOLLWAY_SNAPSHOT_POLL_S": "0.1",
            }
            stack.enter_context(started(tmp_path / f"{name}.log", "tollway_dataplane", env=env))
            urls.append((f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}"))
        for _, admin_url in urls:
            wait_for(lambda url=admin_url: loopback.get(f"{url}/readyz").status_code == 200, "ready", 180)  # type: ignore[misc]  # mypy does not type a lambda with a default

        def ask(number: int) -> int:
            prompt = {"prompt": f"question {number}"}
            return loopback.post(
                f"{urls[number % 2][0]}/chat", json=prompt, headers=AUTH, timeout=30
            ).status_code

        with ThreadPoolExecutor(32) as pool:
            statuses = list(pool.map(ask, range(200)))
        assert sorted(statuses) == [200] * 50 + [429] * 150
        assert cheap.total == 50

        answered = next(number for number, status in enumerate(statuses) if status == 200)
        other, prompt = urls[(answered + 1) % 2][0], {"prompt": f"question {answered}"}
        wait_for(
            lambda: loopback.post(f"{other}/chat", json=prompt, headers=AUTH).status_code == 200,
            "the other data plane has the hit",
        )

        more = [{"name": "fifty", "unit": "Requests", "amount": "51"}]
        published(setup.but(acme={"limits": more}), folder, cache_redis, ledger_redis, order=2)

        def revisions() -> set[str]:
            return {loopback.get(f"{admin}/readyz").json()["revision"] for _, admin in urls}

        wait_for(lambda: len(revisions()) == 1 and before not in revisions(), "both run the new snapshot")
        assert [ask(1_000), ask(1_001)] == [200, 429]
        mounted(b"{}", folder, order=3)
        wait_for(lambda: "snapshot rejected" in (tmp_path / "one.log").read_text(), "the damage is noticed")
        assert before not in revisions(), "and the last good one goes on"


def test_a_data_plane_without_a_cache_loads_no_encoder_and_nothing_else_that_it_has_no_use_for(
    tmp_path: Path, setup: Setup, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    """Seen in what it has mapped: the encoder's runtime and tokenizer, and what a client for Kubernetes needs."""
    loaded: list[set[str]] = []
    for name, each in (("with", setup), ("without", WithoutCache(setup.cheap, setup.rich))):
        folder, port, admin = tmp_path / name, free_port(), free_port()
        published(each, folder, cache_redis, ledger_redis)
        env = process_env(folder, cache_redis, ledger_redis, port, admin)
        with started(tmp_path / f"{name}.log", "tollway_dataplane", env=env) as running:
            ready = f"http://127.0.0.1:{admin}/readyz"
            wait_for(lambda url=ready: loopback.get(url).status_code == 200, "it is ready", 180)  # type: ignore[misc]  # mypy does not type a lambda with a default
            maps = Path(f"/proc/{running.process.pid}/maps").read_text(encoding="utf-8")
        loaded.append(
            {each for each in ("onnxruntime", "tokenizers", "msgspec", "litellm") if f"/{each}/" in maps}
        )
    assert loaded == [{"onnxruntime", "tokenizers"}, set()]
