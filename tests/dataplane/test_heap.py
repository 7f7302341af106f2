"""What the garbage collector looks at, and when there is one."""

import ctypes
import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tollway_dataplane.heap import growing, settle_heap


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.enable()


def test_what_is_made_while_the_heap_grows_is_never_walked() -> None:
    with growing():
        assert not gc.isenabled()
        made: list[list[int]] = [[]]
    assert gc.isenabled()
    assert not [each for each in gc.get_objects() if each is made]


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with growing():
        pass
    assert not gc.isenabled()


def test_what_a_start_has_made_is_never_walked() -> None:
    settle_heap()
    assert gc.get_freeze_count() > 0


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_what_a_start_needed_only_on_the_way_goes_back_to_the_system() -> None:
    code = (
        "import os, sys; from tollway_dataplane.heap import settle_heap\n"
        "resident = lambda: int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "made = [b'x' * 100_000 for _ in range(401)]; had = resident()\n"
        "del made[:-1]  # the last one keeps the heap from shrinking by itself\n"
        "settle_heap(); sys.exit(had - resident() < 30_000_000)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code
