"""`tollway-dataplane`: one data-plane process, told everything by its environment."""

import argparse
import asyncio
import os
import sys

import uvloop

from tollway_api.environment import SettingsError, described, settings_from
from tollway_dataplane.app import admin_tls, open_dataplane
from tollway_dataplane.background import running
from tollway_dataplane.errors import SnapshotFault
from tollway_dataplane.heap import settle_heap
from tollway_dataplane.logs import json_log
from tollway_dataplane.server import ListenError, Site, listen, serve, stop_on_signals
from tollway_dataplane.settings import Settings


async def run(settings: Settings) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with json_log() as log, open_dataplane(settings, log, environ=os.environ) as dataplane:
        public = Site(dataplane.public, listen(settings.listen))
        admin = Site(dataplane.admin, listen(settings.admin_listen), admin_tls(settings, log))
        settle_heap()
        log.info("serving", listen=str(public.address), admin_listen=str(admin.address))
        async with running(dataplane.following.run(settings.snapshot_poll_s)):
            await serve([public, admin], stop, settings.drain_s, dataplane.draining)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tollway-dataplane",
        description="Serves LLM requests by the snapshot in TOLLWAY_SNAPSHOT_DIR or TOLLWAY_SNAPSHOT_SECRET.\n"
        "Settings, from the environment:\n" + described(Settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        uvloop.run(run(settings_from(os.environ, Settings)))
    except (SettingsError, ListenError, SnapshotFault) as error:
        sys.exit(f"tollway-dataplane: {error}")


if __name__ == "__main__":
    main()
