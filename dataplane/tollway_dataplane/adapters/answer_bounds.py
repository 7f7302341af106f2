"""How much of a provider's answer is read, whichever adapter reads it, so that none can fill a data plane's memory; and
for how long a connection is waited for.
"""

from typing import Final

from tollway_api.routing_policy import FallbackTrigger
from tollway_dataplane.errors import UpstreamFault

# Decompressed. The largest answers there are, 2,048 vectors written out in decimals, take 80 MB.
MOST_BYTES: Final = 128 * 1024 * 1024
CONNECT_TIMEOUT_S: Final = 10.0


def too_large() -> UpstreamFault:
    message = "the provider's answer has no end"
    return UpstreamFault(FallbackTrigger.SERVER_ERROR, 200, message, may_have_run=True)
