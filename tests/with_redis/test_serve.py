"""`tollway serve` as a person runs it: one process, its Redis, its files and its end."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import yaml

from tests import loopback
from tests.dataplanes import ACME_KEY, Setup
from tests.processes import Process, children_of, forked, free_port, is_alive, started, wait_for
from tests.servers import Provider, provider
from tollway_cli.embedded_redis import EmbeddedRedis

pytestmark = pytest.mark.long

AUTH = {"authorization": f"Bearer {ACME_KEY}"}


@pytest.fixture
def manifests(tmp_path: Path, setup: Setup) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "all.yaml").write_text(yaml.safe_dump_all(setup.objects()), encoding="utf-8")
    return folder


class Served:
    def __init__(self, process: Process, port: int, admin: int) -> None:
        self.process, self.admin = process, f"http://127.0.0.1:{admin}"
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, prompt: str, **more: object) -> httpx.Response:
        return loopback.post(f"{self.url}/chat", json={"prompt": prompt, **more}, headers=AUTH, timeout=30)

    def revision(self) -> str:
        revision: str = loopback.get(f"{self.admin}/readyz").json()["revision"]
        return revision


@contextmanager
def serving(tmp_path: Path, manifests: Path, *more: str, alone: bool = False) -> Iterator[Served]:
    """`alone`: it loads everything itself."""
    port, admin = free_port(), free_port()
    addresses = ("--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}")
    data = ("--data-dir", str(tmp_path / "data"))
    arguments = ("serve", "--manifests", str(manifests), *addresses, *data, *more)
    log = tmp_path / "serve.log"
    begun = started(log, "tollway_cli", *arguments) if alone else forked(log, "tollway_cli", {}, *arguments)
    with begun as process:
        served = Served(process, port, admin)

        def ready() -> bool:
            assert process.process.poll() is None, process.output
            return loopback.get(f"{served.admin}/readyz").status_code == 200

        wait_for(ready, "serve is ready", 60)
        yield served


def test_what_it_remembers_is_purged_with_the_token_that_it_made(tmp_path: Path, manifests: Path) -> None:
    with serving(tmp_path, manifests) as served:
        served.ask("What is a fjord?")
        assert served.ask("What is a fjord?").json()["source"] == "cache"
        file = tmp_path / "data" / "admin-token" / "token"
        assert file.stat().st_mode & 0o077 == 0, "it is its owner's alone"
        token = file.read_text(encoding="utf-8")
        url, wanted = f"{served.admin}/purge", {"index": "default/answers"}
        assert loopback.post(url, json=wanted).status_code == 401
        purged = loopback.post(url, json=wanted, headers={"authorization": f"Bearer {token}"})
        assert purged.json()["indexes"] == ["default/answers"]
        assert served.ask("What is a fjord?").json()["source"] == "live"
        assert token not in served.process.output
    with serving(tmp_path, manifests) as served:
        assert file.read_text(encoding="utf-8") == token, "it stays"


def test_a_change_takes_effect_without_a_restart_and_a_bad_one_changes_nothing(
    tmp_path: Path, manifests: Path
) -> None:
    with serving(tmp_path, manifests) as served:
        assert served.ask("What is a fjord?").json()["model"] == "cheap"
        before, file = served.revision(), manifests / "all.yaml"
        good = file.read_text(encoding="utf-8")

        file.write_text(
            good.replace("openai/gpt-4o-mini", "openai/gpt-4o-mni-typo\n      timeout: 5"), encoding="utf-8"
        )
        wait_for(lambda: "change refused" in served.process.output, "the bad change is reported")
        wait_for(lambda: bool(re.search(r"yaml:\d+", served.process.output)), "with file and line")
        file.write_text("a: [", encoding="utf-8")
        wait_for(lambda: served.process.output.count("change refused") >= 2, "broken YAML is reported")
        file.write_text("a: " + "[" * 3_000, encoding="utf-8")
        wait_for(lambda: served.process.output.count("change refused") >= 3, "deep YAML is reported")
        file.write_text("", encoding="utf-8")
        wait_for(
            lambda: "without all.yaml" in served.process.output,
            "an emptied file changes nothing",
        )
        file.write_text(good, encoding="utf-8")
        wait_for(lambda: "mended" in served.process.output, "that it is mended is said")
        assert served.revision() == before
        assert served.ask("What is a delta?").status_code == 200

        objects = list(yaml.safe_load_all(good))
        objects[1]["spec"]["route"] = {"simpleModel": "rich"}
        file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        wait_for(lambda: served.revision() != before, "the good change is taken")
        assert served.ask("What is an estuary?").json()["model"] == "rich"


def test_a_mounted_folder_that_is_swapped_by_its_link_is_followed(tmp_path: Path, manifests: Path) -> None:
    """As Kubernetes changes a mounted ConfigMap."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "..one").mkdir()
    (mounted / "..one" / "all.yaml").write_text((manifests / "all.yaml").read_text())
    (mounted / "..data").symlink_to("..one")
    (mounted / "all.yaml").symlink_to("..data/all.yaml")
    with serving(tmp_path, mounted) as served:
        before = served.revision()
        (mounted / "..two").mkdir()
        text = (manifests / "all.yaml").read_text().replace("openai/gpt-4o-mini", "openai/gpt-4o")
        (mounted / "..two" / "all.yaml").write_text(text)
        (mounted / "..new").symlink_to("..two")
        (mounted / "..new").rename(mounted / "..data")
        wait_for(lambda: served.revision() != before, "the swapped manifests run")


def test_a_redis_that_dies_or_is_flushed_is_made_good(tmp_path: Path, manifests: Path) -> None:
    with serving(tmp_path, manifests) as served:
        assert served.ask("How do I reset my password?").json()["source"] == "live"
        for pid in children_of(served.process.process.pid):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: "started again" in served.process.output, "Redis runs again", 30)
        wait_for(
            lambda: served.ask("How can I reset my password?").json()["source"] == "cache", "it remembers", 30
        )


def test_the_time_to_drain_ends_streams_without_a_traceback(
    tmp_path: Path, setup: Setup, manifests: Path
) -> None:
    with provider("slow", tokens_per_second=2.0) as slow:
        text = yaml.safe_dump_all(setup.but(cheap=slow.endpoint).objects())
        (manifests / "all.yaml").write_text(text, encoding="utf-8")
        with serving(tmp_path, manifests, "--drain", "1") as served, ThreadPoolExecutor(1) as pool:
            body = {"stream": True, "messages": [{"role": "user", "content": "What is a fjord?"}]}
            url = f"{served.url}/v1/chat/completions"
            streaming = pool.submit(loopback.post, url, json=body, headers=AUTH, timeout=30)
            wait_for(lambda: slow.seen()["in_flight"] == 1, "the stream has begun")
            assert served.process.stop() == 0
            assert "draining" in served.process.output
            assert "Traceback" not in served.process.output
            with suppress(httpx.HTTPError):
                streaming.result()


def test_the_cache_and_the_ledger_survive_a_restart(tmp_path: Path, manifests: Path) -> None:
    with serving(tmp_path, manifests) as served:
        assert served.ask("How do I reset my password?").json()["source"] == "live"
        assert served.process.stop() == 0
    with serving(tmp_path, manifests) as served:
        assert served.ask("How do I reset my password?").json()["source"] == "cache"
        assert served.ask("How can I reset my password?").json()["source"] == "cache"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_streams_finish_and_leaves_nothing_running(
    tmp_path: Path, setup: Setup, manifests: Path, number: signal.Signals
) -> None:
    with provider("slow", tokens_per_second=20.0) as slow:
        (manifests / "all.yaml").write_text(
            yaml.safe_dump_all(setup.but(cheap=slow.endpoint).objects()), encoding="utf-8"
        )
        with serving(tmp_path, manifests, alone=True) as served, ThreadPoolExecutor(1) as pool:
            body = {"stream": True, "messages": [{"role": "user", "content": "What is a fjord?"}]}
            url = f"{served.url}/v1/chat/completions"
            streaming = pool.submit(lambda: loopback.post(url, json=body, headers=AUTH, timeout=30).text)
            wait_for(lambda: slow.seen()["in_flight"] == 1, "the stream has begun")
            children = children_of(served.process.process.pid)
            assert len(children) == 2, "the cache and the ledger"
            assert served.process.stop(number) == 0
            assert streaming.result().endswith("data: [DONE]\n\n")
            assert not any(map(is_alive, children))
            assert "nothing is left running" in served.process.output


def test_what_it_prints_at_the_start_works_when_pasted(
    tmp_path: Path, cheap: Provider, rich: Provider
) -> None:
    manifests = tmp_path / "examples"
    manifests.mkdir()
    for file in (Path(__file__).parents[2] / "examples").glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        text = text.replace("http://127.0.0.1:9101/v1", cheap.endpoint)
        text = text.replace("http://127.0.0.1:9102/v1", rich.endpoint)
        (manifests / file.name).write_text(text, encoding="utf-8")
    with serving(tmp_path, manifests) as served:
        wait_for(lambda: "Ctrl-C stops" in served.process.output, "it has introduced itself")
        (line,) = [line for line in served.process.output.splitlines() if line.strip().startswith("curl ")]
        reply = subprocess.run(["sh", "-c", f"{line} -s"], capture_output=True, text=True, check=True)  # noqa: S603, S607 - the line we printed
        assert '"source":"live"' in reply.stdout
        assert "acme" in served.process.output
        assert "25 USD a day (Europe/Berlin)" in served.process.output


def test_one_redis_url_serves_both_roles_and_is_warned_of(
    tmp_path: Path, manifests: Path, fault_redis: EmbeddedRedis
) -> None:
    with serving(tmp_path, manifests, "--redis", fault_redis.url) as served:
        assert served.ask("What is a fjord?").status_code == 200
        assert children_of(served.process.process.pid) == []
        assert "LedgerMayEvict" in served.process.output


def test_a_change_that_a_redis_was_in_the_way_of_is_taken_when_it_is_back(
    tmp_path: Path, manifests: Path, fault_redis: EmbeddedRedis
) -> None:
    with serving(tmp_path, manifests, "--redis", fault_redis.url) as served:
        before, file = served.revision(), manifests / "all.yaml"
        fault_redis.kill()
        file.write_text(file.read_text(encoding="utf-8").replace("openai/gpt-4o-mini", "openai/gpt-4o"))
        wait_for(lambda: "trouble" in served.process.output, "it says what is in the way")
        fault_redis.start()
        wait_for(lambda: served.revision() != before, "it is taken", 30)


def test_manifests_beside_the_data_are_followed(tmp_path: Path, manifests: Path) -> None:
    beside = manifests.rename(tmp_path / "data-manifests")
    with serving(tmp_path, beside) as served:
        before, file = served.revision(), beside / "all.yaml"
        file.write_text(file.read_text(encoding="utf-8").replace("openai/gpt-4o-mini", "openai/gpt-4o"))
        wait_for(lambda: served.revision() != before, "it is taken")


def test_a_full_disk_costs_log_lines_and_nothing_else(tmp_path: Path, manifests: Path) -> None:
    with serving(tmp_path, manifests, "--log", "/dev/full") as served:
        for _ in range(3):
            assert served.ask("What is a fjord?").status_code == 200
        assert served.process.stop() == 0
    assert "Traceback" not in served.process.output
