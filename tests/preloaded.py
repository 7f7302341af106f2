"""What the server of forks loads once for all processes that tests begin: both planes, with what they load or work out
themselves only when they are asked for the first time. A process then starts in a third of the time.
"""

import gc

import anyio._backends._asyncio
import httpcore2
import uvloop
from lightkube.core.decoders import decode_list, decode_object
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import Pod, Secret

import tests.processes
import tollway_dataplane.app
import tollway_operator.app
from tollway_api.catalog import bundled

for kind in (Lease, Pod, Secret):
    decode_object(b"{}", kind)
    decode_list(b'{"items": []}', kind)
bundled()
gc.freeze()  # so that no process looks through all of it again

__all__ = ["anyio", "httpcore2", "tests", "tollway_dataplane", "tollway_operator", "uvloop"]
