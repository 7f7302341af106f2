"""`tollway-dataplane`: one data-plane process, told everything by its environment; or the one that keeps several."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from tollway_api.environment import SettingsError, described, settings_from
from tollway_dataplane import supervising
from tollway_dataplane.background import running
from tollway_dataplane.errors import TollwayError
from tollway_dataplane.heap import growing, settle_heap
from tollway_dataplane.logs import json_log
from tollway_dataplane.server import ListenError, Site, admin_tls, listen, listen_at, serve, stop_on_signals
from tollway_dataplane.settings import Settings


async def run(settings: Settings, worker: Path | None = None) -> None:
    """As a `worker`, one of several, it shares its port, and has its admin port at that socket."""
    with growing():  # a tenth of what importing takes would go into looking for garbage
        from tollway_dataplane.app import open_dataplane  # noqa: PLC0415 - loads much that a supervisor does not need

    stop = asyncio.Event()
    stop_on_signals(stop)
    async with (
        json_log(turns=supervising.log_turns(worker) if worker else None) as log,
        open_dataplane(settings, log, environ=os.environ) as dataplane,
        running(dataplane.following.run(settings.snapshot_poll_s)),
    ):
        if worker is None:
            public = Site(dataplane.public, listen(settings.listen))
            admin = Site(dataplane.admin, listen(settings.admin_listen), admin_tls(settings, log))
        else:
            _end_with_supervisor()
            # Requests go to whoever listens, and others can answer.
            await _first(dataplane.live.has_begun, stop)
            if stop.is_set():
                return
            public = Site(dataplane.public, listen(settings.listen, is_shared=True))
            admin = Site(dataplane.admin, listen_at(worker))
        settle_heap()
        log.info("serving", listen=str(public.address), admin_listen=str(worker or admin.address))
        await serve([public, admin], stop, settings.drain_s, dataplane.draining)


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(each.wait()) for each in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


def _end_with_supervisor() -> None:
    """Standard input ends with the process that keeps us; nobody else would tell us to."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

    def ended() -> None:
        loop.remove_reader(stdin)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(stdin, ended)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tollway-dataplane",
        description="Serves LLM requests by the snapshot in TOLLWAY_SNAPSHOT_DIR or TOLLWAY_SNAPSHOT_SECRET.\n"
        "Settings, from the environment:\n" + described(Settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Said by the process that keeps several.
    parser.add_argument("--worker", type=Path, metavar="SOCKET", help=argparse.SUPPRESS)
    worker: Path | None = parser.parse_args().worker
    try:
        settings = settings_from(os.environ, Settings)
        if settings.workers > 1:
            sys.exit(uvloop.run(supervising.run(settings)))
        uvloop.run(run(settings, worker))
    except (SettingsError, ListenError, TollwayError) as error:
        sys.exit(f"tollway-dataplane: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
