"""What is put under load, each a process of one worker with what it needs. All take the same body, which asks for the
model "auto".
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bench.peers import installing
from bench.prompts import REMEMBERED, body
from tests import loopback
from tests.dataplanes import ACME_KEY, Setup
from tests.processes import free_port, started, wait_for
from tests.servers import redis_servers
from tests.snapshots import process_env, published
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole

_STARTS_S: Final = 240.0  # LiteLLM Proxy, where others want the processor as well
# A machine that is busy must not turn hits into live answers, which is what a data plane makes of a late cache.
_PATIENT: Final = {
    "TOLLWAY_CACHE_READ_DEADLINE_S": "2",
    "TOLLWAY_EMBED_DEADLINE_S": "10",
    "TOLLWAY_LEDGER_DEADLINE_S": "5",
}
_LIMITS: Final = [
    {"name": "money", "amount": "9000000"},
    {"name": "tokens", "unit": "Tokens", "amount": "900000000", "window": {"rolling": "1h"}},
    {"name": "requests", "unit": "Requests", "amount": "900000000"},
]


@dataclass(frozen=True)
class Subject:
    url: str  # of the server, without a path
    pid: int
    headers: Mapping[str, str] = field(default_factory=dict)
    stores: Sequence[int] = ()  # processes of the Redis that it has for itself
    admin: str = ""  # where metrics are, if it is Tollway

    @property
    def chat(self) -> str:
        return f"{self.url}/v1/chat/completions"

    def ask(self, sent: bytes) -> httpx.Response:
        headers = {"content-type": "application/json", **self.headers}
        return loopback.post(self.chat, content=sent, headers=headers, timeout=30).raise_for_status()

    def sources(self) -> dict[str, float]:
        """How many requests Tollway has answered from where, so far, without those whose callers have left."""
        if not self.admin:
            return {}
        families = text_string_to_metric_families(loopback.get(f"{self.admin}/metrics").text)
        samples = (each for family in families for each in family.samples)
        found: dict[str, float] = {}
        for sample in samples:
            if sample.name == "ai_requests_total" and (source := sample.labels["source"]) != "none":
                found[source] = found.get(source, 0.0) + sample.value
        return found


@contextmanager
def baseline(folder: Path, name: str, upstream: str) -> Iterator[Subject]:
    port = free_port()
    with started(folder / f"{name}.log", "bench.baselines", name, str(port), upstream) as served:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: loopback.get(url).status_code == 404, f"{name} answers", _STARTS_S)
        yield Subject(url, served.process.pid)


@contextmanager
def tollway(folder: Path, upstream: str, *, cached: bool) -> Iterator[Subject]:
    """With a key, a budget of money, tokens and requests, metrics and logs; and, if it is asked for, with a cache that
    remembers what `prompts` says.
    """
    policy: Mapping[str, object] = {} if cached else {"cache": None}
    setup = Setup(upstream, upstream, policy=policy, acme={"limits": _LIMITS})
    folder.mkdir()
    with redis_servers(folder) as (cache, ledger):
        published(setup, folder / "snapshot", cache, ledger)
        port, admin_port = free_port(), free_port()
        env = {**process_env(folder / "snapshot", cache, ledger, port, admin_port), **_PATIENT}
        with started(folder / "dataplane.log", "tollway_dataplane", env=env) as served:
            url, admin = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}"
            wait_for(
                lambda: loopback.get(f"{admin}/readyz").status_code == 200, "tollway is ready", _STARTS_S
            )
            key = {"authorization": f"Bearer {ACME_KEY}"}
            subject = Subject(url, served.process.pid, key, (cache.pid, ledger.pid), admin)
            if cached:
                _remember(subject)
            yield subject


def _remember(subject: Subject) -> None:
    for prompt in REMEMBERED:
        subject.ask(body(prompt))
    # Answers are remembered behind the reply, so the last is asked for in other words until it is found.
    last = body(REMEMBERED[-1].replace("How do", "How can"))
    wait_for(
        lambda: subject.ask(last).headers["x-tollway-source"] == "semantic", "all is remembered", _STARTS_S
    )


@contextmanager
def litellm_proxy(folder: Path, upstream: str, *, cached: bool) -> Iterator[Subject]:
    """With a master key, and as its documentation has it for production; no database, so no budgets. If it is asked
    for, with its cache in a Redis.
    """
    folder.mkdir()
    with EmbeddedRedis(RedisRole.CACHE, folder / "redis") as redis:
        settings: dict[str, object] = {"set_verbose": False, "telemetry": False}
        if cached:
            where = {"type": "redis", "host": "127.0.0.1", "port": redis.port}
            settings |= {"cache": True, "cache_params": where}
        model = {"model": "openai/gpt-4o-mini", "api_base": upstream, "api_key": "none"}
        config = {
            "model_list": [{"model_name": "auto", "litellm_params": model}],
            "general_settings": {"master_key": "sk-bench"},
            "litellm_settings": settings,
        }
        (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # which is YAML as well
        port = free_port()
        options = ("--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port))
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
        command = [str(installing.litellm_proxy()), *options, "--num_workers", "1", "--telemetry", "False"]
        url = f"http://127.0.0.1:{port}"
        key = {"authorization": "Bearer sk-bench"}
        with _command(command, env, folder / "log", f"{url}/health/liveliness") as pid:
            yield Subject(url, pid, key, (redis.pid,) if cached else ())


@contextmanager
def portkey(folder: Path, upstream: str) -> Iterator[Subject]:
    """As its package comes. That has no answers from memory: it calls its cache disabled, whatever is asked for."""
    port = free_port()
    command = ["node", str(installing.portkey()), "--headless", f"--port={port}"]
    route = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream}
    url = f"http://127.0.0.1:{port}"
    with _command(command, {"NODE_ENV": "production"}, folder / "portkey.log", url) as pid:
        yield Subject(url, pid, {"authorization": "Bearer none", **route})


@contextmanager
def _command(command: Sequence[str], env: Mapping[str, str], log: Path, alive: str) -> Iterator[int]:
    # Programs of others are told nothing else: neither how ours are found, nor whatever keys there are.
    told = {"PATH": os.environ["PATH"], "HOME": str(log.parent), **env}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=told, stdout=output, stderr=output, cwd=log.parent)
        try:
            wait_for(lambda: _answers(process, alive), f"{command[0]} answers", _STARTS_S)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(process: "subprocess.Popen[bytes]", url: str) -> bool:
    assert process.poll() is None, f"it has ended with status {process.returncode}"
    return loopback.get(url).status_code == 200
