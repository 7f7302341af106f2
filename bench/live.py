"""`make bench`: one worker each, side by side in one run over the same fake provider: a bare aiohttp pass-through,
LiteLLM's SDK, and Tollway with keys, a budget, metrics and logs on: live, and answering from the exact cache. Rounds
alternate, because machines are noisy; the ratios count. Needs wrk and nginx (Debian: wrk, nginx-light).
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.load import Burst, burst
from tests.dataplanes import ACME_KEY, Setup
from tests.processes import free_port, started, wait_for
from tests.servers import redis_servers
from tests.snapshots import process_env, published

RESULTS = Path(__file__).parent / "results"
BODY: dict[str, object] = {
    "model": "auto",
    "messages": [{"role": "user", "content": "Tell me about lighthouses. " * 35}],  # about 1 kB
}
REPLY = {
    "id": "bench", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 180}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 180, "completion_tokens": 180, "total_tokens": 360},
}  # fmt: skip
FLOORS = {"tollway live / pass-through": 0.40, "tollway exact / tollway live": 3.0}


@contextmanager
def fake_provider(folder: Path) -> Iterator[str]:
    """nginx, which answers everything with one completion and is never the bottleneck."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        "events { worker_connections 2048; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"  server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000;\n"
        f"    location / {{ default_type application/json; return 200 '{json.dumps(REPLY)}'; }} }} }}\n",
        encoding="utf-8",
    )
    nginx = subprocess.Popen([str(shutil.which("nginx")), "-c", str(config), "-p", str(folder)])
    try:
        url = f"http://127.0.0.1:{port}/v1"
        wait_for(lambda: httpx.post(f"{url}/chat/completions").status_code == 200, "nginx answers")
        yield url
    finally:
        nginx.terminate()
        nginx.wait()


@dataclass(frozen=True)
class Subject:
    """A process under load."""

    url: str
    pid: int


@contextmanager
def tollway(folder: Path, provider: str, *, cached: bool) -> Iterator[Subject]:
    """A data-plane process with a budget of money, tokens and requests for its tenant."""
    limits = [
        {"name": "money", "amount": "9000000"},
        {"name": "tokens", "unit": "Tokens", "amount": "100000000", "window": {"rolling": "1h"}},
        {"name": "requests", "unit": "Requests", "amount": "100000000"},
    ]
    policy: Mapping[str, object] = {} if cached else {"cache": None}
    setup = Setup(provider, provider, policy=policy, acme={"limits": limits})
    folder.mkdir()
    with redis_servers(folder) as (cache, ledger):
        published(setup, folder / "snapshot", cache, ledger)
        port, admin = free_port(), free_port()
        env = process_env(folder / "snapshot", cache, ledger, port, admin)
        with started(folder / "dataplane.log", "tollway_dataplane", env=env) as served:
            ready = f"http://127.0.0.1:{admin}/readyz"
            wait_for(lambda: httpx.get(ready).status_code == 200, "tollway is ready")
            yield Subject(f"http://127.0.0.1:{port}", served.process.pid)


@contextmanager
def baseline(folder: Path, name: str, provider: str) -> Iterator[Subject]:
    port = free_port()
    with started(folder / f"{name}.log", "bench.baselines", name, str(port), provider) as served:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: httpx.get(url).status_code == 404, f"{name} answers")
        yield Subject(url, served.process.pid)


def measure(rounds: int, seconds: float) -> dict[str, list[Burst]]:
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        provider = stack.enter_context(fake_provider(folder))
        subjects = {
            "pass-through": stack.enter_context(baseline(folder, "passthrough", provider)),
            "litellm SDK": stack.enter_context(baseline(folder, "litellm", provider)),
            "tollway live": stack.enter_context(tollway(folder / "live", provider, cached=False)),
            "tollway exact": stack.enter_context(tollway(folder / "exact", provider, cached=True)),
        }
        found: dict[str, list[Burst]] = {name: [] for name in subjects}
        for number in range(rounds + 1):
            for name, subject in subjects.items():
                shown = f"round {number}/{rounds}" if number else "warm-up"
                print(f"{shown}: {name} …", end=" ", flush=True)
                length = seconds if number else 1.0
                result = burst(f"{subject.url}/v1/chat/completions", BODY, ACME_KEY, length, folder)
                print(f"{result.requests_per_second:,.0f} requests/s")
                if number:
                    found[name].append(result)
        return found


def summary(found: Mapping[str, list[Burst]]) -> dict[str, object]:
    rates = {name: [each.requests_per_second for each in bursts] for name, bursts in found.items()}

    def ratio(one: str, other: str) -> list[float]:
        return [a / b for a, b in zip(rates[one], rates[other], strict=True)]

    ratios = {
        "tollway live / pass-through": ratio("tollway live", "pass-through"),
        "tollway exact / tollway live": ratio("tollway exact", "tollway live"),
        "tollway exact / pass-through": ratio("tollway exact", "pass-through"),
        "tollway live / litellm SDK": ratio("tollway live", "litellm SDK"),
    }
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "command": "python -m bench.live " + " ".join(sys.argv[1:]),
        "when": time.strftime("%Y-%m-%d"),
        "requests_per_second": {name: _spread(values) for name, values in rates.items()},
        "p50_ms": {name: _spread([each.p50_ms for each in bursts]) for name, bursts in found.items()},
        "p99_ms": {name: _spread([each.p99_ms for each in bursts]) for name, bursts in found.items()},
        "errors": {name: sum(each.errors for each in bursts) for name, bursts in found.items()},
        "ratios": {name: _spread(values) for name, values in ratios.items()},
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "max": round(max(values), 3),
    }


def as_markdown(report: Mapping[str, object]) -> str:
    lines = [
        "# Live requests and exact hits, one worker each",
        "",
        f"Commit {report['commit']}, {report['machine']}, {report['when']}; `{report['command']}`.",
        "wrk with 32 connections, a request of about 1 kB, nginx as the provider. Medians of alternating rounds,",
        "with the smallest and the largest. Absolute figures are this machine's; the ratios are what counts.",
        "",
    ]
    titles = {"requests/s": "requests_per_second", "p50 ms": "p50_ms", "p99 ms": "p99_ms", "ratio": "ratios"}
    for title, key in titles.items():
        table = report[key]
        assert isinstance(table, dict)
        lines += [f"| {title} | median | min | max |", "|---|---:|---:|---:|"]
        lines += [f"| {name} | {v['median']:,} | {v['min']:,} | {v['max']:,} |" for name, v in table.items()]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one burst")
    parser.add_argument("--save", action="store_true", help="write the results to bench/results/")
    arguments = parser.parse_args()
    if missing := [tool for tool in ("wrk", "nginx") if shutil.which(tool) is None]:
        print(f"{' and '.join(missing)} not found; install Debian's wrk and nginx-light", file=sys.stderr)
        return 2
    report = summary(measure(arguments.rounds, arguments.seconds))
    text = as_markdown(report)
    print(f"\n{text}")
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "live.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "live.md").write_text(text, encoding="utf-8")
    ratios = report["ratios"]
    assert isinstance(ratios, dict)
    below = [name for name, floor in FLOORS.items() if ratios[name]["median"] < floor]
    for name in below:
        print(f"below its floor of {FLOORS[name]}: {name} is {ratios[name]['median']}", file=sys.stderr)
    return int(bool(below))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
