"""What the parts of `bench.scale` have in common: servers, each a process, and callers who keep them busy. What counts
is the processor time that a data plane takes for a request, which other work on the machine moves little: where it is
flat, only the cores are the limit.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import httpx
import orjson

from bench.usage import cpu_s, resident_mb
from tests.dataplanes import compiled, manifest, secret
from tests.processes import free_port, started, wait_for
from tests.snapshots import mounted
from tollway_api.inventory import RawObject
from tollway_api.snapshot import encode
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_operator.provision import provision

STARTS_S: Final = 300.0
MODEL: Final = "openai/gpt-4o-mini"
_QUIET_S: Final = 1.0
_MOST_QUIETS: Final = 60
_IDLE: Final = 0.03  # of a core, which a data plane takes that has nothing to do
_PATIENCE: Final = aiohttp.ClientTimeout(total=300)


@dataclass(frozen=True)
class Table:
    """One part's result: the first column is what was made larger."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[float]]
    plots: Mapping[str, Sequence[int]]  # by title: the columns that it draws over the first
    notes: str = ""


@dataclass(frozen=True)
class Server:
    """A process and where it is."""

    url: str
    pid: int
    log: Path


@dataclass(frozen=True)
class Call:
    key: str
    body: bytes


@dataclass(frozen=True)
class Fired:
    """What a burst of requests came to."""

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: Sequence[str]  # what callers were told who had no answer


@contextmanager
def provider(folder: Path, chunks: int = 1, pause_s: float = 0.0) -> Iterator[Server]:
    port, log = free_port(), folder / "provider.log"
    with started(log, "bench.scale_provider", str(port), str(chunks), str(pause_s)) as served:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: httpx.get(url).status_code == 404, "the provider answers", STARTS_S)
        yield Server(url, served.process.pid, log)


@contextmanager
def redis(folder: Path) -> Iterator[tuple[EmbeddedRedis, EmbeddedRedis]]:
    """Cache and ledger, with room for what is measured."""
    with ExitStack() as stack:
        roles = (RedisRole.CACHE, RedisRole.LEDGER)
        cache, ledger = (
            stack.enter_context(EmbeddedRedis(role, folder / role.value, maxmemory="4gb")) for role in roles
        )
        yield cache, ledger


def publish(objects: Sequence[RawObject], folder: Path, cache_url: str, ledger_url: str) -> int:
    """As the operator would; the bytes of the snapshot."""
    snapshot = compiled(list(objects))
    asyncio.run(provision(snapshot, cache_url, ledger_url))
    encoded = encode(snapshot)
    mounted(encoded, folder / "snapshot", 1)
    return len(encoded)


@contextmanager
def dataplane(folder: Path, cache_url: str, ledger_url: str, name: str = "dataplane") -> Iterator[Server]:
    """Serves what was published in the folder. Its deadlines are long, so that a busy machine changes nothing of what
    is done for a request.
    """
    port, admin, log = free_port(), free_port(), folder / f"{name}.log"
    env = {
        "TOLLWAY_CACHE_REDIS_URL": cache_url,
        "TOLLWAY_LEDGER_REDIS_URL": ledger_url,
        "TOLLWAY_SNAPSHOT_DIR": str(folder / "snapshot"),
        "TOLLWAY_ALLOW_ENDPOINTS": "127.0.0.0/8",
        "TOLLWAY_LISTEN": f"127.0.0.1:{port}",
        "TOLLWAY_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "TOLLWAY_CACHE_READ_DEADLINE_S": "10",
        "TOLLWAY_EMBED_DEADLINE_S": "10",
        "TOLLWAY_LEDGER_DEADLINE_S": "10",
        "TOLLWAY_BODY_DEADLINE_S": "300",
    }
    with started(log, "tollway_dataplane", env=env) as served:
        ready = f"http://127.0.0.1:{admin}/readyz"
        wait_for(lambda: httpx.get(ready).status_code == 200, f"{name} is ready", STARTS_S)
        yield Server(f"http://127.0.0.1:{port}", served.process.pid, log)


def tenant(name: str) -> list[RawObject]:
    """With a key of its own and a limit that is never reached."""
    limits = [{"name": "money", "amount": "9000000"}]
    budget = {"apiKeys": [{"secretRef": {"name": name}}], "limits": limits}
    return [manifest("TenantBudget", name, budget), secret(name, key_of(name))]


def key_of(tenant_name: str) -> str:
    return f"key-of-{tenant_name}"


def policy(name: str, endpoint: str, **spec: object) -> RawObject:
    models = [{"name": "only", "model": MODEL, "endpoint": f"{endpoint}/v1", "contextWindow": 10_000_000}]
    return manifest("RoutingPolicy", name, {"models": models, **spec})


def call(prompt: str, key: str, model: str = "auto", *, stream: bool = False) -> Call:
    message = {"role": "user", "content": prompt}
    body = {"model": model, "stream": stream, "max_tokens": 100, "messages": [message]}
    return Call(key, orjson.dumps(body))


async def _fire(urls: Sequence[str], calls: Sequence[Call], at_once: int) -> Fired:
    took: list[float] = []
    errors: list[str] = []
    turns = iter(enumerate(calls))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=_PATIENCE) as http:

        async def work() -> None:
            for number, each in turns:
                headers = {"authorization": f"Bearer {each.key}", "content-type": "application/json"}
                url = f"{urls[number % len(urls)]}/v1/chat/completions"
                began = time.perf_counter()
                async with http.post(url, data=each.body, headers=headers) as reply:
                    text = await reply.text()
                    if reply.status != 200:
                        errors.append(text)
                took.append(1_000 * (time.perf_counter() - began))

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(at_once)))
        seconds = time.perf_counter() - began
    cuts = statistics.quantiles(took, n=100)
    return Fired(len(calls) / seconds, cuts[49], cuts[98], errors)


def fire(urls: Sequence[str], calls: Sequence[Call], at_once: int = 16) -> Fired:
    """All calls, so many at a time, at the servers in turn. Raises AssertionError where one is not answered."""
    found = asyncio.run(_fire(urls, calls, at_once))
    assert not found.errors, f"{len(found.errors)} of {len(calls)} requests had no answer: {found.errors[0]}"
    return found


@dataclass(frozen=True)
class Cost:
    """Of one request: processor milliseconds of all data planes and of all Redis servers; and memory of the first data
    plane.
    """

    fired: Fired
    cpu_ms: float
    redis_cpu_ms: float
    rss_mb: float


def cost(
    servers: Sequence[Server], redis_pids: Sequence[int], calls: Sequence[Call], at_once: int = 16
) -> Cost:
    """Of calls to data planes that were warm, with what is done behind the replies."""

    def worked(pids: Sequence[int]) -> float:
        return cpu_s(pids)

    pids = [each.pid for each in servers]
    before, redis_before = worked(pids), worked(redis_pids)
    fired = fire([each.url for each in servers], calls, at_once)
    behind = worked(pids)
    for _ in range(_MOST_QUIETS):
        time.sleep(_QUIET_S)
        earlier, behind = behind, worked(pids)
        if behind - earlier <= _IDLE * _QUIET_S * len(pids):
            break
    spent, redis_spent = worked(pids) - before, worked(redis_pids) - redis_before
    per = 1_000 / len(calls)
    return Cost(fired, spent * per, redis_spent * per, resident_mb([servers[0].pid]))
