"""What a request costs where there is more of something: tenants, policies, bytes. Parts of `bench.scale`."""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from tests.dataplanes import compiled, manifest
from tollway_api.inventory import RawObject
from tollway_api.snapshot import encode
from tollway_api.wire import key_digest
from tollway_dataplane.core.matching import Directory

FEW: Final = 10
TENANTS: Final = (10, 100, 1_000, 10_000)
POLICIES: Final = (10, 100, 1_000)
BODIES_KB: Final = (1, 10, 100, 1_000)
_TIMES: Final = 2_000
_CACHE: Final = {"cache": {"indexRef": {"name": "answers"}}}
_INDEX: Final = manifest("SemanticCacheIndex", "answers", {})
_WORDS: Final = (
    "what is the way from the old harbour to the market of the town beside the river and the mill".split()
)


def microseconds(work: Callable[[], object]) -> float:
    """Of one call: the least mean of five times many, since other work on the machine only ever adds."""
    least = float("inf")
    for _ in range(5):
        began = time.thread_time()
        for _ in range(_TIMES):
            work()
        least = min(least, (time.thread_time() - began) / _TIMES)
    return 1e6 * least


@contextmanager
def _served(
    objects: Sequence[RawObject], folder: Path, calls: Sequence[Call]
) -> Iterator[Callable[[Sequence[Call]], Cost]]:
    """A data plane that has answered a few of the calls, and what further ones cost it."""
    folder.mkdir()
    with redis(folder) as (cache, ledger):
        publish(objects, folder, cache.url, ledger.url)
        with dataplane(folder, cache.url, ledger.url) as served:
            pids = [cache.pid, ledger.pid]
            cost([served], pids, calls[: len(calls) // 4])
            yield lambda more: cost([served], pids, more)


def tenants(folder: Path, calls: int) -> Table:
    rows = []
    with provider(folder) as upstream:
        for count in TENANTS:
            names = [f"tenant-{number}" for number in range(count)]
            random.Random(0).shuffle(names)  # noqa: S311 - the same each time
            few, others = names[:FEW], names[FEW:]
            objects = [policy("chat", upstream.url), *(each for name in names for each in tenant(name))]
            snapshot = compiled(objects)
            digests = [key_digest(key_of(name)) for name in few]
            directory = Directory(snapshot, "r")
            known = microseconds(lambda d=directory, keys=digests: [d.authenticate(key, 0.0) for key in keys])  # type: ignore[misc]  # mypy does not type a lambda with a default
            asked = [call(f"question {number}", key_of(few[number % FEW])) for number in range(calls)]
            first = [call("a first question", key_of(name)) for name in others[:calls]]
            with _served(objects, folder / f"tenants-{count}", asked) as costs:
                found, of_first = costs(asked), costs(first) if first else None
            first_ms = of_first.cpu_ms if of_first else math.nan
            mb = (of_first or found).rss_mb
            rows.append(
                (
                    count,
                    known / FEW,
                    found.cpu_ms,
                    found.redis_cpu_ms,
                    first_ms,
                    mb,
                    len(encode(snapshot)) / 1e3,
                )
            )
            print(rows[-1], flush=True)
    heads = (
        "tenants",
        "whose key, µs",
        "CPU a request, ms",
        "of Redis, ms",
        "CPU of a tenant's first, ms",
        "memory, MB",
        "snapshot, kB",
    )
    plots = {"CPU milliseconds a request": (2, 3), "MB of a data plane": (5,)}
    notes = (
        f"Each with a key and a limit. {FEW} of them ask in turn, and then others, each for the first time."
    )
    return Table("Tenants", heads, rows, plots, notes)


def policies(folder: Path, calls: int) -> Table:
    """The policy that is meant is the last of all, of which each names a model that callers ask for."""
    rows = []
    with provider(folder) as upstream:
        for count in POLICIES:
            made = [
                policy(f"policy-{number:04}", upstream.url, match={"models": [f"model-{number}"]})
                for number in range(count)
            ]
            objects = [*made, *tenant("acme")]
            directory = Directory(compiled(objects), "r")
            caller = directory.authenticate(key_digest(key_of("acme")), 0.0).tenant
            last = f"model-{count - 1}"
            took = microseconds(lambda d=directory, c=caller, m=last: d.match(c, m, {}))  # type: ignore[misc]  # as above
            asked = [call(f"question {number}", key_of("acme"), last) for number in range(calls)]
            with _served(objects, folder / f"policies-{count}", asked) as costs:
                found = costs(asked)
            rows.append((count, took, found.cpu_ms, found.redis_cpu_ms, found.rss_mb))
            print(rows[-1], flush=True)
    heads = ("policies", "which governs, µs", "CPU a request, ms", "of Redis, ms", "memory, MB")
    plots = {"Microseconds to find the policy": (1,), "CPU milliseconds a request": (2, 3)}
    return Table("Policies", heads, rows, plots, "Of one namespace, each for another requested model.")


def text_of(kb: int, seed: int) -> str:
    """So many kB of words."""
    draw = random.Random(seed)  # noqa: S311 - the same each time
    words = draw.choices(_WORDS, k=1_000 * kb // 4)
    return f"{seed}: {' '.join(words)}"[: 1_000 * kb]


def bodies(folder: Path, calls: int) -> Table:
    rows = []
    with provider(folder) as upstream:
        objects = [_INDEX, policy("chat", upstream.url, **_CACHE), *tenant("acme")]
        for kb in BODIES_KB:
            many = max(20, calls // (1 + kb // 10))
            asked = [call(text_of(kb, number), key_of("acme")) for number in range(many)]
            again = [call(text_of(kb, number), key_of("acme")) for number in range(many, 2 * many)]
            with _served(objects, folder / f"bodies-{kb}", asked) as costs:
                found = costs(again)
                hits = costs(again)
            rows.append(
                (kb, found.cpu_ms, 1_000 * found.cpu_ms / kb, found.redis_cpu_ms, hits.cpu_ms, hits.rss_mb)
            )
            print(rows[-1], flush=True)
    heads = (
        "kB",
        "CPU a request, ms",
        "CPU a kB, µs",
        "of Redis, ms",
        "CPU when asked again, ms",
        "memory, MB",
    )
    plots = {"CPU milliseconds a request": (1, 4), "MB of a data plane": (5,)}
    notes = "Looked up by meaning, answered live and remembered; and then asked again."
    return Table("Bodies", heads, rows, plots, notes)
