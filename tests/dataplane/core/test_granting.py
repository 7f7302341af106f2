"""Who is granted how much, and what is left of a grant, whatever takes from it in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from tests.tenants import limit, tenant
from tollway_dataplane.core.granting import Asked, Grant, room_to_grant

ACME = tenant(limit(10_000, "wide"), limit(400, "narrow"))


def grant() -> Grant:
    return Grant("grant", ACME, [100, 4], until=1.0)


def test_who_asks_seldom_is_granted_nothing() -> None:
    asked = Asked(ACME)
    for _ in range(9):
        asked.add([7, 1])
    assert asked.ahead() == []


def test_who_asks_often_is_granted_twice_what_was_asked_for() -> None:
    asked = Asked(ACME)
    for amount in range(10):
        asked.add([amount, 1])
    assert asked.ahead() == [90, 20]
    assert room_to_grant(asked.ahead()) == [2_880, 640]


def test_a_hold_takes_from_every_limit_or_nothing() -> None:
    granted = grant()
    assert granted.hold("a", [60, 1])
    assert not granted.hold("b", [30, 4])
    assert granted.hold("b", [40, 3])
    assert (granted.held, granted.used) == ([100, 4], [0, 0])


def test_what_is_reported_is_not_there_any_more() -> None:
    granted = grant()
    assert granted.hold("a", [60, 1])
    granted.settle("a", [30, 1])
    assert granted.report() == [30, 1]
    assert (granted.amounts, granted.held, granted.used) == ([70, 3], [0, 0], [0, 0])
    assert granted.report() == [0, 0]


def test_more_may_be_used_than_was_held_and_then_nothing_is_left() -> None:
    granted = grant()
    assert granted.hold("a", [60, 1])
    granted.settle("a", [130, 1])
    assert not granted.hold("b", [1, 1])
    assert granted.report() == [130, 1]
    assert not granted.hold("b", [1, 1])


STEPS = st.lists(
    st.tuples(st.sampled_from("abcdr"), st.lists(st.integers(0, 60), min_size=2, max_size=2), st.booleans()),
    max_size=30,
)


@given(steps=STEPS)
def test_no_more_is_spent_and_held_than_was_granted(steps: list[tuple[str, list[int], bool]]) -> None:
    granted, reported = grant(), [0, 0]
    for name, amounts, settles in steps:
        if name == "r":
            reported = list(map(int.__add__, reported, granted.report()))
        elif settles and name in granted.holds:
            granted.settle(name, list(map(min, amounts, granted.holds[name])))
        elif not settles and name not in granted.holds:
            granted.hold(name, amounts)
        held = [sum(each[number] for each in granted.holds.values()) for number in range(2)]
        assert granted.held == held
        spent = map(int.__add__, reported, granted.used)
        assert all(map(int.__le__, map(int.__add__, spent, held), [100, 4]))
