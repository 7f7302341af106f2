"""The embed server as a process, alone and as the embedder of an index."""

import asyncio
import contextlib
import itertools
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openai
import pytest
from redis.asyncio import Redis

from tests import loopback
from tests.conftest import Start
from tests.dataplanes import Reply, Setup, SharedEmbedder
from tests.processes import Process, free_ports, run, run_alone, started, wait_for
from tollway_cli.embedded_redis import EmbeddedRedis

MODEL = "all-MiniLM-L6-v2"
LONG = "a long text " * 10
PASSWORD, PARAPHRASE = "How do I reset my password?", "How can I reset my password?"


@contextlib.contextmanager
def embed_server(log: Path, port: int, admin: int) -> Iterator[Process]:
    env = {"TOLLWAY_LISTEN": f"127.0.0.1:{port}", "TOLLWAY_ADMIN_LISTEN": f"127.0.0.1:{admin}"}
    with started(log, "tollway_dataplane.embed_server", env=env) as process:
        ready = f"http://127.0.0.1:{admin}/readyz"
        wait_for(lambda: loopback.get(ready).status_code == 200, "the embed server is ready", 60)
        yield process


def test_who_is_under_way_is_served_when_it_is_told_to_stop(tmp_path: Path) -> None:
    port, admin = free_ports(2)
    command = ("embed-server", "--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}")
    with (
        started(tmp_path / "log", "tollway_cli", *command, "--threads", "2") as process,
        openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        wait_for(lambda: loopback.get(f"http://127.0.0.1:{admin}/readyz").status_code == 200, "ready", 60)
        asking = [
            pool.submit(
                client.embeddings.create, model=MODEL, input=[f"{caller} {LONG} {n}" for n in range(4)]
            )
            for caller in range(4)
        ]

        def known() -> bool:
            """Under way, or done by then."""
            text = loopback.get(f"http://127.0.0.1:{admin}/metrics").text
            under_way = re.findall(r"^tollway_embed_requests_in_flight (\S+)", text, re.MULTILINE)
            done = re.findall(r"^tollway_embed_request_duration_seconds_count\S+ (\S+)", text, re.MULTILINE)
            return sum(map(float, under_way + done)) == 4

        wait_for(known, "all have come")
        assert process.stop(signal.SIGTERM) == 0
        assert [len(each.result().data) for each in asking] == [4] * 4


def test_a_setting_that_makes_no_sense_is_one_sentence() -> None:
    done = run_alone("tollway_dataplane.embed_server", env={"TOLLWAY_THREADS": "0"})
    assert done.returncode == 1
    assert done.stderr.startswith("tollway-embed-server: TOLLWAY_THREADS is '0': Input should be greater")


def test_help_says_who_may_call_and_how_an_index_uses_it() -> None:
    said = " ".join(run("tollway_cli", "embed-server", "--help").stdout.split())
    assert "TOLLWAY_API_KEYS" in said
    assert "OpenAICompatible" in said


@pytest.mark.long
async def test_an_index_finds_by_it_and_outlives_it_under_load(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis, embedder: SharedEmbedder, tmp_path: Path
) -> None:
    """It is killed, so that what is under way breaks. Half a minute later the circuit breaker asks it again."""
    port, admin = free_ports(2)
    given = {"model": MODEL, "dimensions": 384, "endpoint": f"http://127.0.0.1:{port}/v1"}
    minilm = {"name": "minilm", "model": f"openai/{MODEL}", "endpoint": given["endpoint"]}
    route = {"simpleModel": "cheap", "complexModel": "rich"}
    gateway = await start(
        setup.but(
            index={"embedding": {"provider": "OpenAICompatible", **given}},
            policy={
                "models": [*setup.models(), {**minilm, "pricing": {"input": "0", "output": "0"}}],
                "route": route,
                "fallback": {"order": ["cheap", "rich"]},
            },
        )
    )
    numbers = itertools.count()

    async def asked(count: int) -> list[Reply]:
        """By four at a time; each twice, so that the second may be an exact hit."""

        async def ask() -> list[Reply]:
            mine = itertools.islice(numbers, count // 4)
            return [await gateway.ask(f"Where is the lake called number {number // 2}?") for number in mine]

        return list(itertools.chain(*await asyncio.gather(*(ask() for _ in range(4)))))

    async def is_embedded(prompt: str) -> bool:
        return (await gateway.ask(prompt)).headers["x-tollway-cache-reason"] != "EmbedderUnavailable"

    with contextlib.ExitStack() as stack:
        first = await asyncio.to_thread(stack.enter_context, embed_server(tmp_path / "one", port, admin))
        await gateway.ask(PASSWORD)
        await gateway.stored()
        vector = await remembered(cache_redis)
        assert np.allclose(vector, (await embedder.embed(PASSWORD)).vector, rtol=0, atol=1e-6)
        assert (await gateway.ask(PARAPHRASE)).source == "semantic"
        by_policy = await gateway.acme.embeddings.create(model="minilm", input=PASSWORD)
        assert np.allclose(by_policy.data[0].embedding, vector, rtol=0, atol=1e-6)
        under_way = asyncio.create_task(asked(200))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(first.stop, signal.SIGKILL)
        replies = [*await under_way, *await asked(100)]
        assert {reply.status for reply in replies} == {200}
        assert {reply.source for reply in replies[-100:]} == {"exact", "live"}
        assert not await is_embedded("How might I reset my password?")
        await asyncio.to_thread(stack.enter_context, embed_server(tmp_path / "two", port, admin))
        in_a_row, fresh = 0, itertools.count()
        async with asyncio.timeout(120):
            while in_a_row < 20:
                in_a_row = in_a_row + 1 if await is_embedded(f"Is the pond number {next(fresh)} deep?") else 0
                await asyncio.sleep(0.1)
        assert (await gateway.ask(PARAPHRASE)).source == "semantic"


async def remembered(server: EmbeddedRedis) -> npt.NDArray[np.float32]:
    """The only vector there is."""
    async with Redis.from_url(server.url) as redis:
        (key,) = await redis.keys("tollway:1:vector:*")
        fields = await redis.hgetall(key)
        return np.frombuffer(bytes(fields[b"embedding"]), "<f4")  # type: ignore[arg-type]  # the client's types know no bytes
