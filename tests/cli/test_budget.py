"""How `tollway budget` draws what it has read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_api.tenant_budget import Unit
from tollway_cli.budget import bar, histories, merged


@pytest.mark.parametrize(
    ("part", "whole", "drawn"),
    [
        (0, 100, ""),
        (100, 100, "████"),
        (50, 100, "██"),
        (1, 32, "▏"),
        (31, 32, "███▉"),
        (900, 100, "████"),
        (5, 0, ""),
    ],
)
def test_a_bar_is_as_long_as_its_share(part: int, whole: int, drawn: str) -> None:
    assert bar(part, whole, 4) == drawn


def test_the_ledgers_fields_are_told_apart_and_nonsense_is_left_out() -> None:
    spent = {
        b"money:USD|2000": b"7",
        b"money:USD|1000": b"5",
        b"few:Requests|1000": b"1",
        b"few:Sheep|1000": b"1",
        b"few:Requests|soon": b"1",
        b"few:Requests|3000": b"many",
        b"\xff": b"1",
    }
    assert histories(spent) == {
        ("few", Unit.REQUESTS): [(1_000, 1)],
        ("money", Unit.USD): [(1_000, 5), (2_000, 7)],
    }


def test_times_in_which_nothing_was_used_are_shown_as_well() -> None:
    assert merged([(0, 1), (60, 2), (240, 3)]) == [(0, 1), (60, 2), (120, 0), (180, 0), (240, 3)]
    assert merged([(5, 9)]) == [(5, 9)]


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**9)), min_size=1, unique_by=lambda each: each[0]
    )
)
def test_merging_keeps_the_sum_and_fits_a_terminal(slices: list[tuple[int, int]]) -> None:
    rows = merged(sorted(slices))
    assert sum(used for _, used in rows) == sum(used for _, used in slices)
    assert len(rows) <= 31
