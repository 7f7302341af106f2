"""A data plane that remembers many questions, and loads of many bodies. For `bench.semantic` and `bench.stalls`."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.dataplanes import ACME_KEY, Setup
from tests.processes import Process, free_ports, started, wait_for
from tests.servers import redis_servers
from tests.snapshots import process_env, published
from tollway_cli.embedded_redis import EmbeddedRedis

AUTH: Final = {"authorization": f"Bearer {ACME_KEY}"}
LIMITS: Final = [
    {"name": "money", "amount": "9000000"},
    {"name": "tokens", "unit": "Tokens", "amount": "100000000", "window": {"rolling": "1h"}},
    {"name": "requests", "unit": "Requests", "amount": "100000000"},
]
# A machine that is loaded must not make misses of hits.
_PATIENT: Final = {
    "TOLLWAY_CACHE_READ_DEADLINE_S": "10",
    "TOLLWAY_EMBED_DEADLINE_S": "10",
    "TOLLWAY_LEDGER_DEADLINE_S": "10",
}
_THINGS: Final = (
    "bank", "phone", "work", "school", "mail", "cloud", "game", "shop", "router", "laptop", "tablet", "backup",
    "photo", "music", "video", "travel", "hotel", "airline", "gym", "library", "museum", "theatre", "clinic",
    "pharmacy", "insurance", "payroll", "tax", "energy", "water", "parking",
)  # fmt: skip
_PLACES: Final = (
    "account",
    "portal",
    "profile",
    "app",
    "membership",
    "dashboard",
    "subscription",
    "newsletter",
)
_STARTS_S: Final = 180.0


def questions() -> list[tuple[str, str]]:
    """Made up: one that is remembered, and one that means the same. No two are alike, since the encoder reads the same
    text once for all who wait for it.
    """
    return [
        (
            f"How do I reset the password of my {thing} {place}?",
            f"How can I reset the password of my {thing} {place}?",
        )
        for thing in _THINGS
        for place in _PLACES
    ]


def chat(prompt: str, *, stream: bool = False) -> dict[str, object]:
    return {"model": "auto", "messages": [{"role": "user", "content": prompt}], "stream": stream}


@dataclass(frozen=True)
class Served:
    """A data plane under load."""

    process: Process
    url: str
    admin: str
    folder: Path
    cache: EmbeddedRedis
    ledger: EmbeddedRedis

    @property
    def completions(self) -> str:
        return f"{self.url}/v1/chat/completions"

    def publish(self, setup: Setup, order: int) -> None:
        published(setup, self.folder / "snapshot", self.cache, self.ledger, order)

    def hits_by_meaning(self) -> int:
        text = httpx.get(f"{self.admin}/metrics").text
        found = re.search(r'^ai_cache_lookups_total\{[^}]*reason="Semantic"[^}]*\} (\S+)', text, re.MULTILINE)
        return int(float(found[1])) if found else 0


@contextmanager
def serving(folder: Path, setup: Setup, *command: str) -> Iterator[Served]:
    """By a command, which is a module and its arguments."""
    folder.mkdir()
    with redis_servers(folder) as (cache, ledger):
        published(setup, folder / "snapshot", cache, ledger)
        port, admin = free_ports(2)
        env = {**process_env(folder / "snapshot", cache, ledger, port, admin), **_PATIENT}
        with started(folder / "dataplane.log", *command, env=env) as process:
            served = Served(
                process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", folder, cache, ledger
            )
            ready = f"{served.admin}/readyz"
            wait_for(lambda: httpx.get(ready).status_code == 200, "the data plane is ready", _STARTS_S)
            yield served


def taught(served: Served) -> list[tuple[str, str]]:
    """Has all questions answered, and returns those that are exact hits by now and whose paraphrases are hits by
    meaning.
    """
    found = []
    with httpx.Client(headers=AUTH, timeout=60) as client:
        for question, _ in questions():
            client.post(served.completions, json=chat(question)).raise_for_status()
        for question, paraphrase in questions():
            again = client.post(served.completions, json=chat(question)).headers["x-tollway-source"]
            source = client.post(served.completions, json=chat(paraphrase)).headers["x-tollway-source"]
            if (again, source) == ("exact", "semantic"):
                found.append((question, paraphrase))
    return found


def load(
    url: str, bodies: Sequence[Mapping[str, object]], seconds: int, folder: Path, connections: int = 32
) -> "subprocess.Popen[str]":
    """Begins a burst with wrk in which the bodies take turns; `median_ms` reads what it prints. `folder` is its own."""
    folder.mkdir(exist_ok=True)
    script = folder / "bodies.lua"
    lines = [
        "local bodies = {",
        *(f"  [==[{json.dumps(body)}]==]," for body in bodies),
        "}",
        "local turn = 0",
        'wrk.method = "POST"',
        'wrk.headers["content-type"] = "application/json"',
        *(f'wrk.headers["{name}"] = "{value}"' for name, value in AUTH.items()),
        "request = function()",
        "  turn = turn % #bodies + 1",
        "  return wrk.format(nil, nil, nil, bodies[turn])",
        "end",
        "",
    ]
    script.write_text("\n".join(lines), encoding="utf-8")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    return subprocess.Popen([*command, "-s", str(script), url], stdout=subprocess.PIPE, text=True)


def median_ms(printed: str) -> float:
    found = re.search(r"^\s+50%\s+([\d.]+)(us|ms|s)\s*$", printed, flags=re.MULTILINE)
    assert found is not None, printed
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1_000.0}[found[2]]
