"""What the garbage collector looks at, and when there is one."""

import gc
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
