"""What remembered answers take of a Redis, by dimensions and type of the vectors: what to size a cache by. Through the
real adapter, on a real Redis with vector search that this starts, with the entries of `bench.cache_scale`.

`python -m bench.cache_memory --save` writes results/cache_memory.md: each embedding at 20,000 and at 100,000 entries,
or at `--sizes`. It takes two hours of an idle core; `--only 384/Float16` measures one.
"""

import argparse
import asyncio
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from bench.cache_scale import ANSWER_CHARACTERS, ENTRIES_PER_PARTITION, RESULTS, WORDS, Corpus
from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_api.snapshot import Index, Snapshot
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.ports import FoundBy
from tollway_operator.provision import provision
from tollway_operator.redis_store import open_store

DIMENSIONS: Final = (256, 384, 768, 1_024, 1_536, 3_072)
TYPES: Final = ("Float32", "Float16")
SIZES: Final = (20_000, 100_000)
OWN: Final = 384  # of the judge's encoder, which is the embedding where an index names none
MILLION: Final = 1_000_000
_AT_ONCE: Final = 64


@dataclass(frozen=True)
class Row:
    dimensions: int
    type: str
    entries: int
    bytes_per_entry: int
    of_the_index: int  # what RediSearch says of itself: a part of the former


def snapshot_of(dimensions: int, vector_type: str) -> Snapshot:
    elsewhere = {
        "provider": "OpenAICompatible",
        "model": "m",
        "dimensions": dimensions,
        "endpoint": "http://127.0.0.1:9/v1",
    }
    embedding = {} if dimensions == OWN else {"embedding": elsewhere}
    index = {"vector": {"type": vector_type}, **embedding}
    return compiled(Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", index=index).objects())


def index_in(snapshot: Snapshot) -> Index:
    (index,) = snapshot.indexes.values()
    return index


class Filling:
    """Entries of one index, with what the judge reads of each."""

    def __init__(self, cache: RedisAnswerCache, index: Index) -> None:
        self._cache = cache
        self._index = index
        self._found = Corpus(index)
        self._judged = Corpus(index_in(snapshot_of(OWN, "Float32")))

    async def grow(self, numbers: range) -> None:
        for start in range(numbers.start, numbers.stop, _AT_ONCE):
            await asyncio.gather(*map(self._put, range(start, min(start + _AT_ONCE, numbers.stop))))

    async def _put(self, number: int) -> None:
        partition = 1 + number // ENTRIES_PER_PARTITION
        view = self._judged.view(partition, number)
        found_by = FoundBy(view, [(self._index.version, self._found.vector(partition, number))])
        await self._cache.put(self._found.place(partition, number), found_by, self._found.answer(number))


@contextmanager
def started() -> Iterator[EmbeddedRedis]:
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedRedis(
            RedisRole.CACHE, Path(folder) / "redis", maxmemory="14gb", more=["--appendonly", "no"]
        ) as server,
    ):
        yield server


async def measured(
    server: EmbeddedRedis, dimensions: int, vector_type: str, sizes: Sequence[int]
) -> list[Row]:
    snapshot = snapshot_of(dimensions, vector_type)
    await provision(snapshot, server.url, server.url)
    index, rows, standing = index_in(snapshot), list[Row](), 0
    async with aclosing(connect(server.url, 30.0)) as client, open_store(server.url, "cache") as store:
        empty = (await client.info("memory"))["used_memory"]
        filling = Filling(RedisAnswerCache(client, 30.0, OWN), index)
        for size in sizes:
            await filling.grow(range(standing, size))
            standing = size
            used = (await client.info("memory"))["used_memory"] - empty
            facts = (await store.indexes())[wire.index_name(index.version)]
            assert facts.entries == size
            rows.append(Row(dimensions, vector_type, size, used // size, facts.memory_bytes // size))
            print(rows[-1], flush=True)
    return rows


async def answers(server: EmbeddedRedis, count: int) -> tuple[int, int]:
    """Bytes of an answer that is found by its very prompt alone: as it is kept, and as it would be uncompressed."""
    index = index_in(snapshot_of(OWN, "Float32"))
    corpus = Corpus(index)
    async with aclosing(connect(server.url, 30.0)) as client:
        cache, taken = RedisAnswerCache(client, 30.0, OWN), list[int]()
        for is_compressed in (True, False):
            before = (await client.info("memory"))["used_memory"]
            for number in range(count):
                place, answer = corpus.place(int(is_compressed), number), corpus.answer(number)
                await cache.put(place, None, answer)
                if not is_compressed:
                    await client.hset(place.key, "body", answer.body)
            taken.append(((await client.info("memory"))["used_memory"] - before) // count)
    return taken[0], taken[1]


def table(rows: Sequence[Row], kept: tuple[int, int]) -> str:
    heads = ("dimensions", "type", "entries", "bytes an entry", "of that the index", "a million entries, GB")
    lines = [f"| {' | '.join(heads)} |", f"|{'---:|' * len(heads)}"]
    for row in rows:
        million = f"{row.bytes_per_entry * MILLION / 1e9:.1f}"
        cells = (
            row.dimensions,
            row.type,
            f"{row.entries:,}",
            f"{row.bytes_per_entry:,}",
            f"{row.of_the_index:,}",
            million,
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    said = f"An answer of {ANSWER_CHARACTERS:,} characters takes {kept[0]:,} of these bytes"
    said += f", and would take {kept[1]:,} if it were not compressed."
    return "\n".join([*lines, "", said])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help="entries, each more than the one before"
    )
    parser.add_argument("--only", nargs="+", metavar="DIMENSIONS/TYPE", help="of these alone")
    parser.add_argument("--save", action="store_true", help="write results/cache_memory.md")
    given = parser.parse_args()
    rows: list[Row] = []
    for dimensions, vector_type in product(DIMENSIONS, TYPES):
        if not given.only or f"{dimensions}/{vector_type}" in given.only:
            with started() as server:
                rows += asyncio.run(measured(server, dimensions, vector_type, given.sizes))
    with started() as server:
        kept = asyncio.run(answers(server, 2_000))
    text = table(rows, kept)
    print(text)
    if given.save:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, numpy {np.__version__}"
        sizes = " ".join(map(str, given.sizes))
        words = (
            f"`python -m bench.cache_memory --sizes {sizes} --save` on {commit}, {machine}. Prompts of {WORDS} "
            f"content words, partitions of {ENTRIES_PER_PARTITION}, `m: 16`. The last column is one's times a million."
        )
        (RESULTS / "cache_memory.md").write_text(f"# Memory of the cache\n\n{words}\n\n{text}\n")


if __name__ == "__main__":
    main()
