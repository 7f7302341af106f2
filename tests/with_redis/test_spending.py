"""The promises of a budget, in short: data planes as processes, many at once who want three times what they may spend.
`make soak` runs it whole.
"""

from pathlib import Path

import pytest

from tests.processes import forked
from tests.spending import Shape, spend

pytestmark = pytest.mark.long


def test_a_crowd_spends_nearly_all_and_no_more_and_all_three_sums_agree(tmp_path: Path) -> None:
    shape = Shape(tenants=3, callers=20, pods=2, tokens_per_second=40.0)
    found = spend(shape, tmp_path, begin=forked)
    assert set(found.replies) <= {"200", "cut", "429"}
    for each in found.accounts:
        assert each.ledger == each.billed == each.metrics, "to the nano-dollar"
        assert 0.95 * each.limit <= each.billed <= each.limit + each.overshoot
        assert each.held == 0


def test_whatever_breaks_nobody_overspends_by_more_than_is_said(tmp_path: Path) -> None:
    shape = Shape(tenants=3, callers=10, pods=2, questions=3, tokens_per_second=40.0)
    found = spend(shape, tmp_path, faults_every_s=1.0, patience_s=3.0, begin=forked)
    assert found.faults.keys() == {"pods killed", "replies lost", "Redis restarted"}
    for each in found.accounts:
        assert each.ledger <= each.limit + each.overshoot
        assert each.billed <= each.limit + each.epsilon
        assert each.held <= each.killed, "what is left comes back with the time of who held it"
