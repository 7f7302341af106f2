"""Puts together what several workers on one machine need: the port that they share, a socket for each one's admin port,
and the one admin port before them. Called by `__main__` and `tollway serve`. Loads nothing of a data plane itself.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TextIO

from tollway_api.environment import PREFIX, as_environment
from tollway_dataplane.adapters.worker_ports import WorkerPorts
from tollway_dataplane.edge.workers import create_workers_app
from tollway_dataplane.logs import JsonLog, json_log
from tollway_dataplane.server import Site, admin_tls, listen, reserve, serve, stop_on_signals
from tollway_dataplane.settings import Address, Settings
from tollway_dataplane.telemetry.worker_metrics import WorkerMetrics
from tollway_dataplane.workers import Command, Patience, Workers

# After its drain a worker writes down what it owes, within the deadlines of its Redis.
_END_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Supervised:
    """Workers that do not run yet. `address` is what they share."""

    workers: Workers
    ports: WorkerPorts
    address: Address
    admin: Site
    draining: asyncio.Event
    log: JsonLog

    async def run(self, stop: asyncio.Event) -> int:
        """Until `stop`, and the drain after it. The worst exit status of a worker."""
        ended = asyncio.Event()
        # Not stopped before the workers, so that probes and metrics answer during the drain.
        admin = asyncio.create_task(serve([self.admin], ended, 0, asyncio.Event()))
        saying = asyncio.create_task(_say(self.draining, stop))
        try:
            return await self.workers.run(stop)
        finally:
            saying.cancel()
            ended.set()
            await admin


@asynccontextmanager
async def open_supervised(
    settings: Settings, environ: Mapping[str, str], output: TextIO | None = None
) -> AsyncIterator[Supervised]:
    """As many workers as the settings say. `output` takes what is logged; None: standard output. Raises ListenError and
    SettingsError.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tollway-workers-")))
        sockets = [folder / f"admin-{number}" for number in range(1, settings.workers + 1)]
        log = await stack.enter_async_context(json_log(output, log_turns(sockets[0])))
        reserved = stack.enter_context(reserve(settings.listen))
        host, port = reserved.getsockname()[:2]
        address = Address(host, port)
        ports = await stack.enter_async_context(WorkerPorts(sockets))
        metrics, draining = WorkerMetrics(settings.workers), asyncio.Event()
        app = create_workers_app(
            ports, metrics, draining.is_set, asks_certificates=settings.admin_tls_dir is not None
        )
        admin = Site(app, listen(settings.admin_listen), admin_tls(settings, log))
        others = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
        commands = []
        for number, path in zip(ports.numbers, sockets, strict=True):
            own = replace(
                settings,
                listen=address,
                workers=1,
                admin_tls_dir=None,  # which is asked for here
                identity=f"{settings.identity}/{number}",
            )
            arguments = (sys.executable, "-m", "tollway_dataplane", "--worker", str(path))
            commands.append(Command(arguments, {**others, **as_environment(own)}))
        patience = Patience(settings.drain_s + _END_S)
        workers = Workers(commands, log, patience, ports.lives, metrics.restarted, output)
        yield Supervised(workers, ports, address, admin, draining, log)


def log_turns(socket: Path) -> Path:
    """By which all workers and who keeps them take turns at their log; beside the socket of any of them."""
    return socket.with_name("log-turns")


async def run(settings: Settings) -> int:
    """Serves until SIGTERM or Ctrl-C, then drains. The worst exit status of a worker. Raises WorkersError."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with open_supervised(settings, os.environ) as supervised:
        supervised.log.info(
            "serving",
            listen=str(supervised.address),
            admin_listen=str(supervised.admin.address),
            workers=settings.workers,
        )
        return await supervised.run(stop)


async def _say(draining: asyncio.Event, stop: asyncio.Event) -> None:
    await stop.wait()
    draining.set()
