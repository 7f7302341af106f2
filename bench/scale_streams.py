"""Many streams at once on one worker: whether any of them starves. A part of `bench.scale`.

The provider says in each chunk when it was sent, so a chunk's delay is that of everything between the provider and the
caller. The same streams straight from the provider say what of it is the machine's and the caller's own.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import numpy as np

from bench.scale_rig import Server, Table, call, dataplane, key_of, policy, provider, publish, redis, tenant
from bench.usage import cpu_s, resident_mb

STREAMS: Final = (10, 100, 500, 2_000)
CHUNKS: Final = 12
PAUSE_S: Final = 4.0
_SENT: Final = re.compile(rb'"content":"([0-9.]+) "')
_PATIENCE: Final = aiohttp.ClientTimeout(total=600)
_BEGIN_A_SECOND: Final = 60


@dataclass
class Seen:
    """What callers saw. Milliseconds."""

    delays: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)  # the longest between two chunks, of each stream
    whole: int = 0
    most_at_once: int = 0
    _open: int = 0

    async def follow(self, http: aiohttp.ClientSession, url: str, number: int) -> None:
        asked = call(f"story {number}", key_of("acme"), stream=True)
        headers = {"authorization": f"Bearer {asked.key}", "content-type": "application/json"}
        async with http.post(f"{url}/v1/chat/completions", data=asked.body, headers=headers) as reply:
            assert reply.status == 200, await reply.text()
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
            last, longest, chunks = 0.0, 0.0, 0
            async for line in reply.content:
                if (sent := _SENT.search(line)) is not None:
                    now = time.monotonic()
                    self.delays.append(1_000 * (now - float(sent[1])))
                    longest = max(longest, now - last) if last else 0.0
                    last, chunks = now, chunks + 1
            self._open -= 1
            self.gaps.append(1_000 * longest)
            self.whole += chunks == CHUNKS


async def _all(url: str, count: int) -> Seen:
    seen = Seen()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=_PATIENCE) as http:

        async def begun(number: int) -> None:
            await asyncio.sleep(number / _BEGIN_A_SECOND)
            await seen.follow(http, url, number)

        await asyncio.gather(*(begun(number) for number in range(count)))
    return seen


async def _all_watched(served: Server, count: int) -> tuple[Seen, float]:
    """And the most that the data plane had resident meanwhile."""
    streaming = asyncio.create_task(_all(served.url, count))
    most_mb = 0.0
    while not streaming.done():
        await asyncio.wait([streaming], timeout=1.0)
        most_mb = max(most_mb, resident_mb([served.pid]))
    return streaming.result(), most_mb


def row(count: int, served: Server, upstream: Server) -> Sequence[float]:
    began = cpu_s([served.pid])
    seen, most_mb = asyncio.run(_all_watched(served, count))
    spent = cpu_s([served.pid]) - began
    assert seen.whole == count, f"{count - seen.whole} of {count} streams were not whole"
    straight = asyncio.run(_all(upstream.url, count))
    p50, p99 = np.percentile(seen.delays, (50, 99))
    straight_p50, straight_p99 = np.percentile(straight.delays, (50, 99))
    return (
        count,
        seen.most_at_once,
        float(p50),
        float(straight_p50),
        float(p99),
        float(straight_p99),
        max(seen.gaps) - 1_000 * PAUSE_S,
        max(straight.gaps) - 1_000 * PAUSE_S,
        1e6 * spent / len(seen.delays),
        most_mb,
    )


def streams(folder: Path, _: int) -> Table:
    rows = []
    with ExitStack() as stack:
        upstream = stack.enter_context(provider(folder, CHUNKS, PAUSE_S))
        cache, ledger = stack.enter_context(redis(folder))
        publish([policy("chat", upstream.url), *tenant("acme")], folder, cache.url, ledger.url)
        served = stack.enter_context(dataplane(folder, cache.url, ledger.url))
        asyncio.run(_all(served.url, 20))  # what is done once
        for count in STREAMS:
            rows.append(row(count, served, upstream))
            print(rows[-1], flush=True)
    heads = (
        "streams",
        "most at once",
        "a chunk later by p50, ms",
        "… straight",
        "p99, ms",
        "… straight",
        "longest silence too long, ms",
        "… straight",
        "CPU a chunk with its share of the request, µs",
        "resident MB",
    )
    plots = {
        "A chunk later by, p99, ms; straight below": (4, 5),
        "Longest silence beyond the provider's, ms": (6, 7),
    }
    notes = f"Each of {CHUNKS} chunks, one every {PAUSE_S:g} s; every stream came to its end."
    return Table("Streams", heads, rows, plots, notes)
