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


_ONLY_GLIBC = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc"
)
_RESIDENT = (
    "import os, sys; from tollway_dataplane.heap import growing, settle_heap\n"
    "resident = lambda: int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
)


@_ONLY_GLIBC
def test_what_a_start_needed_only_on_the_way_goes_back_to_the_system() -> None:
    code = (
        "made = [b'x' * 100_000 for _ in range(401)]; had = resident()\n"
        "del made[:-1]  # the last one keeps the heap from shrinking by itself\n"
        "settle_heap(); sys.exit(had - resident() < 30_000_000)"
    )
    subprocess.run([sys.executable, "-c", _RESIDENT + code], check=True)  # noqa: S603 - our own code


@_ONLY_GLIBC
def test_what_a_thread_needed_only_on_the_way_goes_back_to_the_system() -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "@growing()\n"
        "def made(): return len(b'x' * 12_000_000)\n"
        "settle_heap()\n"
        "with ThreadPoolExecutor(1) as pool:\n"
        "    pool.submit(len, '').result(); had = resident(); pool.submit(made).result()\n"
        "    sys.exit(resident() - had > 6_000_000)"
    )
    subprocess.run([sys.executable, "-c", _RESIDENT + code], check=True)  # noqa: S603 - our own code
