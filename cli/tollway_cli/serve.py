"""`tollway serve`: the whole of Tollway on one machine, without a cluster. Compiles the same YAML, starts two embedded
Redis, provisions the index versions, serves, and follows the files (`standalone.py`).
"""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TextIO

from rich.console import Console

from tollway_api.reach import OWN_NETWORKS
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_cli.folder_lock import lock_folder
from tollway_cli.introduction import curl_line, introduction
from tollway_cli.shared_snapshot import SharedSnapshot
from tollway_cli.standalone import Runs, Sources, Standalone
from tollway_cli.validate import findings_table, summary
from tollway_dataplane.app import open_dataplane
from tollway_dataplane.background import running
from tollway_dataplane.edge.probes import READY
from tollway_dataplane.edge.workers import readiness
from tollway_dataplane.heap import settle_heap
from tollway_dataplane.logs import json_log
from tollway_dataplane.server import Site, listen, serve, stop_on_signals
from tollway_dataplane.settings import Address, Settings, read_tokens
from tollway_dataplane.supervising import open_supervised
from tollway_operator.provision import provision

# Workers are told of a change; this is for one that was being started just then.
_POLL_S: Final = 1.0
_ASK_AGAIN_S: Final = 0.1


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
    allow_endpoints: tuple[str, ...] = OWN_NETWORKS
    workers: int = 1


async def serve_standalone(options: ServeOptions, environ: Mapping[str, str], console: Console) -> int:
    """Serves until SIGTERM or Ctrl-C, then drains. The exit status.

    Raises ServeError, EmbeddedRedisError, FolderInUse, ListenError or OperatorError before anything is served.
    """
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(_redis(options, console))
        settings = Settings(
            servers.cache_url,
            servers.ledger_url,
            listen=options.listen,
            admin_listen=options.admin_listen,
            drain_s=options.drain_s,
            admin_token_dir=_admin_token(options.data_dir).parent,
            allow_endpoints=options.allow_endpoints,
            workers=options.workers,
        )
        sources = Sources(
            manifests=options.manifests,
            data_dir=options.data_dir,
            environ=environ,
            installation_namespace=options.installation_namespace,
            cache_url=servers.cache_url,
            ledger_url=servers.ledger_url,
            reach=settings.reach,
        )
        gathered = sources.gather()
        if gathered.findings:
            console.print(findings_table(gathered.findings))
        if gathered.broken or not gathered.snapshot.policies:
            raise ServeError(f"nothing to serve: {summary(gathered)}")
        # First of all, so that a Redis that is not there is said at once and by nobody else.
        await provision(gathered.snapshot, servers.cache_url, servers.ledger_url)
        file = _log_file(options, stack)
        opened = (
            _one(settings, environ, file)
            if options.workers == 1
            else _several(settings, environ, file, options.data_dir / "workers")
        )
        served = await stack.enter_async_context(opened)
        standalone = Standalone(sources, served.live, console, servers.keep_running)
        await standalone.run(gathered)

        def introduce(public: Address, admin: Address) -> None:
            console.print(introduction(gathered, public, admin, servers.where))
            console.print(curl_line(gathered, public, options.data_dir), soft_wrap=True, highlight=False)
            console.print(summary(gathered), soft_wrap=True)
            where = options.log_file or "standard output"
            console.print(f"Requests are logged to {where}. Ctrl-C stops.", soft_wrap=True)

        announcing = _announce_drain(served.draining, console)
        async with running(standalone.follow()), running(standalone.migrate()), running(announcing):
            status = await served.run(stop, introduce)
    console.print("stopped; nothing is left running")
    return status


@dataclass(frozen=True, slots=True)
class _Served:
    """`run` serves until it is told to stop, tells the public and the admin address once it does, and returns the exit
    status.
    """

    live: Runs
    draining: asyncio.Event
    run: Callable[[asyncio.Event, Callable[[Address, Address], None]], Awaitable[int]]


@asynccontextmanager
async def _one(
    settings: Settings, environ: Mapping[str, str], output: TextIO | None
) -> AsyncIterator[_Served]:
    """In this process."""
    async with json_log(output) as log, open_dataplane(settings, log, environ=environ) as dataplane:

        async def run(stop: asyncio.Event, introduce: Callable[[Address, Address], None]) -> int:
            public = Site(dataplane.public, listen(settings.listen))
            admin = Site(dataplane.admin, listen(settings.admin_listen))
            settle_heap()
            introduce(public.address, admin.address)
            await serve([public, admin], stop, settings.drain_s, dataplane.draining)
            return 0

        yield _Served(dataplane.live, dataplane.draining, run)


@asynccontextmanager
async def _several(
    settings: Settings, environ: Mapping[str, str], output: TextIO | None, within: Path
) -> AsyncIterator[_Served]:
    """In processes of their own, by a snapshot in a folder of ours."""
    with _alone_in(within), TemporaryDirectory(dir=within) as folder:
        told = replace(settings, snapshot_dir=Path(folder), snapshot_poll_s=_POLL_S)
        async with open_supervised(told, environ, output) as supervised:
            (token,) = read_tokens(settings.admin_token_dir)
            live = SharedSnapshot(Path(folder), supervised.workers, supervised.ports, token)

            async def run(stop: asyncio.Event, introduce: Callable[[Address, Address], None]) -> int:
                async def when_ready() -> None:
                    while (await readiness(supervised.ports))["status"] != READY:  # noqa: ASYNC110 - they are processes
                        await asyncio.sleep(_ASK_AGAIN_S)
                    introduce(supervised.address, supervised.admin.address)

                async with running(when_ready()):
                    return await supervised.run(stop)

            yield _Served(live, supervised.draining, run)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Without what one that was killed has left there, since providers' keys are in it. Raises FolderInUse."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with lock_folder(folder):
        for left in folder.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
        yield


async def _announce_drain(draining: asyncio.Event, console: Console) -> None:
    await draining.wait()
    console.print("draining: requests under way finish; again to stop at once")


@dataclass(frozen=True, slots=True)
class _Servers:
    """The two Redis, and where they are, in words."""

    cache_url: str
    ledger_url: str
    where: str
    embedded: tuple[EmbeddedRedis, ...] = ()

    async def keep_running(self) -> bool:
        return any([await server.keep_running() for server in self.embedded])


@asynccontextmanager
async def _redis(options: ServeOptions, console: Console) -> AsyncIterator[_Servers]:
    """Embedded ones keep their data in the data folder."""
    if options.redis_url is not None:
        cache, ledger = options.redis_url, options.ledger_redis_url or options.redis_url
        where = " and ".join(
            dict.fromkeys(url.rpartition("@")[2].rpartition("//")[2] for url in (cache, ledger))
        )
        yield _Servers(cache, ledger, where)
        return
    with console.status("starting Redis…"):
        servers = [EmbeddedRedis(role, options.data_dir / role.value) for role in RedisRole]
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        places = [f"{server.role.value} on port {server.port}" for server in servers]
        where = f"embedded: {', '.join(places)}; data in {options.data_dir}/"
        yield _Servers(servers[0].url, servers[1].url, where, tuple(servers))


def _admin_token(data_dir: Path) -> Path:
    """The file of what the admin port asks for, made where there is none yet."""
    file = data_dir / "admin-token" / "token"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32), encoding="utf-8")
    return file


def _log_file(options: ServeOptions, stack: AsyncExitStack) -> TextIO | None:
    """None: standard output."""
    if options.log_file is None:
        return None
    try:
        file = options.log_file.open("a")
    except OSError as error:
        raise ServeError(f"--log {options.log_file}: {error.strerror}") from error
    stack.callback(_close, file)
    return file


def _close(file: TextIO) -> None:
    with suppress(OSError):  # what could not be written is lost already
        file.close()
