"""`python -m bench.encoder SECONDS CALLERS`: what the cache's encoder does by itself, in a process that does nothing
else, asked as a data plane asks it: the bound on look-ups by meaning. Prints a `Burst` as JSON.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict

from bench.load import Burst, Shape
from bench.prompts import paraphrases
from tollway_dataplane.adapters.local_embedder import LocalEmbedder


def alone(shape: Shape) -> Burst:
    command = [sys.executable, "-m", "bench.encoder", str(shape.seconds), str(shape.callers)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Burst(**json.loads(printed))


async def asked(seconds: int, callers: int) -> Burst:
    encoder = await LocalEmbedder.load()
    prompts, times_ms = paraphrases(), list[float]()
    await encoder.embed("the first takes longer")
    began = time.perf_counter()

    async def caller() -> None:
        while (at := time.perf_counter()) < began + seconds:
            await encoder.embed(next(prompts))
            times_ms.append((time.perf_counter() - at) * 1_000)

    await asyncio.gather(*(caller() for _ in range(callers)))
    took = time.perf_counter() - began
    await encoder.aclose()
    p = statistics.quantiles(times_ms, n=100)
    return Burst(len(times_ms) / took, p[49], p[94], p[98], len(times_ms), 0)


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(asked(int(sys.argv[1]), int(sys.argv[2]))))))
