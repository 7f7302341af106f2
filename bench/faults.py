"""Whether callers have an answer when providers fail: two data planes, Redis and two simulated providers, each a
process, each provider behind a TCP proxy that can be muted. Requests come at random, so many a second, whatever becomes
of those before. Ends with 1 where a promise was not kept.
"""

import argparse
import asyncio
import itertools
import json
import math
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from bench.fault_curves import drawing
from tests.dataplanes import compiled, manifest, secret
from tests.processes import free_port, started
from tests.proxies import Proxy, proxy
from tests.snapshots import mounted, process_env
from tollway_api.inventory import RawObject
from tollway_api.routing_policy import ModelState
from tollway_api.snapshot import encode
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_operator.provision import provision

RESULTS = Path(__file__).parent / "results"
KEY: Final = "key-of-everybody"
PODS: Final = 2
MOST: Final = 2  # fallbacks
FIRST_S: Final = 2.0  # what the first attempt may take
OPEN_S: Final = 10.0
OPENS_WITHIN_S: Final = 1.0  # of the first failure, where ten requests a second come to a data plane
MOST_ERRORS: Final = 0.001
# Of the calls to each provider: 4 % in all.
AT_PEAK: Final = {"rate-limit": 0.015, "server-error": 0.01, "unavailable": 0.005, "stall": 0.01}
A_THIRD_LIMITED: Final = {"rate-limit": 0.3}
# Above what a request takes without a fault, for a machine that is busy with the rest of the benchmark.
SLACK_S: Final = 1.0
_STATES: Final = frozenset(ModelState)


@dataclass(frozen=True)
class Call:
    """One request and what its caller saw. Seconds since the run began."""

    began: float
    seconds: float
    status: int
    source: str
    failed: Sequence[str]  # "model:trigger"

    @property
    def attempts(self) -> int:
        """Those that were made."""
        made = [each for each in self.failed if each.partition(":")[2] not in _STATES]
        return len(made) + (self.status == 200)

    def paid(self) -> bool:
        """For a first attempt at the main model that came to nothing in its time."""
        return bool(self.failed) and self.failed[0] == "main:Timeout"


@dataclass
class Run:
    """What one scenario came to. `asked` are the main provider's own counts, by seconds since the run began."""

    title: str
    calls: list[Call] = field(default_factory=list)
    asked: list[tuple[float, int]] = field(default_factory=list)
    upstream: int = 0  # by the providers' own count, of all models
    injected: Counter[str] = field(default_factory=Counter)
    away: tuple[float, float] = (0.0, 0.0)

    @property
    def errors(self) -> list[Call]:
        return [each for each in self.calls if each.status != 200]

    @property
    def most_errors(self) -> float:
        """The share of callers without an answer is smaller, with a confidence of 95 %."""
        return most_share(len(self.errors), len(self.calls))

    @property
    def by_main(self) -> float:
        """The share of callers whom the first model answered."""
        return sum(each.source == "main" for each in self.calls) / len(self.calls)


class Town:
    def __init__(self, http: aiohttp.ClientSession, pods: Sequence[int], providers: Sequence[str]) -> None:
        self.http = http
        self.pods = itertools.cycle(pods)
        self.providers = providers
        self.draw = random.Random(0)  # noqa: S311 - a run that can be repeated

    async def call(self, prompt: str, began_at: float) -> Call:
        url = f"http://127.0.0.1:{next(self.pods)}/v1/chat/completions"
        body = {"messages": [{"role": "user", "content": prompt}]}
        began = time.monotonic()
        async with self.http.post(url, json=body, headers={"authorization": f"Bearer {KEY}"}) as reply:
            await reply.read()
            failed = list(filter(None, reply.headers.get("x-tollway-failed-attempts", "").split(", ")))
            source = reply.headers.get("x-tollway-model", "")
            return Call(began - began_at, time.monotonic() - began, reply.status, source, failed)

    async def fail(self, faults: Mapping[str, float], providers: Sequence[str]) -> None:
        given = [{"kind": kind, "probability": share} for kind, share in faults.items()]
        for url in providers:
            async with self.http.put(f"{url}/control/faults", json={"faults": given}) as reply:
                reply.raise_for_status()

    async def reset(self) -> None:
        for url in self.providers:
            for path in ("faults", "requests"):
                async with self.http.delete(f"{url}/control/{path}") as reply:
                    reply.raise_for_status()

    async def seen(self, provider: str) -> Mapping[str, object]:
        async with self.http.get(f"{provider}/control/requests") as reply:
            found: Mapping[str, object] = await reply.json()
            return found

    async def total(self, provider: str) -> int:
        total = (await self.seen(provider))["total"]
        assert isinstance(total, int)
        return total

    async def recovered(self) -> None:
        """Waits until nothing is left of what was: the main model answers as often as it is asked."""
        await self.reset()
        number = in_a_row = 0
        async with asyncio.timeout(10 * OPEN_S):
            while in_a_row < 20:
                found = await self.call(f"as before {number}", time.monotonic())
                number, in_a_row = number + 1, 0 if found.failed or found.status != 200 else in_a_row + 1
                await asyncio.sleep(0.1)

    async def load(self, run: Run, rate: float, seconds: float) -> None:
        """Requests that come by themselves, and what the main provider counts of them twice a second."""
        began_at, tasks = time.monotonic(), []
        sampling = asyncio.create_task(self._sample(run, began_at))
        number, due = 0, 0.0
        while due < seconds:
            await asyncio.sleep(max(0.0, began_at + due - time.monotonic()))
            prompt = f"{run.title}: question {number}?"
            tasks.append(asyncio.create_task(self.call(prompt, began_at)))
            number, due = number + 1, due + self.draw.expovariate(rate)
        run.calls = list(await asyncio.gather(*tasks))
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling
        run.upstream = sum([await self.total(each) for each in self.providers])
        for each in self.providers:
            outcomes = (await self.seen(each))["by_outcome"]
            assert isinstance(outcomes, dict)
            run.injected.update({kind: count for kind, count in outcomes.items() if kind in AT_PEAK})

    async def _sample(self, run: Run, began_at: float) -> None:
        while True:
            run.asked.append((time.monotonic() - began_at, await self.total(self.providers[0])))
            await asyncio.sleep(0.5)


def objects(main: str, other: str) -> list[RawObject]:
    timeout = f"{FIRST_S:g}s"
    models = [
        {"name": "main", "model": "openai/gpt-4o-mini", "endpoint": main, "timeout": timeout},
        {"name": "other", "model": "openai/gpt-4.1-mini", "endpoint": other, "timeout": timeout},
        {"name": "last", "model": "openai/gpt-4.1-nano", "endpoint": other, "timeout": timeout},
    ]
    breaker = {"openFor": f"{OPEN_S:g}s"}
    fallback = {"order": ["main", "other", "last"], "maxFallbacks": MOST, "circuitBreaker": breaker}
    route = {"simpleModel": "main", "complexModel": "main"}
    return [
        manifest("RoutingPolicy", "chat", {"models": models, "route": route, "fallback": fallback}),
        manifest("TenantBudget", "everybody", {"apiKeys": [{"secretRef": {"name": "everybody"}}]}),
        secret("everybody", KEY),
    ]


@contextmanager
def servers(folder: Path) -> Iterator[tuple[list[tuple[int, int]], list[str], Proxy]]:
    """Ports of the data planes, URLs of the providers, and the proxy before the first."""
    with ExitStack() as stack:
        urls, proxies = [], []
        for name in ("main", "other"):
            port = free_port()
            arguments = ["simulate", "--listen", f"127.0.0.1:{port}", "--name", name]
            stack.enter_context(started(folder / f"{name}.log", "tollway_cli", *arguments))
            urls.append(f"http://127.0.0.1:{port}")
            proxies.append(stack.enter_context(proxy(urls[-1])))
        cache = stack.enter_context(EmbeddedRedis(RedisRole.CACHE, folder / "cache"))
        ledger = stack.enter_context(EmbeddedRedis(RedisRole.LEDGER, folder / "ledger"))
        snapshot = compiled(objects(*(f"{each.url}/v1" for each in proxies)))
        asyncio.run(provision(snapshot, cache.url, ledger.url))
        mounted(encode(snapshot), folder / "snapshot", 1)
        pods = [(free_port(), free_port()) for _ in range(PODS)]
        for number, ports in enumerate(pods):
            env = process_env(folder / "snapshot", cache, ledger, *ports)
            log = folder / f"pod-{number}.log"
            stack.enter_context(started(log, "tollway_dataplane", env=env))
        yield pods, urls, proxies[0]


@asynccontextmanager
async def town(pods: Sequence[tuple[int, int]], providers: Sequence[str]) -> AsyncIterator[Town]:
    connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=150)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as http:
        ready = [f"http://127.0.0.1:{admin}/readyz" for _, admin in pods]
        async with asyncio.timeout(300):
            for url in [*ready, *(f"{each}/healthz" for each in providers)]:
                await _answers(http, url)
        made = Town(http, [public for public, _ in pods], providers)
        for number in range(4 * PODS):  # what is done once in a process
            await made.call(f"warming up {number}", time.monotonic())
        yield made


async def _answers(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        with suppress(aiohttp.ClientError):
            async with http.get(url) as reply:
                if reply.status == 200:
                    return
        await asyncio.sleep(0.2)


async def measure(
    pods: Sequence[tuple[int, int]], providers: Sequence[str], main: Proxy, rate: float, unit_s: float
) -> list[Run]:
    peak, limited = Run("4 % fail at peak"), Run("30 % are limited at peak")
    outage = Run("one provider is away", away=(unit_s, 2.5 * unit_s))
    async with town(pods, providers) as place:
        for run, faults, failing in (
            (peak, AT_PEAK, providers),
            (limited, A_THIRD_LIMITED, providers[:1]),
            (outage, {}, []),
        ):
            print(f"{run.title} …", flush=True)
            await place.reset()
            await place.fail(faults, failing)
            turning = asyncio.create_task(_turn_off(main, run.away))
            await place.load(run, rate, 5 * unit_s)
            await turning
            await place.recovered()
    return [peak, limited, outage]


async def _turn_off(main: Proxy, away: tuple[float, float]) -> None:
    began, ended = away
    if ended:
        await asyncio.sleep(began)
        await asyncio.to_thread(main.mute, on=True)
        await asyncio.sleep(ended - began)
        await asyncio.to_thread(main.mute, on=False)


@dataclass(frozen=True)
class Outage:
    """What an outage cost, in seconds; requests are told apart by when they began."""

    before: float  # the longest before it
    opened: float  # when a data plane first passed the provider over, after it went away
    until: float  # the longest until then, and a second more, in which data planes tell each other
    after: float  # the longest after that, of those that did not probe
    paid_until: int
    probes: int
    back: Sequence[float]  # requests a second to it in the seconds since the first was answered again
    usual: float  # the same before


def outage_of(run: Run) -> Outage:
    began, ended = run.away
    passed_over = [each.began for each in run.calls if each.began >= began and "main:Open" in each.failed]
    opened = min(passed_over, default=ended)
    before = [each.seconds for each in run.calls if each.began < began - FIRST_S]
    until = [each for each in run.calls if began - FIRST_S <= each.began < opened + 1]
    after = [each for each in run.calls if opened + 1 <= each.began]
    returned = min(
        (each.began for each in run.calls if each.began > ended and each.source == "main"), default=math.inf
    )
    rates = list(rates_of(run.asked))
    steady = [rate for at, rate in rates if 2 < at < began]
    back = [rate for at, rate in rates if at >= returned]
    return Outage(
        max(before),
        opened - began,
        max(each.seconds for each in until),
        max(each.seconds for each in after if not each.paid()),
        sum(each.paid() for each in until),
        sum(each.paid() for each in after),
        [statistics.mean(back[place : place + 2]) for place in range(0, min(len(back), 16), 2)],
        statistics.mean(steady),
    )


def rates_of(asked: Sequence[tuple[float, int]]) -> Iterator[tuple[float, float]]:
    for (before, less), (now, more) in itertools.pairwise(asked):
        yield now, (more - less) / (now - before)


def broken_promises(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        if run.most_errors > MOST_ERRORS:
            yield f"{run.title}: {len(run.errors)} of {len(run.calls)} callers had no answer"
        if (most := max(each.attempts for each in run.calls)) > 1 + MOST:
            yield f"{run.title}: a request made {most} attempts"
        if (planned := sum(each.attempts for each in run.calls)) != run.upstream:
            yield f"{run.title}: providers count {run.upstream} requests, data planes {planned}"
    outage = outage_of(runs[-1])
    if outage.until > FIRST_S + outage.before + SLACK_S:
        yield f"until the breaker opened a request took {outage.until:.2f} s"
    if outage.opened > FIRST_S + OPENS_WITHIN_S + SLACK_S:
        yield f"the breaker opened after {outage.opened:.1f} s"
    if outage.after > outage.before + SLACK_S:
        yield f"when the breaker was open a request took {outage.after:.2f} s"
    if not outage.back:
        yield "a provider that was back got no request"
    elif outage.back[0] > outage.usual / 2:
        yield f"a provider that was back got {outage.back[0]:.0f} requests in its first second"


def most_share(found: int, number: int) -> float:
    """The largest share of which no more than so many are found with a probability of 5 % (Clopper and Pearson, "The
    Use of Confidence or Fiducial Limits", 1934); where none is found of 3,000 that is a thousandth.
    """

    def likelihood(share: float) -> float:
        ways = (math.comb(number, each) for each in range(found + 1))
        logs = (
            math.log(way) + each * math.log(share) + (number - each) * math.log1p(-share)
            for each, way in enumerate(ways)
        )
        return sum(map(math.exp, logs))

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if likelihood(middle) > 0.05 else (low, middle)
    return high


def percentile(seconds: Sequence[float], percent: int) -> str:
    return f"{1_000 * statistics.quantiles(seconds, n=100)[percent - 1]:,.0f} ms"


def table(runs: Sequence[Run]) -> Iterator[str]:
    yield (
        "| | requests | faults | without an answer | less than, with 95 % | by the first model "
        "| attempts, by data planes and providers | p50 | p99 |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for run in runs:
        took = [each.seconds for each in run.calls]
        errors = f"{len(run.errors)} ({len(run.errors) / len(run.calls):.3%}) | {run.most_errors:.3%}"
        yield (
            f"| {run.title} | {len(run.calls):,} | {run.injected.total():,} | {errors} | {run.by_main:.0%} "
            f"| {sum(each.attempts for each in run.calls):,}, {run.upstream:,} "
            f"| {percentile(took, 50)} | {percentile(took, 99)} |"
        )


def as_markdown(runs: Sequence[Run], rate: float) -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    arguments = " ".join(["python -m bench.faults", *sys.argv[1:]])
    outage = outage_of(runs[-1])
    lines = [
        "# Answers although providers fail",
        "",
        f"Commit {commit}, {machine}, {time.strftime('%Y-%m-%d')}; `{arguments}`.",
        f"{rate:g} requests a second at random, {PODS} data planes, a plan of three models at two providers.",
        "",
        *table(runs),
        "",
        "## While one provider is away",
        "",
        f"It takes connections and never answers; the first attempt may take {FIRST_S:g} s.",
        "",
        "| | |",
        "|---|---:|",
        f"| longest request before | {outage.before:.2f} s |",
        f"| the breaker opens after | {outage.opened:.1f} s |",
        f"| longest request until then; how many waited for it | {outage.until:.2f} s; {outage.paid_until} |",
        f"| longest request afterwards, but for those that probe | {outage.after:.2f} s |",
        f"| requests that probed, and waited for it | {outage.probes} |",
        f"| requests a second to it before | {outage.usual:.0f} |",
        f"| … in the seconds since it answered again | {', '.join(f'{each:.0f}' for each in outage.back)} |",
        "",
        "![How long requests take, and how many the provider gets](faults.svg)",
        "",
    ]
    return "\n".join(lines)


def picture(run: Run) -> str:
    answered = [(each.began, each.seconds) for each in run.calls if each.status == 200]
    errors = [(each.began, each.seconds) for each in run.errors]
    return drawing(
        answered, errors, list(rates_of(run.asked)), run.away, max(each.began for each in run.calls)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second")
    parser.add_argument("--unit", type=float, default=20.0, help="seconds; each of three runs takes five")
    parser.add_argument("--save", action="store_true", help="write table and plot to bench/results/")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as (pods, providers, main_proxy):
        runs = asyncio.run(measure(pods, providers, main_proxy, arguments.rate, arguments.unit))
    text = as_markdown(runs, arguments.rate)
    print(f"\n{text}")
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "faults.md").write_text(text, encoding="utf-8")
        (RESULTS / "faults.svg").write_text(picture(runs[-1]), encoding="utf-8")
    broken = list(broken_promises(runs))
    for sentence in broken:
        print(sentence, file=sys.stderr)
    for run in runs:
        if run.errors:
            print(run.title, json.dumps(Counter(str(each.failed) for each in run.errors)), file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
