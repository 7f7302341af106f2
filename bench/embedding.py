"""What the embed server gives of the bare encoder's texts a second: `python -m bench.embedding`.

Rounds alternate, so that a slow minute of the machine hits all of them, and the median of the shares within a round is
told. Texts are as long as questions are, and no two are the same. Its callers, the official client, are in this
process, and the server has one of its own; on one core they would share it.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Final

import openai

from tests.loopback import get
from tests.processes import free_ports, started, wait_for
from tollway_dataplane.adapters.local_embedder import MOST_BATCH, LocalEmbedder

MODEL: Final = "all-MiniLM-L6-v2"
CALLERS: Final = 32
_NUMBERS: Final = itertools.count()


def texts(count: int) -> list[str]:
    return [f"How do I move {next(_NUMBERS)} dollars from savings to checking?" for _ in range(count)]


async def per_second(ask: Callable[[], Awaitable[int]], callers: int, seconds: float) -> float:
    """Texts, each caller asking again at once."""
    until = time.perf_counter() + seconds

    async def caller() -> int:
        done = 0
        while time.perf_counter() < until:
            done += await ask()
        return done

    begun = time.perf_counter()
    done = sum(await asyncio.gather(*(caller() for _ in range(callers))))
    return done / (time.perf_counter() - begun)


async def measure(url: str, rounds: int, seconds: float) -> None:
    encoder = await LocalEmbedder.load()
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

    async def bare() -> int:
        return len(await asyncio.to_thread(encoder.encode, texts(MOST_BATCH)))

    async def asked(count: int) -> int:
        return len((await client.embeddings.create(model=MODEL, input=texts(count))).data)

    shares: dict[str, list[float]] = {}
    for _ in range(rounds):
        base = await per_second(bare, 1, seconds)
        for count in (1, 16, 64):  # times the callers, what a server takes at most
            rate = await per_second(lambda count=count: asked(count), CALLERS, seconds)  # type: ignore[misc]  # mypy does not type a lambda with a default
            shares.setdefault(f"{count:>4} texts a request", []).append(rate / base)
    print(f"of the bare encoder's texts a second, {CALLERS} callers, median of {rounds} rounds (all)")
    for name, found in shares.items():
        print(f"  {name}: {median(found):.2f}  ({', '.join(f'{share:.2f}' for share in sorted(found))})")
    await client.close()
    await encoder.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    port, admin = free_ports(2)
    env = {"TOLLWAY_LISTEN": f"127.0.0.1:{port}", "TOLLWAY_ADMIN_LISTEN": f"127.0.0.1:{admin}"}
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder) / "log", "tollway_dataplane.embed_server", env=env),
    ):
        wait_for(lambda: get(f"http://127.0.0.1:{admin}/readyz").status_code == 200, "it is ready", 60)
        asyncio.run(measure(f"http://127.0.0.1:{port}", given.rounds, given.seconds))


if __name__ == "__main__":
    main()
