"""Keeps the data plane on what manifests say: a change is compiled and swapped in while requests go on, a bad one
changes nothing, and what Redis has lost is made again. Used by `tollway serve`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from rich.console import Console
from rich.text import Text
from watchfiles import awatch

from tollway_api import snapshot
from tollway_api.reach import OWN, Reach
from tollway_cli.embedded_redis import EmbeddedRedisError
from tollway_cli.last_indexes import LastIndexes
from tollway_cli.migrations import Migrations
from tollway_cli.validate import findings_table, summary
from tollway_dataplane.errors import SnapshotFault
from tollway_operator.dropping import Dropping
from tollway_operator.errors import OperatorError
from tollway_operator.gather_files import Gathered, gather
from tollway_operator.provision import Provisioned, provision

_DEBOUNCE_MS: Final = 200
_LOOK_AGAIN_MS: Final = 5_000
_STEP_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the manifests are, and what else they are read with."""

    manifests: tuple[Path, ...]
    data_dir: Path  # our own files; nothing to follow there
    environ: Mapping[str, str]
    installation_namespace: str
    cache_url: str
    ledger_url: str
    reach: Reach = OWN  # where endpoints may be

    def gather(self) -> Gathered:
        return gather(self.manifests, self.environ, self.installation_namespace, reach=self.reach)


class Runs(Protocol):
    """What runs a snapshot: a data plane, or several."""

    @property
    def digest(self) -> str | None: ...

    @property
    def revision(self) -> str | None: ...

    async def offer(self, encoded: bytes) -> str:
        """Returns its revision when it runs everywhere. Raises SnapshotFault, and then the one before keeps running."""


class Standalone:
    """`keep_redis` starts again an embedded Redis that has died, and says whether one had."""

    def __init__(
        self,
        sources: Sources,
        live: Runs,
        console: Console,
        keep_redis: Callable[[], Awaitable[bool]],
    ) -> None:
        self._sources = sources
        self._live = live
        self._console = console
        self._keep_redis = keep_redis
        self._runs: Gathered | None = None
        self._trouble = ""  # the last one said, so that it is said once
        self._changed: set[str] = set()  # names of files that have not been looked at yet
        self._last_indexes = LastIndexes(sources.data_dir)
        self._migrations = Migrations(console)
        self._dropping = Dropping()
        self._is_settled = True
        self._turn = asyncio.Lock()  # of what provisions

    async def run(self, gathered: Gathered) -> None:
        """Provisions and swaps in.

        Raises OperatorError or SnapshotFault, and then the last good one keeps serving.
        """
        done = await self._go_on(gathered)
        for warning in done.warnings if done else ():
            self._console.print("[yellow]warning[/]:", Text(str(warning)))

    async def _go_on(self, changed: Gathered | None = None) -> Provisioned | None:
        """As far as it may be gone by now, since an embedding is changed in several steps: with what has changed, or
        else with what runs by the time that it is its turn, since an edit may come first. None where nothing runs.
        """
        async with self._turn:
            if (gathered := changed or self._runs) is None:
                return None
            before, urls = self._last_indexes.read(), (self._sources.cache_url, self._sources.ledger_url)
            done = await provision(gathered.snapshot, *urls, before, self._dropping)
            self._last_indexes.keep(done.snapshot)
            encoded = snapshot.encode(done.snapshot)
            if snapshot.digest(encoded) != self._live.digest:
                await self._live.offer(encoded)
            self._runs = gathered
            self._is_settled = done.is_settled
            self._migrations.report(done)
            return done

    async def migrate(self) -> None:
        """Runs until cancelled: takes step after step while an embedding is being changed."""
        while True:
            await asyncio.sleep(_STEP_S)
            if not self._is_settled:
                with suppress(OperatorError, SnapshotFault):  # which `follow` meets as well, and says
                    await self._go_on()

    async def follow(self) -> None:
        """Runs until cancelled. Nothing that a file holds or a Redis does may end it."""
        folders = {path if path.is_dir() else path.parent for path in self._sources.manifests}
        own = self._sources.data_dir.absolute()
        changes = awatch(
            *folders,
            # By any name: a mounted ConfigMap changes by a link called `..data`.
            watch_filter=lambda _, name: not Path(name).is_relative_to(own),
            debounce=_DEBOUNCE_MS,
            step=50,
            rust_timeout=_LOOK_AGAIN_MS,
            yield_on_timeout=True,
        )
        async for changed in changes:
            # What a Redis or a disk was in the way of is tried again.
            self._changed |= {Path(path).name for _, path in changed}
            try:
                if not changed:
                    await self._restore()
                if self._changed:
                    await self._take(self._changed)
                    self._changed = set()
            except (OperatorError, SnapshotFault, EmbeddedRedisError) as fault:
                self._say_once(f"{fault}; what runs keeps serving")
            except Exception as error:  # noqa: BLE001 - a border: whatever it is must not end the following
                self._say_once(f"unforeseen {type(error).__name__}: {error}; what runs keeps serving")

    async def _take(self, changed: Iterable[str]) -> None:
        """Runs what the manifests say now, if that can be run. `changed` are the names of the files that did."""
        gathered = await asyncio.to_thread(self._sources.gather)
        if gathered.broken or gathered.errors or not gathered.snapshot.policies:
            names = ", ".join(sorted(changed))
            why = "" if gathered.findings else f": without {names} as it was nothing is to be served"
            trouble = "\n".join(map(str, gathered.findings)) + why
            if trouble != self._trouble:
                if gathered.findings:
                    self._console.print(findings_table(gathered.findings))
                self._console.print(
                    Text.assemble(
                        ("change refused", "bold red"),
                        f"{why}; revision {self._live.revision} keeps serving until it is mended",
                    )
                )
            self._trouble = trouble
        elif self._runs is None or gathered.revision != self._runs.revision:
            await self.run(gathered)
            self._trouble = ""
            self._console.print("[green]change taken[/]:", Text(summary(gathered)))
        elif self._trouble:
            self._trouble = ""
            self._console.print(f"[green]mended[/]: revision {gathered.revision} serves on")

    async def _restore(self) -> None:
        """A Redis that has died, and index versions that somebody has flushed."""
        if await self._keep_redis():
            self._console.print("[yellow]warning[/]: an embedded Redis had died and was started again")
        await self._go_on()
        if self._trouble.endswith("what runs keeps serving"):
            self._trouble = ""

    def _say_once(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._console.print(Text.assemble(("trouble", "bold red"), f": {trouble}"))
        self._trouble = trouble
