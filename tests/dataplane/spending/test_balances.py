"""What the ledger said last of budgets, and for how long that is still true."""

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.meta import TenantName
from tollway_dataplane.spending.balances import Balances

HOUR_S = 3_600
NINE = 1_790_000_000 // (24 * HOUR_S) * 24 * HOUR_S + 9 * HOUR_S  # on some day, in UTC
WINDOWS: dict[str, dict[str, str]] = {
    "hour of the clock": {"calendar": "Hour"},
    "day": {"calendar": "Day"},
    "an hour": {"rolling": "1h"},
}


@pytest.mark.parametrize(
    ("window", "said_at", "after_s", "is_known"),
    [
        ("hour of the clock", NINE, HOUR_S - 1, True),
        ("hour of the clock", NINE + HOUR_S - 1, 1, False),
        ("day", NINE, 14 * HOUR_S, True),
        ("day", NINE, 15 * HOUR_S, False),
        ("an hour", NINE + HOUR_S - 1, HOUR_S, True),
        ("an hour", NINE, HOUR_S + 60, False),
    ],
)
def test_what_was_used_of_a_window_that_is_over_is_not_told(
    window: str, said_at: int, after_s: int, is_known: bool
) -> None:
    """The alert of a budget would otherwise go on until its tenant asks the same data plane again."""
    limit = {"name": "few", "unit": "Requests", "amount": "10", "window": WINDOWS[window]}
    setup = Setup("http://a/v1", "http://b/v1", acme={"limits": [limit]})
    tenant = compiled(setup.objects()).tenants[TenantName("acme")]
    now = float(said_at)
    balances = Balances(lambda: now)
    balances.observe(tenant, (8, 1))
    assert [(name, used) for name, _, used in balances] == [("acme", 9)]
    now += after_s
    assert [used for _, _, used in balances] == ([9] if is_known else [])


def test_of_tenants_that_are_gone_nothing_is_kept_even_if_the_ledger_said_nothing() -> None:
    """Their last replies come after the snapshot without them."""
    tenant = compiled(Setup("http://a/v1", "http://b/v1").objects()).tenants[TenantName("acme")]
    balances = Balances()
    assert balances.rate_limits(tenant) == {}
    balances.keep_only(())
    assert not balances._rate_limits
