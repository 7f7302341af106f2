"""What is left of a lease, whatever takes from it in whatever order; and when one is in the way."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tenants import tenant
from tollway_api.snapshot import Limit, Rolling
from tollway_api.tenant_budget import LedgerUnavailable, Unit
from tollway_dataplane.core.budgeting import Taken
from tollway_dataplane.core.leasing import Lease, beyond, room_to_lease, stands_in_the_way

WIDE = Limit("wide", Unit.TOKENS, 10_000, Rolling(60_000))
NARROW = Limit("narrow", Unit.REQUESTS, 400, Rolling(60_000))


def lease() -> Lease:
    acme = replace(tenant(WIDE, NARROW), on_ledger_unavailable=LedgerUnavailable.LEASE)
    return Lease("lease", acme, [100, 4])


def test_a_hold_takes_from_every_limit_or_nothing() -> None:
    leased = lease()
    assert leased.hold("a", [60, 1], []) is None
    denied = leased.hold("b", [30, 4], [])
    assert denied is not None
    assert (denied.limit.name, denied.limit.amount, denied.held, denied.left) == ("narrow", 4, 1, 3)
    assert leased.hold("b", [40, 3], []) is None


def test_a_hold_grows_and_never_shrinks_until_it_is_settled() -> None:
    leased = lease()
    assert leased.hold("a", [60, 1], []) is None
    assert leased.hold("a", [80, 1], []) is None
    assert leased.hold("a", [10, 1], []) is None
    assert leased.hold("b", [21, 1], []) is not None
    leased.settle("a", [30, 1])
    assert (leased.used, leased.holds) == ([30, 1], {})
    assert leased.hold("b", [70, 1], []) is None


def test_more_may_have_to_be_left_than_is_taken() -> None:
    leased = lease()
    denied = leased.hold("a", [20, 1], [160, 1])
    assert denied is not None
    assert denied.limit.name == "wide"
    assert leased.hold("a", [20, 1], [100, 1]) is None


def test_nothing_more_always_fits() -> None:
    leased = lease()
    assert leased.hold("a", [100, 4], []) is None
    assert leased.hold("b", [0, 0], []) is None


STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.lists(st.integers(0, 60), min_size=2, max_size=2), st.booleans()),
    max_size=30,
)


@given(steps=STEPS)
def test_no_more_is_spent_and_held_than_was_leased(steps: list[tuple[str, list[int], bool]]) -> None:
    leased = lease()
    for name, amounts, settles in steps:
        if settles and name in leased.holds:
            leased.settle(name, list(map(min, amounts, leased.holds[name])))
        elif not settles:
            leased.hold(name, amounts, [])
        held = [sum(each[limit] for each in leased.holds.values()) for limit in range(2)]
        assert all(map(int.__le__, map(int.__add__, leased.used, held), leased.amounts))
        assert leased.is_touched == bool(leased.holds or any(leased.used))


@pytest.mark.parametrize(
    ("used", "held", "needed"), [(0, 0, False), (8_000, 1_000, False), (8_000, 1_001, True), (9_500, 0, True)]
)
def test_a_lease_is_in_the_way_where_less_than_a_tenth_is_left(used: int, held: int, needed: bool) -> None:
    assert stands_in_the_way(WIDE, Taken(used, held)) == needed


def test_a_lease_is_taken_where_a_quarter_of_every_limit_is_left() -> None:
    assert room_to_lease([WIDE, NARROW]) == [2_500, 100]


def test_what_the_ledger_holds_is_not_taken_from_the_lease() -> None:
    assert beyond([10, 1], [7, 1]) == [3, 0]
    assert beyond([10, 1], [12, 0]) == [0, 1]
    assert beyond([10, 1], []) == [10, 1]
