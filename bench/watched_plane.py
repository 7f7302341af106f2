"""A data plane that says how many tasks its event loop has: `python -m bench.watched_plane FILE`, and else what
`tollway-dataplane` is. For `bench.soak`, since nobody sees that from outside.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import uvloop

from tollway_api.environment import settings_from
from tollway_dataplane.__main__ import run
from tollway_dataplane.background import running
from tollway_dataplane.settings import Settings

_EVERY_S: Final = 0.5


async def _count(file: Path) -> None:
    while True:
        temporary = file.with_suffix(".new")
        temporary.write_text(str(len(asyncio.all_tasks())), encoding="utf-8")
        temporary.replace(file)
        await asyncio.sleep(_EVERY_S)


async def _watched(settings: Settings, file: Path) -> None:
    async with running(_count(file)):
        await run(settings)


if __name__ == "__main__":
    uvloop.run(_watched(settings_from(os.environ, Settings), Path(sys.argv[1])))
