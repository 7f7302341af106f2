"""`python -m bench.leaving`: how soon a provider sees that it is not to go on, once a caller has closed its connection:
before a whole answer, and in the middle of a stream. The provider and the callers are in this process and read one
clock; the data plane and Redis are processes of their own. Ends with 1 where it is longer than was promised.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import numpy as np

from tests import loopback
from tests.dataplanes import ACME_KEY, Setup
from tests.processes import free_port, started, wait_for
from tests.servers import redis_servers
from tests.snapshots import process_env, published

MOST_S: Final = 0.1
PATIENCE_S: Final = 120
_CHUNK: Final = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
_SAID: Final = {**_CHUNK, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
_BEGINNING: Final = (
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    f"data: {json.dumps(_SAID)}\n\n"
)


class Provider:
    """Never ends an answer; of a stream it sends a first word."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.left_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (
            int(line.partition(b":")[2])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length:")
        )
        if json.loads(await reader.readexactly(length)).get("stream"):
            writer.write(_BEGINNING.encode())
        left, self.left_at = self.left_at, asyncio.get_running_loop().create_future()
        self.asked.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        left.set_result(time.monotonic())
        writer.close()


@contextlib.asynccontextmanager
async def serving(provider: Provider, port: int) -> AsyncIterator[None]:
    async with await asyncio.start_server(provider.serve, "127.0.0.1", port):
        yield


async def leave(provider: Provider, port: int, number: int, *, stream: bool) -> float:
    """Seconds from the caller's close until the provider's connection has ended."""
    body = json.dumps({"messages": [{"role": "user", "content": f"Question {number}"}], "stream": stream})
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: tollway\r\nauthorization: Bearer {ACME_KEY}\r\n"
        f"content-type: application/json\r\ncache-control: no-store\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    provider.asked.clear()
    left = provider.left_at
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write((head + body).encode())
    await provider.asked.wait()
    if stream:
        await reader.readuntil(b"word ")
    began = time.monotonic()
    writer.close()
    return await left - began


async def measured(port: int, provider_port: int, times: int) -> dict[str, list[float]]:
    provider, found = Provider(), dict[str, list[float]]()
    async with serving(provider, provider_port):
        for name, stream in (("whole", False), ("stream", True)):
            async with asyncio.timeout(PATIENCE_S + times):
                found[name] = [await leave(provider, port, number, stream=stream) for number in range(times)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=300)
    times: int = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name, redis_servers(Path(name)) as (cache, ledger):
        folder, port, provider_port = Path(name), free_port(), free_port()
        url = f"http://127.0.0.1:{provider_port}/v1"
        money = {"limits": [{"name": "money", "amount": "1000"}]}
        published(Setup(url, url, acme=money), folder / "snapshot", cache, ledger)
        env = process_env(folder / "snapshot", cache, ledger, port, admin := free_port())
        with started(folder / "dataplane.log", "tollway_dataplane", env=env):
            ready = f"http://127.0.0.1:{admin}/readyz"
            wait_for(lambda: loopback.get(ready).status_code == 200, "it is ready", PATIENCE_S)
            found = asyncio.run(measured(port, provider_port, times))
    for kind, seconds in found.items():
        middle, late, latest = np.percentile(seconds, [50, 99, 100]) * 1_000
        print(f"{kind:6}  median {middle:.1f} ms, p99 {late:.1f} ms, latest {latest:.1f} ms, of {times}")
    sys.exit(any(np.percentile(seconds, 99) > MOST_S for seconds in found.values()))


if __name__ == "__main__":
    main()
