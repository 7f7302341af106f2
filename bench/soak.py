"""Whether a data plane stays as it is: one process under steady load for a while, with everything that it does in a day
at once: hits, live answers, streams, callers who leave, refusals, a provider that fails, and a policy that is edited.
Every while a line says what it holds: memory, descriptors, tasks, threads, and what Redis has. Ends with 1 where it has
more of anything in the last quarter than in the second.

`python -m bench.soak --hours 0.05`; `make soak` runs it for as long as the crowd before it.
"""

import argparse
import asyncio
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

import aiohttp
import httpx
from redis import Redis

from bench.plots import HEIGHT, WIDTH, lines
from bench.report import heading, keep, origin
from bench.scale_rig import STARTS_S, key_of, redis, tenant
from bench.svg import sheet
from bench.usage import resident_mb
from tests.dataplanes import compiled, manifest, secret
from tests.processes import free_port, started, wait_for
from tests.snapshots import mounted
from tollway_api.inventory import RawObject
from tollway_api.snapshot import encode
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_operator.provision import provision

TTL_S: Final = 60  # so that Redis forgets as fast as it learns, soon
NEAR_CACHE_BYTES: Final = 2_000_000  # likewise of the process
FAULTS: Final = ("rate-limit:0.01", "server-error:0.02", "cut:0.01", "reset:0.01")
AT_ONCE: Final = 12
LEAVES: Final = 0.05  # of the callers of streams
EDITED_EVERY_S: Final = 20.0
# More than by so much, and so much of it, is no flutter.
_MARGINS: Final[Mapping[str, float]] = {
    "rss_mb": 8.0, "descriptors": 8.0, "tasks": 12.0, "threads": 2.0, "cache_mb": 2.0, "ledger_mb": 1.0,
}  # fmt: skip
_MORE: Final = 1.05


@dataclass(frozen=True)
class Sample:
    seconds: float
    requests: int
    rss_mb: float
    descriptors: int
    tasks: int
    threads: int
    cache_mb: float
    ledger_mb: float


@dataclass(frozen=True)
class Watched:
    """A data plane, and where everything of it is to be seen."""

    url: str
    pid: int
    tasks: Path
    folder: Path
    provider: str
    cache: EmbeddedRedis
    ledger: EmbeddedRedis

    def sample(self, seconds: float, requests: int) -> Sample:
        process = Path(f"/proc/{self.pid}")
        return Sample(
            round(seconds, 1),
            requests,
            round(resident_mb([self.pid]), 1),
            len(list((process / "fd").iterdir())),
            int(self.tasks.read_text(encoding="utf-8")),
            len(list((process / "task").iterdir())),
            _redis_mb(self.cache),
            _redis_mb(self.ledger),
        )

    def publish(self, order: int) -> None:
        """As after an edit of the policy."""
        mounted(encode(compiled(objects(self.provider, order))), self.folder / "snapshot", order)


def _redis_mb(server: EmbeddedRedis) -> float:
    with Redis("127.0.0.1", port=server.port) as client:
        return round(float(client.info("memory")["used_memory"]) / 1e6, 2)


def objects(provider: str, order: int) -> list[RawObject]:
    models = [
        {"name": name, "model": f"openai/{model}", "endpoint": f"{provider}/v1"}
        for name, model in (("cheap", "gpt-4o-mini"), ("rich", "gpt-4o"))
    ]
    route = {"complexity": {"wordThreshold": 20 + order % 2}}  # which is what is edited
    policy = {"cache": {"indexRef": {"name": "answers"}}, "models": models, "route": route}
    none = [{"name": "none", "unit": "Requests", "amount": "1", "window": {"rolling": "1h"}}]
    return [
        manifest("SemanticCacheIndex", "answers", {"ttl": f"{TTL_S}s"}),
        manifest("RoutingPolicy", "chat", policy),
        *tenant("acme"),
        manifest("TenantBudget", "poor", {"apiKeys": [{"secretRef": {"name": "poor"}}], "limits": none}),
        secret("poor", key_of("poor")),
    ]


@contextmanager
def servers(folder: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        ports = [free_port() for _ in range(3)]
        provider, url, admin = (f"http://127.0.0.1:{port}" for port in ports)
        faults = [word for fault in FAULTS for word in ("--fault", fault)]
        latency = ("--latency", "lognormal:100ms,0.5")
        arguments = ("simulate", "--listen", f"127.0.0.1:{ports[0]}", *latency, *faults)
        stack.enter_context(started(folder / "provider.log", "tollway_cli", *arguments))
        cache, ledger = stack.enter_context(redis(folder))
        snapshot = compiled(objects(provider, 1))
        asyncio.run(provision(snapshot, cache.url, ledger.url))
        mounted(encode(snapshot), folder / "snapshot", 1)
        env = {
            "TOLLWAY_CACHE_REDIS_URL": cache.url,
            "TOLLWAY_LEDGER_REDIS_URL": ledger.url,
            "TOLLWAY_SNAPSHOT_DIR": str(folder / "snapshot"),
            "TOLLWAY_SNAPSHOT_POLL_S": "5",
            "TOLLWAY_ALLOW_ENDPOINTS": "127.0.0.0/8",
            "TOLLWAY_LISTEN": url.removeprefix("http://"),
            "TOLLWAY_ADMIN_LISTEN": admin.removeprefix("http://"),
            "TOLLWAY_NEAR_CACHE_BYTES": str(NEAR_CACHE_BYTES),
        }
        log, tasks = folder / "dataplane.log", folder / "tasks"
        served = stack.enter_context(started(log, "bench.watched_plane", str(tasks), env=env))
        for each in (f"{provider}/healthz", f"{admin}/readyz"):
            wait_for(lambda asked=each: httpx.get(asked).status_code == 200, f"{each} answers", STARTS_S)  # type: ignore[misc]  # mypy does not type a lambda with a default
        yield Watched(url, served.process.pid, tasks, folder, provider, cache, ledger)


class Crowd:
    """Callers who ask one thing after the other until the time is over."""

    def __init__(self, url: str, http: aiohttp.ClientSession, ends: float) -> None:
        self._url, self._http, self._ends = url, http, ends
        self._draw = random.Random(0)  # noqa: S311 - a run that can be repeated
        self._number = itertools.count()
        self.replies: Counter[str] = Counter()

    async def ask(self) -> None:
        while time.monotonic() < self._ends:
            with suppress(aiohttp.ClientError):  # which is counted as no reply
                self.replies[await self._once(next(self._number))] += 1
            await asyncio.sleep(0.02)

    async def _once(self, number: int) -> str:
        key = "poor" if number % 20 == 0 else "acme"
        prompt = self._draw.choice(
            (
                f"How do I open drawer {number % 9} of the cupboard?",
                f"How can I open drawer {number % 9} of the cupboard?",
                f"What is the story of ship {number}?",
                f"Compare ship {number} with its sisters, and explain why it sank.",
            )
        )
        stream = number % 3 == 0
        body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": prompt}]}
        headers = {"authorization": f"Bearer {key_of(key)}"}
        async with self._http.post(f"{self._url}/v1/chat/completions", json=body, headers=headers) as reply:
            if stream and self._draw.random() < LEAVES:
                await reply.content.readany()
                reply.close()
                return "left"
            await reply.read()
            return str(reply.status)


async def soak(place: Watched, hours: float, every_s: float) -> tuple[list[Sample], Counter[str]]:
    began = time.monotonic()
    samples: list[Sample] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as http:
        crowd = Crowd(place.url, http, began + 3_600 * hours)
        asking = [asyncio.create_task(crowd.ask()) for _ in range(AT_ONCE)]
        order, edited = 1, began
        while not all(each.done() for each in asking):
            await asyncio.wait(asking, timeout=every_s)
            now = time.monotonic()
            samples.append(await asyncio.to_thread(place.sample, now - began, crowd.replies.total()))
            print(" ".join(f"{name}={value}" for name, value in vars(samples[-1]).items()), flush=True)
            if now > edited + EDITED_EVERY_S:
                order, edited = order + 1, now
                await asyncio.to_thread(place.publish, order)
        await asyncio.gather(*asking)
    return samples, crowd.replies


def quarters(samples: Sequence[Sample], name: str) -> tuple[float, float]:
    """The median of the second quarter, when all is warm, and that of the last."""
    values = [float(getattr(each, name)) for each in samples]
    size = max(1, len(values) // 4)
    return statistics.median(values[size : 2 * size]), statistics.median(values[-size:])


def _steadied(samples: Sequence[Sample]) -> list[Sample]:
    """With the cache's Redis as it were had as much been asked all the time: it holds what was within `TTL_S`."""
    overall, steadied = _rate(samples), []
    for number, each in enumerate(samples):
        lately = [one for one in samples[: number + 1] if one.seconds >= each.seconds - TTL_S]
        steadied.append(replace(each, cache_mb=each.cache_mb * overall / (_rate(lately) or overall)))
    return steadied


def _rate(samples: Sequence[Sample]) -> float:
    """Requests a second."""
    first, last = samples[0], samples[-1]
    return (last.requests - first.requests) / max(1e-9, last.seconds - first.seconds)


def grown(samples: Sequence[Sample]) -> list[str]:
    """What there is more of in the end than there was once all was warm."""
    found = []
    for name, margin in _MARGINS.items():
        warm, last = quarters(_steadied(samples), name)
        if last > _MORE * warm + margin:
            found.append(f"{name} grew from {warm:g} to {last:g}")
    return found


def as_markdown(samples: Sequence[Sample], replies: Counter[str], begun: Mapping[str, object]) -> str:
    counted = ", ".join(f"{count:,} {name}" for name, count in sorted(replies.items()))
    rows = [(name, *quarters(_steadied(samples), name)) for name in _MARGINS]
    return "\n".join(
        [
            *heading("A data plane under steady load", begun),
            f"{samples[-1].requests:,} requests in {samples[-1].seconds / 60:.0f} minutes: {counted}.",
            "",
            "| | second quarter | last quarter |",
            "|---|---:|---:|",
            *(f"| {name} | {warm:,.4g} | {last:,.4g} |" for name, warm, last in rows),
            "",
            "The cache's Redis is as it were had as much been asked in every minute.",
            "",
            "![What it holds, over time](soak.svg)",
            "",
        ]
    )


def picture(samples: Sequence[Sample]) -> str:
    names = [each.name for each in fields(Sample)][2:]
    panels = [
        lines(name, "seconds", {name: [(each.seconds, float(getattr(each, name))) for each in samples]})
        for name in names
    ]
    return sheet(panels, WIDTH, HEIGHT, columns=3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two lines")
    parser.add_argument("--save", action="store_true", help="write the results to bench/results/")
    given = parser.parse_args()
    begun = origin("bench.soak")
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as place:
        samples, replies = asyncio.run(soak(place, given.hours, given.every))
    text = as_markdown(samples, replies, begun)
    print(f"\n{text}")
    if given.save:
        keep("soak", {**begun, "samples": [vars(each) for each in samples]}, text, picture(samples))
    for sentence in (found := grown(samples)):
        print(sentence, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
