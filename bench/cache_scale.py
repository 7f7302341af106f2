"""What a look-up costs in a small cache and in a large one: time and memory from 10,000 entries to a million, in many
partitions, and in one hot partition. By the real adapter, on a real Redis with vector search that this starts.

`python -m bench.cache_scale --save` writes results/cache_scale.md and .json; `--most` and `--hot` set the sizes. A
million entries take 9 GB of memory and most of an hour, nearly all of it Redis's own work of building the graph.

A look-up is what a request waits for: its prompt is encoded, and the nearest entries are searched. Beside what that
takes by the clock stands what a search costs Redis in processor time. Machines are not equally fast from one minute to
the next, so each look-up is followed by one in a cache of 10,000 entries that does not grow, and ratios to that count.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import orjson

from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_api.snapshot import Index
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.cache.comparing import CANDIDATES
from tollway_dataplane.judgement.judge import View, shipped
from tollway_dataplane.ports import FoundBy, Place, Remembered, Vector
from tollway_dataplane.prompts.reading import read
from tollway_operator.provision import provision
from tollway_operator.redis_store import open_store

RESULTS: Final = Path(__file__).parent / "results"
ENTRIES_PER_PARTITION: Final = 100
WORDS: Final = 5  # content words of a prompt
ANSWER_CHARACTERS: Final = 1_200
LOOKUPS: Final = 400
AT_ONCE: Final = 64
STAGES: Final = (10_000, 30_000, 100_000, 300_000, 1_000_000)
FLAT_WITHIN: Final = 0.20
HOT: Final = 0  # the number of that partition


@dataclass(frozen=True)
class Row:
    entries: int
    partition: str  # what is looked up in
    search_cpu_ms: float  # of Redis, for one search; the median, without what it does now and then besides
    search_p50_ms: float
    search_p95_ms: float
    lookup_p50_ms: float  # the encoding and the search
    exact_p50_ms: float
    bytes_per_entry: float
    index_bytes_per_entry: float
    recall: float  # how often the very entry that is nearest comes first
    stored_per_s: float
    to_small: float  # a look-up's median to that in the cache that does not grow
    search_cpu_to_small: float


class Timed(NamedTuple):
    """A look-up, in ms but for the last."""

    search_cpu: float
    search: float
    lookup: float
    exact: float
    first: bool  # the very entry that is nearest came first


class Corpus:
    """Made-up entries, each from its number alone, so that none need be kept: prompts of a partition are about one
    thing, so their vectors are near one centre.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._dimensions = index.version.embedding.dimensions
        self._reading = read("how do I reset my password")
        random = np.random.default_rng(7)
        self._texts = ["".join(chr(97 + each) for each in random.integers(0, 26, 6)) for _ in range(3_000)]

    def place(self, partition: int, number: int) -> Place:
        tag = wire.index_tag(self._index.id)
        return Place(self._index, f"{tag}{'0' * 20}{partition:024x}", f"{number:032x}")

    def vector(self, partition: int, number: int) -> Vector:
        centre = np.random.default_rng(partition).standard_normal(self._dimensions)
        own = np.random.default_rng([partition, number]).standard_normal(self._dimensions)
        return _unit(centre + own)

    def view(self, partition: int, number: int) -> View:
        random = np.random.default_rng([number, 1])
        words = random.integers(-127, 127, (WORDS, self._dimensions), dtype=np.int8)
        prompt = f"how do I {self._texts[number % 3_000]} my {self._texts[number * 7 % 3_000]} in {number}"
        vector = self.vector(partition, number)
        return View(replace(self._reading, text=prompt), words, vector, shipped().adapter)

    def answer(self, number: int) -> Remembered:
        random = np.random.default_rng([number, 2])
        text = " ".join(self._texts[each] for each in random.integers(0, 3_000, ANSWER_CHARACTERS // 7))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 12, "completion_tokens": 250, "total_tokens": 262}
        body = {"id": f"chatcmpl-{number:024x}", "object": "chat.completion", "created": 1_764_000_000}
        whole = orjson.dumps({**body, "model": "gpt-4o-mini", "choices": [choice], "usage": usage})
        return Remembered(whole, "cheap", 25_000, time.time() + 86_400)


def _unit(vector: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Vector:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class Scale:
    def __init__(self, url: str, pid: int, index: Index, embedder: LocalEmbedder) -> None:
        self._url = url
        self._embedder = embedder
        self._pid = pid
        self._index = index
        self._corpus = Corpus(index)
        self._client = connect(url, 30.0)
        self._cache = RedisAnswerCache(self._client, 30.0, index.version.embedding.dimensions)
        self._base = 0.0
        self.entries = 0

    async def begin(self) -> None:
        self._base = await self._memory()

    async def _memory(self) -> float:
        return float((await self._client.info("memory"))["used_memory"])

    async def grow(self, count: int, hot: bool = False) -> float:
        """So many more; how many a second were taken."""
        began = time.perf_counter()
        for start in range(0, count, AT_ONCE):
            numbers = range(self.entries + start, self.entries + min(start + AT_ONCE, count))
            await asyncio.gather(*(self._put(number, hot=hot) for number in numbers))
        self.entries += count
        return count / (time.perf_counter() - began)

    async def _put(self, number: int, *, hot: bool) -> None:
        partition = HOT if hot else 1 + number // ENTRIES_PER_PARTITION
        place = self._corpus.place(partition, number)
        view = self._corpus.view(partition, number)
        found_by = FoundBy(view, [(place.index.version, view.vector)])
        await self._cache.put(place, found_by, self._corpus.answer(number))

    async def timed(self, number: int, partition: str) -> Timed:
        """One look-up of an entry by a prompt like its own."""
        belongs = HOT if partition == "hot" else 1 + number // ENTRIES_PER_PARTITION
        place = self._corpus.place(belongs, number)
        noise = np.random.default_rng(number + 3).standard_normal(self._index.version.embedding.dimensions)
        asked = _unit(self._corpus.vector(belongs, number) + 0.02 * noise)
        began = time.perf_counter()
        await self._embedder.embed(self._corpus.view(belongs, number).reading.text)
        worked, encoded = self._worked_ns(), time.perf_counter()
        found = await self._cache.nearest(place, asked, CANDIDATES, 30.0)
        searched = time.perf_counter()
        cpu_ms = (self._worked_ns() - worked) / 1e6
        first = bool(found) and found[0].entry == place.entry
        again = time.perf_counter()
        assert await self._cache.get(place, 30.0) is not None
        exact_ms = (time.perf_counter() - again) * 1_000
        return Timed(cpu_ms, (searched - encoded) * 1_000, (searched - began) * 1_000, exact_ms, first)

    async def sizes(self) -> tuple[int, int]:
        """Bytes of an entry, and of its part of the index."""
        async with open_store(self._url, "cache") as store:
            facts = (await store.indexes())[wire.index_name(self._index.version)]
        return round((await self._memory() - self._base) / self.entries), round(
            facts.memory_bytes / self.entries
        )

    def _worked_ns(self) -> int:
        """What Redis's main thread, which does all of it, has had of a processor."""
        return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[0])

    async def aclose(self) -> None:
        await self._client.aclose()


async def measured(
    scale: Scale, small: Scale, numbers: Sequence[int], partition: str, stored_per_s: float
) -> Row:
    ours, theirs = [], []
    for number in numbers:
        ours.append(await scale.timed(number, partition))
        theirs.append(await small.timed(number % small.entries, "of 100"))
    of, to = ([statistics.median(each) for each in zip(*timed, strict=True)] for timed in (ours, theirs))
    bytes_per_entry, index_bytes_per_entry = await scale.sizes()
    return Row(
        entries=scale.entries,
        partition=partition,
        search_cpu_ms=round(of[0], 3),
        search_p50_ms=round(of[1], 3),
        search_p95_ms=round(statistics.quantiles([each.search for each in ours], n=20)[-1], 3),
        lookup_p50_ms=round(of[2], 3),
        exact_p50_ms=round(of[3], 3),
        bytes_per_entry=bytes_per_entry,
        index_bytes_per_entry=index_bytes_per_entry,
        recall=round(statistics.mean(each.first for each in ours), 3),
        stored_per_s=round(stored_per_s),
        to_small=round(of[2] / to[2], 3),
        search_cpu_to_small=round(of[0] / to[0], 3),
    )


async def run(most: int, hot: int, vector_type: str, servers: Sequence[EmbeddedRedis]) -> list[Row]:
    setup = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", index={"vector": {"type": vector_type}})
    snapshot = compiled(setup.objects())
    (index,) = snapshot.indexes.values()
    rows: list[Row] = []
    random = np.random.default_rng(11)
    async with AsyncExitStack() as stack:
        embedder = await LocalEmbedder.load()
        stack.push_async_callback(embedder.aclose)
        scales = []
        for server in servers:
            await provision(snapshot, server.url, server.url)
            scales.append(Scale(server.url, server.pid, index, embedder))
            stack.push_async_callback(scales[-1].aclose)
            await scales[-1].begin()
        scale, small = scales
        await small.grow(STAGES[0])

        async def note(numbers: Sequence[int], partition: str, rate: float) -> None:
            rows.append(await measured(scale, small, numbers, partition, rate))
            print(rows[-1], flush=True)

        for stage in (each for each in STAGES if each <= most):
            rate = await scale.grow(stage - scale.entries)
            many = [int(each) for each in random.integers(0, STAGES[0], LOOKUPS)]
            await note(many, "of 100", rate)
            # Once there is something around it.
            if scale.entries <= hot < most and stage * 3 > hot:
                first = scale.entries
                rate = await scale.grow(hot, hot=True)
                await note([int(each) for each in random.integers(first, first + hot, LOOKUPS)], "hot", rate)
                await note(many, "of 100", rate)
    return rows


def table(rows: Sequence[Row], hot: int) -> str:
    heads = (
        "entries", "in a partition of", "Redis's CPU for a search, ms", "search p50 / p95, ms", "look-up p50, ms",
        "of that in the small cache", "Redis's CPU likewise", "exact p50, ms",
        "the nearest comes first", "bytes an entry", "the index's part", "stored / s",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", f"|{'---:|' * len(heads)}"]
    for row in rows:
        cells = (
            f"{row.entries:,}",
            f"{hot if row.partition == 'hot' else ENTRIES_PER_PARTITION:,}",
            f"{row.search_cpu_ms:.3f}",
            f"{row.search_p50_ms:.2f} / {row.search_p95_ms:.2f}",
            f"{row.lookup_p50_ms:.2f}",
            f"{row.to_small:.2f}",
            f"{row.search_cpu_to_small:.2f}",
            f"{row.exact_p50_ms:.2f}",
            f"{row.recall:.3f}",
            f"{row.bytes_per_entry:,.0f}",
            f"{row.index_bytes_per_entry:,.0f}",
            f"{row.stored_per_s:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    many = [row for row in rows if row.partition != "hot"]
    lines += [
        "",
        "In small partitions, at every size, to the same in the cache of 10,000 that does not grow:",
    ]
    for what, of in (
        ("a look-up", attrgetter("to_small")),
        ("Redis's CPU for a search", attrgetter("search_cpu_to_small")),
    ):
        most = max((of(each) - 1 for each in many), key=abs)
        verdict = "within" if abs(most) <= FLAT_WITHIN else "NOT within"
        lines.append(f"- {what}: {verdict} ±{FLAT_WITHIN:.0%} ({most:+.0%} at most)")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=1_000_000, help="entries at the end")
    parser.add_argument("--hot", type=int, default=100_000, help="entries of the hot partition")
    parser.add_argument("--type", default="Float32", choices=["Float32", "Float16"], help="of vectors")
    parser.add_argument("--save", action="store_true", help="write results/cache_scale*.md and .json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = [
            EmbeddedRedis(RedisRole.CACHE, Path(folder) / name, maxmemory="14gb", more=["--appendonly", "no"])
            for name in ("growing", "small")
        ]
        with servers[0], servers[1]:
            rows = asyncio.run(run(given.most, given.hot, given.type, servers))
    text = table(rows, given.hot)
    print(text)
    if given.save:
        save(rows, text, given.type)


def save(rows: Sequence[Row], text: str, vector_type: str) -> None:
    name = "cache_scale" if vector_type == "Float32" else f"cache_scale_{vector_type.lower()}"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
    words = f"`python -m bench.cache_scale --type {vector_type} --save` on {commit}, {machine}"
    (RESULTS / f"{name}.md").write_text(f"# Look-ups by size of the cache\n\n{words}\n\n{text}\n")
    figures = {"commit": commit, "machine": machine, "type": vector_type, "rows": [vars(row) for row in rows]}
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
