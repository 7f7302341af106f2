"""`tollway serve`: the whole of Tollway on one machine, without a cluster. Compiles the same YAML, starts two embedded
Redis, provisions the index versions, serves, and follows the files: a change is compiled and swapped in while requests
go on; a bad one changes nothing.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from watchfiles import awatch

from tollway_api.snapshot import Limit, Rolling
from tollway_api.tenant_budget import Unit
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_cli.validate import findings_table, summary
from tollway_dataplane.app import DataPlane, open_dataplane
from tollway_dataplane.background import running
from tollway_dataplane.core.pricing import as_usd
from tollway_dataplane.errors import SnapshotFault
from tollway_dataplane.logs import json_log
from tollway_dataplane.server import Site, listen, serve, settle_heap, stop_on_signals
from tollway_dataplane.settings import Address, Settings
from tollway_operator.errors import OperatorError
from tollway_operator.manifests import SUFFIXES
from tollway_operator.reconcile import Gathered, gather, provision

_DEBOUNCE_MS = 200


class ServeError(Exception):
    """Serving cannot begin; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    manifests: tuple[Path, ...]
    listen: Address
    admin_listen: Address
    redis_url: str | None  # None: embedded
    ledger_redis_url: str | None
    data_dir: Path
    installation_namespace: str
    drain_s: float
    log_file: Path | None  # of requests; None: standard output


class Standalone:
    """Keeps one data plane on what the manifests say."""

    def __init__(
        self, options: ServeOptions, environ: Mapping[str, str], console: Console, settings: Settings
    ) -> None:
        self._options = options
        self._environ = environ
        self._console = console
        self._settings = settings

    def gather(self) -> Gathered:
        return gather(self._options.manifests, self._environ, self._options.installation_namespace)

    async def run_on(self, gathered: Gathered, dataplane: DataPlane) -> None:
        """Provisions and swaps in. Raises OperatorError or SnapshotFault, and then the last good one keeps serving."""
        urls = self._settings.cache_redis_url, self._settings.ledger_redis_url
        done = await provision(gathered.snapshot, *urls)
        for warning in done.warnings:
            self._console.print(f"[yellow]warning[/]: {warning}")
        await dataplane.live.offer(gathered.encoded)

    async def follow(self, dataplane: DataPlane) -> None:
        """Runs until cancelled: compiles again whenever a manifest changes."""
        folders = {path if path.is_dir() else path.parent for path in self._options.manifests}
        changes = awatch(
            *folders,
            watch_filter=lambda _, name: Path(name).suffix in SUFFIXES,
            debounce=_DEBOUNCE_MS,
            step=50,
        )
        async for _ in changes:
            gathered = self.gather()
            if gathered.broken or gathered.errors:
                self._console.print(findings_table(gathered.findings))
                self._console.print(
                    f"[bold red]change refused[/]: revision {dataplane.live.revision} keeps serving until it is mended"
                )
            elif gathered.revision != dataplane.live.revision:
                try:
                    await self.run_on(gathered, dataplane)
                except (OperatorError, SnapshotFault) as fault:
                    self._console.print(
                        f"[bold red]change not taken[/]: {fault}; the last good snapshot keeps serving"
                    )
                else:
                    self._console.print(f"[green]change taken[/]: {summary(gathered)}")


async def serve_standalone(options: ServeOptions, environ: Mapping[str, str], console: Console) -> None:
    """Serves until SIGTERM or Ctrl-C, then drains.

    Raises ServeError, EmbeddedRedisError, ListenError or OperatorError before anything is served.
    """
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with AsyncExitStack() as stack:
        cache_url, ledger_url = await stack.enter_async_context(_redis(options, console))
        settings = Settings(cache_url, ledger_url, drain_s=options.drain_s)
        standalone = Standalone(options, environ, console, settings)
        gathered = standalone.gather()
        if gathered.findings:
            console.print(findings_table(gathered.findings))
        if gathered.broken or not gathered.snapshot.policies:
            raise ServeError(f"nothing to serve: {summary(gathered)}")
        log_file = stack.enter_context(options.log_file.open("w")) if options.log_file else sys.stdout
        log = await stack.enter_async_context(json_log(log_file))
        dataplane = await stack.enter_async_context(open_dataplane(settings, log))
        await standalone.run_on(gathered, dataplane)
        public = Site(dataplane.public, listen(options.listen))
        admin = Site(dataplane.admin, listen(options.admin_listen))
        settle_heap()
        _introduce(console, gathered, public.address, admin.address)
        console.print(summary(gathered), soft_wrap=True)
        where = options.log_file or "standard output"
        console.print(f"Requests are logged to {where}. Ctrl-C stops.", soft_wrap=True)
        announcing = _announce_drain(dataplane.draining, console)
        async with running(standalone.follow(dataplane)), running(announcing):
            await serve([public, admin], stop, options.drain_s, dataplane.draining)
    console.print("stopped; nothing is left running")


async def _announce_drain(draining: asyncio.Event, console: Console) -> None:
    await draining.wait()
    console.print("draining: requests under way finish; again to stop at once")


@asynccontextmanager
async def _redis(options: ServeOptions, console: Console) -> AsyncIterator[tuple[str, str]]:
    """URLs of the cache and the ledger; embedded ones keep their data in the data folder."""
    if options.redis_url is not None:
        yield options.redis_url, options.ledger_redis_url or options.redis_url
        return
    with console.status("starting Redis…"):
        cache = EmbeddedRedis(RedisRole.CACHE, options.data_dir / "cache")
        ledger = EmbeddedRedis(RedisRole.LEDGER, options.data_dir / "ledger")
    async with cache, ledger:
        yield cache.url, ledger.url


def _introduce(console: Console, gathered: Gathered, public: Address, admin: Address) -> None:
    """What runs, as a table, and a line that works when pasted."""
    snapshot = gathered.snapshot
    table = Table(title="Tollway serves", title_justify="left", show_header=False)
    table.add_row("requests", f"http://{public}/v1")
    table.add_row("admin", f"http://{admin}/readyz  /metrics")
    for policy in snapshot.policies:
        cache = f"cache {policy.cache.index}" if policy.cache else "no cache"
        route = f"easy → {policy.route.simple}, hard → {policy.route.complex}"
        table.add_row("policy", f"{policy.id}: {', '.join(policy.models)}; {route}; {cache}")
    for tenant in snapshot.tenants.values():
        table.add_row("tenant", f"{tenant.name}: {', '.join(map(_limit, tenant.limits)) or 'no limits'}")
    console.print(table)
    # A key itself is never printed; a reference to the environment is read by the shell as it was by us.
    keys = [gathered.key_references[name] for name in snapshot.tenants if name in gathered.key_references]
    key = keys[0] if keys else "YOUR-KEY"
    console.print(
        f'Try it:\n  curl http://{public}/chat -H "Authorization: Bearer {key}" '
        """-H 'content-type: application/json' -d '{"prompt": "How do I reset my password?"}'""",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def _limit(limit: Limit) -> str:
    amount = as_usd(limit.amount) if limit.unit is Unit.USD else str(limit.amount)
    window = limit.window
    if isinstance(window, Rolling):
        return f"{amount} {limit.unit} in {window.milliseconds // 1_000}s"
    return f"{amount} {limit.unit} a {window.period.lower()} ({window.time_zone})"
