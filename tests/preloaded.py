"""What the server of forks loads once for all processes that tests begin: both planes and the command line, with what
they load or work out themselves only when they are asked for the first time. A process then starts in a third of the
time.
"""

import gc

import anyio._backends._asyncio
import httpcore2
import rich.markdown
import typer.rich_utils
import uvloop
from lightkube.core.decoders import decode_list, decode_object
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import Pod, Secret

import tests.processes
import tollway_cli.budget
import tollway_cli.compare
import tollway_cli.fit_router
import tollway_cli.route
import tollway_cli.serve
import tollway_cli.simulate
import tollway_cli.validate
import tollway_cli.validation_reports
import tollway_dataplane.app
import tollway_operator.app
from tollway_api.catalog import bundled

for kind in (Lease, Pod, Secret):
    decode_object(b"{}", kind)
    decode_list(b'{"items": []}', kind)
bundled()
gc.freeze()  # so that no process looks through all of it again

__all__ = [
    "anyio",
    "httpcore2",
    "rich",
    "tests",
    "tollway_cli",
    "tollway_dataplane",
    "tollway_operator",
    "typer",
    "uvloop",
]
