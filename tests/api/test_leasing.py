"""How much of a limit is set aside for when the ledger is away, and how much is exposed by it."""

from dataclasses import replace

import pytest

from tests.tenants import shared, sharing, tenant
from tollway_api.leasing import exposures, slices
from tollway_api.snapshot import Limit, Rolling, SharedLimit
from tollway_api.tenant_budget import LedgerUnavailable, Unit

HOUR = Rolling(3_600_000)
MONEY = Limit("money", Unit.USD, 5_000_000_000, HOUR)


@pytest.mark.parametrize(
    ("amount", "percent", "leased"),
    [(10_000, 1, 100), (199, 1, 1), (99, 1, 0), (99, 10, 9), (0, 10, 0)],
)
def test_a_slice_is_never_more_than_was_configured(amount: int, percent: int, leased: int) -> None:
    acme = tenant(Limit("few", Unit.REQUESTS, amount, HOUR))
    leasing = replace(acme, on_ledger_unavailable=LedgerUnavailable.LEASE, lease_percent=percent)
    assert slices(leasing) == ([leased] if leased else [])


def test_nothing_is_leased_where_one_limit_has_nothing_to_give() -> None:
    few = Limit("few", Unit.REQUESTS, 50, HOUR)
    acme = replace(tenant(MONEY, few), on_ledger_unavailable=LedgerUnavailable.LEASE)
    assert slices(acme) == []
    assert exposures(acme, 4) == [0, 0]
    assert slices(replace(acme, lease_percent=2)) == [100_000_000, 1]


def test_what_several_tenants_share_is_set_aside_once_for_all_of_them() -> None:
    team = replace(shared("team/all", MONEY), on_ledger_unavailable=LedgerUnavailable.LEASE, lease_percent=2)
    acme = replace(sharing(tenant(MONEY), team), on_ledger_unavailable=LedgerUnavailable.LEASE)
    own, limit = acme.limits
    assert isinstance(limit, SharedLimit)
    of_four = replace(acme, limits=(own, replace(limit, among=4)))
    assert slices(of_four) == [50_000_000, 25_000_000]
    assert exposures(team, pods=3, among=4) == [300_000_000]
    assert exposures(replace(team, lease_percent=10), pods=30, among=4) == [5_000_000_000]


@pytest.mark.parametrize(
    ("rule", "pods", "exposed"),
    [
        (LedgerUnavailable.LEASE, 0, 0),
        (LedgerUnavailable.LEASE, 4, 200_000_000),
        (LedgerUnavailable.LEASE, 300, 5_000_000_000),
        (LedgerUnavailable.DENY, 4, 0),
        (LedgerUnavailable.ALLOW, 4, None),
    ],
)
def test_what_is_exposed_is_a_slice_of_each_pod_and_no_more_than_there_is(
    rule: LedgerUnavailable, pods: int, exposed: int | None
) -> None:
    assert exposures(replace(tenant(MONEY), on_ledger_unavailable=rule), pods) == [exposed]
