"""Processes whose wall clocks a test sets while they run, also those of the libraries that they have loaded: by
libfaketime, from Debian's package `faketime`. Monotonic clocks go on.
"""

from pathlib import Path

from tests.processes import ProcessOf, started

# The one for processes that have threads.
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def beside(library: Path, offset: Path) -> ProcessOf:
    """`offset` is read whenever they look at the clock: "+0", or so many seconds beside the machine's."""
    env = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return lambda log, module, given: started(log, module, env={**given, **env})
