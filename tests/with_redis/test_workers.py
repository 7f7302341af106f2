"""Several workers on one machine, as processes: what they share, and what becomes of one that dies."""

import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests import loopback
from tests.dataplanes import ACME_KEY, Setup
from tests.processes import Process, children_of, free_ports, is_alive, started, wait_for
from tests.servers import Provider, provider
from tests.snapshots import process_env, published
from tollway_cli.embedded_redis import EmbeddedRedis

pytestmark = pytest.mark.long

AUTH = {"authorization": f"Bearer {ACME_KEY}"}
WORKERS = ("1", "2")
_MOST_STREAMS = 12
_STARTS_S = 180.0  # as many loads of everything as there are workers, beside the other tests


class Served:
    def __init__(self, process: Process, port: int, admin: int) -> None:
        self.process = process
        self.url, self.admin = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}"

    def ask(self, prompt: str) -> httpx.Response:
        """On a connection of its own, of which the kernel gives each to one of them."""
        return loopback.post(f"{self.url}/chat", json={"prompt": prompt}, headers=AUTH, timeout=60)

    def is_whole(self, prompt: str) -> bool:
        """Whether a stream has come to its end."""
        body = {"stream": True, "messages": [{"role": "user", "content": prompt}]}
        try:
            reply = loopback.post(f"{self.url}/v1/chat/completions", json=body, headers=AUTH, timeout=600)
        except httpx.TransportError:
            return False
        return reply.text.endswith("data: [DONE]\n\n")

    def ready(self) -> bool:
        assert self.process.process.poll() is None, self.process.output
        return loopback.get(f"{self.admin}/readyz").status_code == 200

    def revision(self) -> str | None:
        revision: str | None = loopback.get(f"{self.admin}/readyz").json()["revision"]
        return revision

    def counted(self, name: str) -> Mapping[str, float]:
        """Samples of a metric added up, by worker."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(loopback.get(f"{self.admin}/metrics").text):
            for sample in family.samples:
                if sample.name == name:
                    worker = sample.labels["worker"]
                    found[worker] = found.get(worker, 0) + sample.value
        return found

    def workers(self) -> list[int]:
        return list(self.by_number().values())

    def by_number(self) -> Mapping[str, int]:
        """Processes by their number, which is the end of the name of their socket."""
        commands = {
            pid: Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
            for pid in children_of(self.process.process.pid)
        }
        return {
            words[words.index("--worker") + 1].rpartition("-")[2]: pid
            for pid, words in commands.items()
            if "--worker" in words
        }


@contextmanager
def data_planes(folder: Path, log: Path, cache: EmbeddedRedis, ledger: EmbeddedRedis) -> Iterator[Served]:
    port, admin = free_ports(2)
    env = {
        **process_env(folder, cache, ledger, port, admin),
        "TOLLWAY_WORKERS": str(len(WORKERS)),
        "TOLLWAY_CACHE_READ_DEADLINE_S": "1",
        "TOLLWAY_LEDGER_DEADLINE_S": "5",
    }
    with started(log, "tollway_dataplane", env=env) as process:
        served = Served(process, port, admin)
        wait_for(served.ready, "all are ready", _STARTS_S)
        yield served


def test_they_share_the_port_and_the_budget_and_one_that_dies_comes_back(
    tmp_path: Path, setup: Setup, cheap: Provider, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    limits = [{"name": "fifty", "unit": "Requests", "amount": "50"}]
    published(setup.but(acme={"limits": limits}), tmp_path / "snapshot", cache_redis, ledger_redis)
    with data_planes(tmp_path / "snapshot", tmp_path / "log", cache_redis, ledger_redis) as served:
        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda number: served.ask(f"question {number}").status_code, range(200)))
        assert sorted(statuses) == [200] * 50 + [429] * 150, "what all of them have is one budget"
        assert cheap.total == 50
        counted = served.counted("ai_requests_total")
        assert counted.keys() == set(WORKERS), "the kernel spreads connections"
        assert sum(counted.values()) == 200
        assert served.counted("tollway_worker_up") == dict.fromkeys(WORKERS, 1.0)

        victim, survivor = sorted(served.workers())
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: not is_alive(victim), "it is dead")
        assert served.ask("question 200").status_code == 429, "the other goes on"
        wait_for(
            lambda: sum(served.counted("tollway_worker_restarts_total").values()) == 1, "it is started again"
        )
        wait_for(served.ready, "and is ready", _STARTS_S)
        assert survivor in served.workers()
        wait_for(
            lambda: (
                served.ask("again").status_code == 429
                and min(served.counted("ai_requests_total").get(each, 0) for each in WORKERS) > 0
            ),
            "it has requests again",
        )
        assert '"a worker has ended"' in served.process.output
        assert served.process.stop() == 0


def test_one_that_hangs_is_replaced_and_only_its_own_streams_break(
    tmp_path: Path, setup: Setup, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    with provider("slow", tokens_per_second=0.9) as slow:
        published(setup.but(cheap=slow.endpoint), tmp_path / "snapshot", cache_redis, ledger_redis)
        with (
            data_planes(tmp_path / "snapshot", tmp_path / "log", cache_redis, ledger_redis) as served,
            ThreadPoolExecutor(_MOST_STREAMS) as pool,
        ):
            streaming: list[Future[bool]] = []
            under_way: Mapping[str, float] = {}
            # The kernel gives each to one of them, so both have some soon.
            while not all(under_way.get(each) for each in WORKERS):
                assert len(streaming) < _MOST_STREAMS, under_way
                streaming.append(pool.submit(served.is_whole, f"What is fjord {len(streaming)}?"))
                wait_for(lambda: slow.seen()["in_flight"] == len(streaming), "it has begun", _STARTS_S)
                under_way = served.counted("tollway_requests_in_flight")
            hung = served.by_number()[WORKERS[0]]
            os.kill(hung, signal.SIGSTOP)
            wait_for(lambda: not is_alive(hung), "it is killed", _STARTS_S)
            wait_for(
                lambda: served.counted("tollway_worker_restarts_total") == {WORKERS[0]: 1, WORKERS[1]: 0},
                "another is in its place",
                _STARTS_S,
            )
            assert '"it does not answer any more"' in served.process.output
            whole = [number for number, each in enumerate(streaming) if each.result()]
            assert len(whole) == under_way[WORKERS[1]]
            wait_for(served.ready, "all are ready", _STARTS_S)
            assert served.ask(f"What is fjord {whole[0]}?").status_code == 200


def test_streams_end_before_they_do_and_nothing_is_left(
    tmp_path: Path, setup: Setup, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    with provider("slow", tokens_per_second=20.0) as slow:
        published(setup.but(cheap=slow.endpoint), tmp_path / "snapshot", cache_redis, ledger_redis)
        with (
            data_planes(tmp_path / "snapshot", tmp_path / "log", cache_redis, ledger_redis) as served,
            ThreadPoolExecutor(1) as pool,
        ):
            streaming = pool.submit(served.is_whole, "What is a fjord?")
            wait_for(lambda: slow.seen()["in_flight"] == 1, "the stream has begun")
            workers = served.workers()
            assert len(workers) == len(WORKERS)
            assert served.process.stop() == 0
            assert streaming.result()
            assert not any(map(is_alive, workers))


def test_where_none_can_listen_all_end_and_it_is_said_why(
    tmp_path: Path, setup: Setup, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    published(setup, tmp_path / "snapshot", cache_redis, ledger_redis)
    unfit = tmp_path / ("x" * 100)  # longer than a socket's name may be
    unfit.mkdir()
    port, admin = free_ports(2)
    env = {
        **process_env(tmp_path / "snapshot", cache_redis, ledger_redis, port, admin),
        "TOLLWAY_WORKERS": "2",
        "TMPDIR": str(unfit),
    }
    with started(tmp_path / "log", "tollway_dataplane", env=env) as process:
        wait_for(lambda: process.process.poll() is not None, "it ends", _STARTS_S)
        assert process.process.poll() == 1
        assert "cannot listen on" in process.output
        assert "AF_UNIX path too long" in process.output
        assert "no worker can be started" in process.output.splitlines()[-1]


def test_workers_end_when_who_keeps_them_is_gone(
    tmp_path: Path, setup: Setup, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    published(setup, tmp_path / "snapshot", cache_redis, ledger_redis)
    with data_planes(tmp_path / "snapshot", tmp_path / "log", cache_redis, ledger_redis) as served:
        workers = served.workers()
        served.process.stop(signal.SIGKILL)
        wait_for(lambda: not any(map(is_alive, workers)), "they have ended", _STARTS_S)


def test_a_port_that_is_taken_is_said_by_the_one_that_keeps_them(
    tmp_path: Path, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    port, *admins = free_ports(3)
    first, second = (
        {**process_env(tmp_path, cache_redis, ledger_redis, port, admin), "TOLLWAY_WORKERS": "2"}
        for admin in admins
    )
    with (
        started(tmp_path / "one", "tollway_dataplane", env=first) as one,
        started(tmp_path / "two", "tollway_dataplane", env=second) as two,
    ):
        wait_for(
            lambda: None not in {one.process.poll(), two.process.poll()} or _ended(one, two), "one ends", 60
        )
        (ended,) = [each for each in (one, two) if each.process.poll() is not None]
        assert ended.process.poll() == 1
        assert "cannot listen on" in ended.output


def _ended(*processes: Process) -> bool:
    return any(each.process.poll() is not None for each in processes)


def test_serve_has_workers_that_follow_the_manifests_together(tmp_path: Path, setup: Setup) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    file = manifests / "all.yaml"
    file.write_text(yaml.safe_dump_all(setup.objects()), encoding="utf-8")
    port, admin = free_ports(2)
    arguments = (
        *("serve", "--manifests", str(manifests), "--data-dir", str(tmp_path / "data"), "--workers", "2"),
        *("--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"),
    )
    with started(tmp_path / "serve.log", "tollway_cli", *arguments) as process:
        served = Served(process, port, admin)
        wait_for(lambda: "Ctrl-C stops" in process.output, "it introduces itself", _STARTS_S)
        assert served.ready()
        before, workers = served.revision(), served.workers()
        assert served.ask("What is a fjord?").json()["source"] == "live"
        wait_for(lambda: served.ask("What is a fjord?").json()["source"] == "cache", "they share answers")

        file.write_text("a: [", encoding="utf-8")
        wait_for(lambda: "change refused" in process.output, "what is broken changes nothing")
        assert served.revision() == before
        policy = {"route": {"simpleModel": "rich"}}
        file.write_text(yaml.safe_dump_all(setup.but(policy=policy).objects()), encoding="utf-8")
        wait_for(lambda: "change taken" in process.output, "what is good is taken", 60)
        assert served.revision() not in {before, None}, "by all of them"
        assert served.workers() == workers, "without a restart"

        token = (tmp_path / "data" / "admin-token" / "token").read_text(encoding="utf-8")
        url, wanted = f"{served.admin}/purge", {"index": "default/answers"}
        assert loopback.post(url, json=wanted).status_code == 401
        purged = loopback.post(url, json=wanted, headers={"authorization": f"Bearer {token}"})
        assert purged.json()["indexes"] == ["default/answers"]
        assert process.stop() == 0
        assert not any(map(is_alive, workers))
        assert "nothing is left running" in process.output
        log = (tmp_path / "data" / "requests.log").read_text(encoding="utf-8")
        assert "What is a fjord" not in log
        assert log.count('"snapshot runs"') >= 2 * len(WORKERS)
