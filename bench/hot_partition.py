"""What a look-up by meaning costs in one partition of a hundred thousand entries, and what it finds there: real
questions, by the data plane's own adapter, in a real Redis with vector search that this starts. `cache_scale` has a hot
partition of made-up vectors, which have no structure but their centre and so are the hardest for a graph.

`python -m bench.hot_partition --data FOLDER --save` writes results/hot_partition.md and .json; FOLDER has the labelled
sets, which are not part of this repository. Each of their questions is stored but for those that are asked: Quora's
that have a labelled duplicate among the others. It takes ten minutes of an idle core.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.report import heading, keep, origin, table
from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_api.snapshot import Index
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.cache.comparing import CANDIDATES
from tollway_dataplane.judgement.judge import View, shipped
from tollway_dataplane.ports import FoundBy, Place, Remembered
from tollway_operator.provision import provision
from tools.cache_data import rows

ASKED: Final = 1_000
BATCH: Final = 16
AT_ONCE: Final = 64
_PAIRS: Final = ("qqp_pairs", "fow_pairs", "semanticmemo_pairs", "gptcache_mock_pairs")
_STREAMS: Final = ("qqp_stream", "clinc150_stream", "banking77_stream")
_DEADLINE_S: Final = 30.0
_ANSWER: Final = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}]}'
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Questions:
    stored: Sequence[str]
    asked: Sequence[str]


def questions(folder: Path, most: int) -> Questions:
    """Each text once."""
    pairs = [row for name in _PAIRS for row in rows(folder, name)]
    asked = dict.fromkeys(row["b"] for row in rows(folder, "qqp_pairs") if row["same"])
    chosen = list(asked)[:ASKED]
    texts = [row[side] for side in ("a", "b") for row in pairs]
    texts += [row["text"] for name in _STREAMS for row in rows(folder, name)]
    stored = dict.fromkeys(texts)
    for each in chosen:
        del stored[each]
    return Questions(list(stored)[:most], chosen)


def views(embedder: LocalEmbedder, texts: Sequence[str]) -> Iterator[View]:
    """Those of like length together, since the longest of a batch is what each of it costs."""
    judge, order = shipped(), sorted(range(len(texts)), key=lambda number: len(texts[number]))
    for start in range(0, len(order), BATCH):
        batch = [texts[number] for number in order[start : start + BATCH]]
        yield from map(judge.view_of, batch, embedder.encode(batch))
        if start % (BATCH * 500) == 0:
            print(f"{start:,} of {len(texts):,} read", flush=True)


class Partition:
    def __init__(self, cache: RedisAnswerCache, index: Index) -> None:
        self._cache = cache
        self._index = index

    def _place(self, number: int) -> Place:
        return Place(self._index, f"{wire.index_tag(self._index.id)}{'0' * 44}", f"{number:032x}")

    async def fill(self, seen: Iterator[View]) -> tuple[Vectors, float]:
        """The vectors as they are numbered, and how many entries a second were taken."""
        vectors, took_s = list[npt.NDArray[np.float32]](), 0.0
        ended = False
        while not ended:
            batch = [view for _, view in zip(range(AT_ONCE), seen, strict=False)]
            ended = len(batch) < AT_ONCE
            began, first = time.perf_counter(), len(vectors)
            await asyncio.gather(*(self._put(first + at, view) for at, view in enumerate(batch)))
            took_s += time.perf_counter() - began
            vectors += [view.vector for view in batch]
        return np.stack(vectors), len(vectors) / took_s

    async def _put(self, number: int, view: View) -> None:
        place = self._place(number)
        found_by = FoundBy(view, [(self._index.version, view.vector)])
        await self._cache.put(place, found_by, Remembered(_ANSWER, "cheap", 25_000, time.time() + 86_400))

    async def nearest(self, view: View) -> tuple[list[int], float]:
        """The numbers of what a look-up fetches, and how many ms it took."""
        began = time.perf_counter()
        found = await self._cache.nearest(self._place(0), view.vector, CANDIDATES, _DEADLINE_S)
        return [int(each.entry, 16) for each in found], (time.perf_counter() - began) * 1_000


def worked_ns(pid: int) -> int:
    """What Redis's main thread, which does all of a search, has had of a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


async def measure(asked: Questions, server: EmbeddedRedis) -> Mapping[str, Any]:
    snapshot = compiled(Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1").objects())
    (index,) = snapshot.indexes.values()
    await provision(snapshot, server.url, server.url)
    embedder = await LocalEmbedder.load()
    client = connect(server.url, _DEADLINE_S)
    try:
        cache = RedisAnswerCache(client, _DEADLINE_S, index.version.embedding.dimensions)
        partition = Partition(cache, index)
        stored, per_s = await partition.fill(views(embedder, asked.stored))
        first, among, near, search_ms, lookup_ms, cpu_ms = (list[float]() for _ in range(6))
        for text in asked.asked:
            began = time.perf_counter()
            view = shipped().view_of(text, await embedder.embed(text))
            encoded, worked = time.perf_counter(), worked_ns(server.pid)
            found, took_ms = await partition.nearest(view)
            cpu_ms.append((worked_ns(server.pid) - worked) / 1e6)
            closeness = stored @ view.vector
            best = np.argsort(-closeness, kind="stable")[:CANDIDATES]
            first.append(float(closeness[found[0]] >= closeness[best[0]] - 1e-6))
            among.append(len({*found} & {*best.tolist()}) / CANDIDATES)
            if closeness[best[0]] >= 0.9:
                near.append(first[-1])
            search_ms.append(took_ms)
            lookup_ms.append((encoded - began) * 1_000 + took_ms)
        return {
            "entries": len(stored),
            "stored_per_second": round(per_s),
            "search_p50_ms": statistics.median(search_ms),
            "search_p95_ms": statistics.quantiles(search_ms, n=20)[-1],
            "search_cpu_ms": statistics.median(cpu_ms),
            "lookup_p50_ms": statistics.median(lookup_ms),
            "nearest_first": statistics.mean(first),
            "nearest_first_above_0.9": statistics.mean(near),
            "asked_above_0.9": len(near),
            "of_the_five_nearest": statistics.mean(among),
        }
    finally:
        await client.aclose()
        await embedder.aclose()


def as_markdown(report: Mapping[str, Any]) -> str:
    cells = [
        ("entries in the partition", f"{report['entries']:,}"),
        ("a search, p50 / p95", f"{report['search_p50_ms']:.2f} / {report['search_p95_ms']:.2f} ms"),
        ("of Redis's processor", f"{report['search_cpu_ms']:.2f} ms"),
        ("a look-up with the encoding of its prompt, p50", f"{report['lookup_p50_ms']:.1f} ms"),
        ("the very nearest comes first", f"{report['nearest_first']:.1%}"),
        (
            f"… where its cosine is 0.9 or more ({report['asked_above_0.9']} of {ASKED:,})",
            f"{report['nearest_first_above_0.9']:.1%}",
        ),
        ("of the five nearest, found", f"{report['of_the_five_nearest']:.1%}"),
        ("stored a second", f"{report['stored_per_second']:,}"),
    ]
    return "\n".join([*heading("One hot partition, of real questions", report), *table(["", ""], cells), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled sets")
    parser.add_argument("--most", type=int, default=100_000, help="entries of the partition")
    parser.add_argument("--save", action="store_true", help="write results/hot_partition.md and .json")
    given = parser.parse_args()
    begun = origin("bench.hot_partition")
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(RedisRole.CACHE, Path(folder), maxmemory="8gb", more=["--appendonly", "no"])
        with server:
            found = asyncio.run(measure(questions(given.data, given.most), server))
    report = {**begun, **found}
    text = as_markdown(report)
    print(text)
    if given.save:
        keep("hot_partition", report, text)


if __name__ == "__main__":
    main()
