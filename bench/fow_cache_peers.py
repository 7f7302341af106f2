"""Scores this cache, RedisVL's and GPTCache's on the public benchmark fow-cache in one run, each through the
benchmark's own adapter and at its own default threshold: `python -m bench.fow_cache_peers [--save]`. All find their
candidates with the same encoder, so that only what decides differs. The peers are installed apart; bench/README.md says
how.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from fow_cache import evaluate  # type: ignore[import-not-found, unused-ignore] # installed apart
from fow_cache.adapters import gptcache_check, redisvl_check, redisvl_threshold  # type: ignore[import-not-found, unused-ignore] # installed apart
from gptcache import Cache  # type: ignore[import-not-found, unused-ignore] # installed apart
from gptcache.adapter.api import init_similar_cache  # type: ignore[import-not-found, unused-ignore] # installed apart
from gptcache.embedding.base import BaseEmbedding  # type: ignore[import-not-found, unused-ignore] # installed apart
from redisvl.extensions.cache.llm import SemanticCache  # type: ignore[import-not-found, unused-ignore] # installed apart
from redisvl.utils.vectorize import CustomVectorizer  # type: ignore[import-not-found, unused-ignore] # installed apart

from bench.fow_cache_adapter import served, view
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_dataplane.adapters.local_embedder import DIMENSIONS

TARGET: Final = Path(__file__).parent / "results" / "fow_cache.md"
HEAD: Final = (
    "# Tollway, RedisVL and GPTCache on fow-cache",
    "",
    "`python -m bench.fow_cache_peers --save`. Each at its own default threshold, all with the same encoder.",
    "Half of these questions were seen while Tollway's rules and judge were made; half had never been.",
)


def vector(text: str, **_: Any) -> list[float]:
    return [float(value) for value in view(text).vector]


@contextmanager
def redisvl(folder: Path) -> Iterator[tuple[Callable[[Any, Any], float], float]]:
    with EmbeddedRedis(RedisRole.CACHE, folder) as redis:
        cache = SemanticCache(
            name="fow", redis_url=redis.url, vectorizer=CustomVectorizer(embed=vector), overwrite=True
        )
        yield redisvl_check(cache), redisvl_threshold(cache)


def gptcache(folder: Path) -> Callable[[Any, Any], bool]:
    class Embedding(BaseEmbedding):  # type: ignore[misc, unused-ignore] # its base is unknown here
        dimension = DIMENSIONS

        def to_embeddings(self, data: str, **_: Any) -> Any:
            return np.array(vector(data), dtype=np.float32)

    def make() -> Any:
        cache = Cache()
        where = tempfile.mkdtemp(dir=folder)
        init_similar_cache(data_dir=where, cache_obj=cache, embedding=Embedding())
        return cache

    found: Callable[[Any, Any], bool] = gptcache_check(make)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write the table to bench/results/")
    asked = parser.parse_args()
    reports: list[tuple[str, str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for dataset in ("questions", "conversations"):
            reports.append((dataset, "Tollway", evaluate(served, dataset)))
            with redisvl(folder / f"redis-{dataset}") as (check, threshold):
                reports.append((dataset, "RedisVL", evaluate(check, dataset, threshold)))
            reports.append((dataset, "GPTCache", evaluate(gptcache(folder), dataset)))
    text = "\n".join([*HEAD, *table(reports, "questions"), *table(reports, "conversations")]) + "\n"
    print(text)
    if asked.save:
        TARGET.write_text(text, encoding="utf-8")


def table(reports: list[tuple[str, str, Any]], dataset: str) -> list[str]:
    of = [(peer, report) for name, peer, report in reports if name == dataset]

    def row(name: str, shares: list[float]) -> str:
        return f"| {name} | " + " | ".join(f"{share:.1%}" for share in shares) + " |"

    return [
        "",
        f"## {dataset}",
        "",
        "| served | " + " | ".join(peer for peer, _ in of) + " |",
        "|---|" + "---:|" * len(of),
        row("**should hit**", [report.hit_rate for _, report in of]),
        row("**traps**", [report.wrong_rate for _, report in of]),
        *(row(group, [report.by_group()[group] for _, report in of]) for group in of[0][1].by_group()),
    ]


if __name__ == "__main__":
    main()
