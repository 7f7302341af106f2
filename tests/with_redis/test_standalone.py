"""What `tollway serve` runs, while manifests change and an embedding is on its way at the same time."""

import asyncio
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import yaml
from rich.console import Console

from tests.dataplanes import Setup
from tollway_api import snapshot
from tollway_api.snapshot import Snapshot
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_cli.standalone import Sources, Standalone
from tollway_operator.gather_files import Gathered

SETUP = Setup("http://a/v1", "http://b/v1")
WORDLLAMA = {"embedding": {"model": "wordllama", "dimensions": 256}}


class Live:
    """A data plane that takes its time with what it is offered."""

    digest: str | None = None
    revision: str | None = None

    def __init__(self) -> None:
        self.runs: list[Snapshot] = []
        self.may_take, self.is_offered = asyncio.Event(), asyncio.Event()
        self.may_take.set()

    async def offer(self, encoded: bytes) -> str:
        self.is_offered.set()
        await self.may_take.wait()
        self.digest = snapshot.digest(encoded)
        self.runs.append(snapshot.decode(encoded))
        return snapshot.revision(encoded)


async def test_an_edit_that_comes_while_an_embedding_is_on_its_way_stays(
    tmp_path: Path, cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis
) -> None:
    file = tmp_path / "all.yaml"
    sources = Sources((file,), tmp_path / "data", {}, "tollway-system", cache_redis.url, ledger_redis.url)

    def gathered(index: Mapping[str, object], priority: int) -> Gathered:
        objects = SETUP.but(index=index, policy={"priority": priority}).objects()
        file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        return sources.gather()

    async def keep_redis() -> bool:
        return False

    live = Live()
    standalone = Standalone(sources, live, Console(file=StringIO()), keep_redis)
    await standalone.run(gathered({}, 1))
    await standalone.run(gathered(WORDLLAMA, 1))  # it is on its way, and nobody fills it
    live.may_take.clear()
    live.is_offered.clear()
    editing = asyncio.create_task(standalone.run(gathered(WORDLLAMA, 2)))
    await live.is_offered.wait()
    migrating = asyncio.create_task(standalone.migrate())
    await asyncio.sleep(1)  # so that its next step waits for the edit
    live.may_take.set()
    await editing
    await asyncio.sleep(3)
    migrating.cancel()
    assert live.runs[-1].policies[0].priority == 2
