"""`make bench-seed`: the load of the audit that Tollway answers, in one command. k6 replays Azure's trace, scaled, over
labelled questions of which 34 % are repeated and 45 % can be answered from memory; once straight to the dear model,
once through one data plane, and then as fast as that bears. Providers are simulated: as slow as the audit's, failing
as often, and billing by token.

`python -m bench.seed --data FOLDER` prints what came of it beside the audit's figures; FOLDER has cache/ and load/,
which are not part of this repository. k6 is built once: `python tools/cluster_tools.py scaling`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bench.replay import Outcome, Target, k6, replay
from bench.report import keep, origin
from bench.seed_figures import CHEAP, NOBODY, RICH, STAND_IN, Billed, Measured, Noted, Phase, figures
from bench.seed_report import as_markdown, picture
from bench.traffic import Ask, arrivals, read, traffic
from bench.usage import cpu_s, resident_mb
from tests.dataplanes import ACME_KEY, Setup
from tests.processes import free_port, started, wait_for
from tests.servers import redis_servers
from tests.snapshots import process_env, published
from tollway_api.catalog import bundled
from tools.cluster_tools import BuildError

# Which has a mean of 340 ms, and 1.2 s at the 99th percentile, as requests had before Tollway.
LATENCY: Final = "lognormal:279ms,0.627"
# Of the calls to each provider, 4 % in all. Those that never come are `bench.faults`' business.
FAULTS: Final = {"rate-limit": 0.01, "server-error": 0.02, "unavailable": 0.01}
STARTS_S: Final = 300.0
LIMITS: Final = [
    {"name": "money", "amount": "9000000"},
    {"name": "tokens", "unit": "Tokens", "amount": "100000000", "window": {"rolling": "1h"}},
    {"name": "requests", "unit": "Requests", "amount": "100000000"},
]


@dataclass(frozen=True)
class Provider:
    url: str

    @property
    def endpoint(self) -> str:
        return f"{self.url}/v1"

    def fail(self, faults: Mapping[str, float]) -> None:
        given = [{"kind": kind, "probability": share} for kind, share in faults.items()]
        httpx.put(f"{self.url}/control/faults", json={"faults": given}).raise_for_status()

    def bills(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """Tokens by user, model, and prompt or completion."""
        found: Mapping[str, Mapping[str, Mapping[str, int]]] = httpx.get(
            f"{self.url}/control/requests", timeout=60
        ).json()["bills"]
        return found


@dataclass(frozen=True)
class Town:
    """The servers."""

    cheap: Provider
    rich: Provider
    url: str  # of the data plane
    pid: int
    log: Path


@contextmanager
def provider(folder: Path, name: str, seed: int) -> Iterator[Provider]:
    port = free_port()
    arguments = ("--listen", f"127.0.0.1:{port}", "--name", name, "--latency", LATENCY, "--seed", str(seed))
    with started(folder / f"{name}.log", "tollway_cli", "simulate", *arguments):
        made = Provider(f"http://127.0.0.1:{port}")
        wait_for(lambda: httpx.get(f"{made.url}/healthz").status_code == 200, f"{name} answers", STARTS_S)
        yield made


def setup(cheap: Provider, rich: Provider) -> Setup:
    """As few words as a user would need for this."""
    models = [
        {"name": "cheap", "model": f"openai/{CHEAP}", "endpoint": cheap.endpoint},
        {"name": "rich", "model": f"openai/{RICH}", "endpoint": rich.endpoint},
        {"name": "stand-in", "model": f"openai/{STAND_IN}", "endpoint": cheap.endpoint},
    ]
    route = {"simpleModel": "cheap", "complexModel": "rich", "complexity": {"classifier": "Embedding"}}
    return Setup(
        cheap.endpoint, rich.endpoint, policy={"models": models, "route": route}, acme={"limits": LIMITS}
    )


@contextmanager
def town(folder: Path) -> Iterator[Town]:
    with ExitStack() as stack:
        cheap, rich = (stack.enter_context(provider(folder, *each)) for each in (("cheap", 1), ("rich", 2)))
        cache, ledger = stack.enter_context(redis_servers(folder))
        published(setup(cheap, rich), folder / "snapshot", cache, ledger)
        port, admin, log = free_port(), free_port(), folder / "dataplane.log"
        env = process_env(folder / "snapshot", cache, ledger, port, admin)
        served = stack.enter_context(started(log, "tollway_dataplane", env=env))
        ready = f"http://127.0.0.1:{admin}/readyz"
        wait_for(lambda: httpx.get(ready).status_code == 200, "tollway is ready", STARTS_S)
        yield Town(cheap, rich, f"http://127.0.0.1:{port}", served.process.pid, log)


def billed(providers: Sequence[Provider], who: str) -> Billed:
    """What somebody was billed for, in USD and by model."""
    usd: dict[str, float] = {}
    for each in providers:
        for model, tokens in each.bills().get(who, {}).items():
            entry = bundled().find(model)
            assert entry is not None
            assert entry.price is not None
            pico = (
                tokens.get("prompt", 0) * entry.price.input + tokens.get("completion", 0) * entry.price.output
            )
            usd[model] = usd.get(model, 0.0) + pico / 1e12
    return Billed(usd)


def noted(log: Path) -> dict[str, Noted]:
    """What the data plane's own log says, by request."""
    lines = (
        json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")
    )
    return {each["request_id"]: _noted(each) for each in lines if each["event"] == "request"}


def _noted(line: Mapping[str, Any]) -> Noted:
    marks = line["stages_ms"]
    took = marks["upstream"] - marks["hold"] if "upstream" in marks else 0.0
    return Noted(line["cache"] or "", line["route"] or "", line["refusal"] or "", took)


def asked(asks: Sequence[Ask]) -> list[tuple[float, str]]:
    return [(each.due_s - asks[0].due_s, each.prompt) for each in asks]


def measure(place: Town, asks: Sequence[Ask], further: Sequence[Ask], folder: Path) -> Measured:
    """`further` are what is asked in the end, as fast as they are answered."""
    both = (place.cheap, place.rich)

    def through(part: Sequence[Ask], who: str, *, paced: bool) -> Phase:
        print(
            f"{len(part):,} requests through Tollway, {'as they came' if paced else 'at once'} …", flush=True
        )
        began = cpu_s([place.pid])
        target = Target(place.url, ACME_KEY, "auto", who)
        outcomes = replay(asked(part), target, folder, paced=paced)
        spent = cpu_s([place.pid]) - began
        time.sleep(1.0)  # which is more than lines take to be written
        lines = noted(place.log)
        return Phase(
            part, outcomes, [lines.get(each.request, NOBODY) for each in outcomes], billed(both, who), spent
        )

    def straight(part: Sequence[Ask]) -> Phase:
        print(f"{len(part):,} requests straight to the dear model …", flush=True)
        outcomes: list[Outcome] = replay(asked(part), Target(place.rich.url, "key", RICH, "before"), folder)
        return Phase(part, outcomes, [], billed(both, "before"), 0.0)

    for each in both:
        each.fail(FAULTS)
    before, after = straight(asks), through(asks, "after", paced=True)
    return Measured(before, after, through(further, "at most", paced=False), resident_mb([place.pid]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cache/ and load/")
    parser.add_argument("--requests", type=int, default=4_000, help="that are replayed as they came")
    parser.add_argument("--rate", type=float, default=40.0, help="of them a second, in the mean")
    parser.add_argument(
        "--at-most", type=int, default=4_000, help="further ones, as fast as they are answered"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="write the results to bench/results/")
    given = parser.parse_args()
    try:
        k6()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    due_s = arrivals(given.data, given.requests + given.at_most, given.rate)
    asks = traffic(read(given.data), due_s, given.seed)
    with tempfile.TemporaryDirectory() as temporary, town(Path(temporary)) as place:
        found = measure(place, asks[: given.requests], asks[given.requests :], Path(temporary))
    report = {**origin("bench.seed"), **figures(found)}
    text = as_markdown(report)
    print(f"\n{text}")
    if given.save:
        keep("seed", report, text, picture(found))
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
