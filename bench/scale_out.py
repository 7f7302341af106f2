"""More data planes on one cache, a single Redis or a cluster of three shards. A part of `bench.scale`.

Of four data planes on two cores no throughput tells whether they would be four times as much elsewhere. What does is
the processor time of a request, in all data planes and in Redis: where neither grows with their number, nothing is
done twice and nobody waits for anybody, and only the cores are the limit.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.scale_rig import (
    Call,
    Cost,
    Table,
    call,
    cost,
    dataplane,
    key_of,
    policy,
    provider,
    publish,
    redis,
    tenant,
)
from tests.dataplanes import manifest
from tests.redis_cluster import redis_cluster

PLANES: Final = (1, 2, 4)
AT_ONCE: Final = 16  # callers of each
TENANTS: Final = 12  # so that partitions are on all shards


def mix(calls: int, turn: int) -> list[Call]:
    """A third of each: asked before, asked before in other words, and new."""
    found = []
    for number in range(calls):
        key = key_of(f"tenant-{number % TENANTS}")
        match number // TENANTS % 3:
            case 0:
                prompt = f"How do I open drawer {number % 7} of the cupboard?"
            case 1:
                prompt = f"How can I open drawer {number % 7} of the cupboard?"
            case _:
                prompt = f"What is the story of ship {turn}-{number}?"
        found.append(call(prompt, key))
    return found


@contextmanager
def caches(folder: Path, shards: int) -> Iterator[tuple[str, str, list[int]]]:
    """URLs of the cache and the ledger, and all processes of Redis."""
    with ExitStack() as stack:
        cache, ledger = stack.enter_context(redis(folder))
        if shards == 1:
            yield cache.url, ledger.url, [cache.pid, ledger.pid]
        else:
            cluster = stack.enter_context(redis_cluster(folder / "cluster", replicas=()))
            url = f"redis+cluster://127.0.0.1:{cluster.nodes[0].port}"
            yield url, ledger.url, [ledger.pid, *(node.pid for node in cluster.nodes)]


def measured(folder: Path, shards: int, planes: int, calls: int) -> Cost:
    folder.mkdir()
    with ExitStack() as stack:
        upstream = stack.enter_context(provider(folder))
        cache_url, ledger_url, pids = stack.enter_context(caches(folder, shards))
        objects = [
            manifest("SemanticCacheIndex", "answers", {}),
            policy("chat", upstream.url, cache={"indexRef": {"name": "answers"}}),
            *(each for number in range(TENANTS) for each in tenant(f"tenant-{number}")),
        ]
        publish(objects, folder, cache_url, ledger_url)
        servers = [
            stack.enter_context(dataplane(folder, cache_url, ledger_url, f"plane-{number}"))
            for number in range(planes)
        ]
        # As much for each, so that none has to learn more of what it does, or to embed fewer prompts at a time.
        cost(servers, pids, mix(calls * planes, 0), AT_ONCE * planes)
        return cost(servers, pids, mix(calls * planes, 1), AT_ONCE * planes)


def planes(folder: Path, calls: int) -> Table:
    rows = []
    for shards in (1, 3):
        for count in PLANES:
            found = measured(folder / f"planes-{shards}-{count}", shards, count, calls)
            rows.append(
                (count, shards, found.cpu_ms, found.redis_cpu_ms, found.fired.per_second, found.fired.p50_ms)
            )
            print(rows[-1], flush=True)
    heads = ("data planes", "shards", "CPU a request, ms", "of Redis, ms", "requests/s together", "p50, ms")
    notes = (
        "A third of the requests each asked before, asked before in other words, and new; as many for each data "
        "plane. All share the machine's cores with callers and provider, so it is processor time that counts."
    )
    return Table("Data planes", heads, rows, {}, notes)
