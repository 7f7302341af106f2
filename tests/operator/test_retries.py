"""When what could not be done for one object is tried again."""

from math import inf

from tollway_api.meta import Identity
from tollway_operator.errors import KubeFault
from tollway_operator.retries import LONGEST_PAUSE_S, Retries

ONE, OTHER = (Identity("SemanticCacheIndex", "default", name) for name in ("one", "other"))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pauses_grow_for_the_one_that_fails_and_for_no_other() -> None:
    clock = Clock()
    retries = Retries[Identity](clock)
    assert retries.due_in_s == inf
    pauses = []
    for _ in range(9):
        assert retries.is_due(ONE)
        retries.failed(ONE, KubeFault("403"))
        assert not retries.is_due(ONE)
        assert retries.is_due(OTHER)
        pauses.append(retries.due_in_s)
        clock.now += retries.due_in_s
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses[-2:] == [LONGEST_PAUSE_S] * 2
    assert retries.faults == {ONE: "403"}
    retries.succeeded(ONE)
    assert (retries.faults, retries.due_in_s) == ({}, inf)


def test_the_api_server_is_given_the_time_that_it_asks_for() -> None:
    clock = Clock()
    retries = Retries[Identity](clock)
    retries.failed(ONE, KubeFault("429", retry_after_s=7.0))
    retries.failed(OTHER, KubeFault("403"))
    assert retries.due_in_s == 0.5
    retries.keep_only([ONE])
    assert retries.due_in_s == 7.0


def test_who_has_waited_longest_and_who_has_failed_least_come_first() -> None:
    clock = Clock()
    retries = Retries[Identity](clock)
    for _ in range(2):
        retries.failed(ONE, KubeFault("500"))
    assert retries.due(least_failed=False) == []
    clock.now += 1.0
    retries.failed(OTHER, KubeFault("500"))
    assert retries.due(least_failed=True) == [ONE]
    clock.now += 0.5
    assert retries.due(least_failed=False) == [ONE, OTHER]
    assert retries.due(least_failed=True) == [OTHER, ONE]


def test_all_are_due_once_what_was_in_their_way_is_gone_and_pauses_go_on_growing_where_it_is_not() -> None:
    clock = Clock()
    retries = Retries[Identity](clock)
    for key, times in ((ONE, 4), (OTHER, 2)):
        for _ in range(times):
            retries.failed(key, KubeFault("500"))
    assert retries.due_in_s > 0
    retries.make_due()
    assert retries.due_in_s == 0
    assert set(retries.due(least_failed=False)) == {ONE, OTHER}
    assert retries.is_due(ONE)
    retries.failed(ONE, KubeFault("500"))
    retries.succeeded(OTHER)
    assert retries.due_in_s == 8.0


def test_pauses_may_be_bounded_by_who_asks() -> None:
    retries = Retries[Identity](Clock())
    for _ in range(9):
        retries.failed(ONE, KubeFault("503"), longest_s=2.0)
    assert retries.due_in_s == 2.0
