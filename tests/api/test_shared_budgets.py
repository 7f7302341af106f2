"""Which tenants a shared budget covers, and what of it is refused."""

from dataclasses import replace

import pytest

from tollway_api.catalog import bundled
from tollway_api.compiler import MOST_SHARED_BUDGETS, Compilation, compile_snapshot
from tollway_api.inventory import RawObject, parse_inventory
from tollway_api.problems import ProblemReason
from tollway_api.reach import OWN
from tollway_api.tenant_budget import LedgerUnavailable

LIMITS = [{"name": "daily", "amount": "1"}]


def budget(name: str, namespace: str = "team", labels: object = None, **spec: object) -> RawObject:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "tollway.dev/v1alpha1", "kind": "TenantBudget", "metadata": metadata, "spec": spec}


def caller(name: str, namespace: str = "team", **labels: str) -> RawObject:
    return budget(name, namespace, labels, apiKeys=[{"secretRef": {"name": "keys", "key": name}}])


def keys(*names: str, namespace: str = "team") -> RawObject:
    metadata = {"name": "keys", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {n: n for n in names}}


def compiled(*objects: RawObject, is_of_files: bool = False) -> Compilation:
    inventory, problems = parse_inventory(objects)
    assert problems == ()
    return compile_snapshot(inventory, bundled(), "tollway-system", is_of_files=is_of_files, reach=OWN)


def test_a_tenant_shares_what_covers_it_the_narrower_scope_first_whatever_the_order_of_the_objects() -> None:
    objects = [
        budget("everybody", "tollway-system", scope="Installation", limits=LIMITS),
        budget("b", scope="Namespace", limits=LIMITS),
        budget("a", scope="Namespace", limits=LIMITS, selector={"matchLabels": {"stage": "trial"}}),
        budget("a", "elsewhere", scope="Namespace", limits=LIMITS),
        caller("one", stage="trial", more="of it"),
        caller("two", stage="paid"),
        keys("one", "two"),
    ]
    made = compiled(*objects)
    assert made.problems == ()
    shared = {name: tenant.shared for name, tenant in made.snapshot.tenants.items()}
    assert shared == {
        "one": ("team/a", "team/b", "tollway-system/everybody"),
        "two": ("team/b", "tollway-system/everybody"),
    }
    assert made.snapshot.covered() == {"team/a": 1, "team/b": 2, "tollway-system/everybody": 2}
    assert compiled(*reversed(objects)).snapshot == made.snapshot


def test_an_edit_of_a_shared_budget_changes_no_tenants_piece() -> None:
    def pieces(amount: str) -> Compilation:
        limits = [{"name": "daily", "amount": amount}]
        return compiled(budget("b", scope="Namespace", limits=limits), caller("one"), keys("one"))

    before, after = pieces("1").pieces, pieces("2").pieces
    assert [each.name for each in before if before[each] != after[each]] == ["b"]


def test_the_youngest_of_more_than_a_request_may_count_in_is_refused_whomever_they_select() -> None:
    selector = {"matchLabels": {"stage": "trial"}}
    many = [
        budget(f"b{number:02}", scope="Namespace", limits=LIMITS, selector=selector)
        for number in range(MOST_SHARED_BUDGETS + 1)
    ]
    made = compiled(*many, caller("one", stage="trial"), keys("one"))
    (problem,) = made.problems
    assert (problem.identity.name, problem.reason) == (f"b{MOST_SHARED_BUDGETS}", ProblemReason.CONFLICT)
    assert len(made.snapshot.tenants.popitem()[1].shared) == MOST_SHARED_BUDGETS


def test_of_files_budgets_for_all_may_be_in_any_namespace() -> None:
    everybody = budget("everybody", scope="Installation", limits=LIMITS)
    assert [each.reason for each in compiled(everybody).problems] == [ProblemReason.INVALID]
    assert compiled(everybody, is_of_files=True).problems == ()


@pytest.mark.parametrize(
    ("own", "shared", "holds"),
    [
        ("Deny", "Allow", "Deny"),
        ("Allow", "Deny", "Deny"),
        ("Lease", "Deny", "Deny"),
        ("Allow", "Lease", "Lease"),
        ("Allow", "Allow", "Allow"),
    ],
)
def test_the_strictest_word_for_a_ledger_that_is_away_holds(own: str, shared: str, holds: str) -> None:
    one = caller("one")
    one = {**one, "spec": {**one["spec"], "onLedgerUnavailable": own}}  # type: ignore[dict-item]  # an object of YAML is anything
    team = budget("b", scope="Namespace", limits=LIMITS, onLedgerUnavailable=shared)
    tenant = compiled(one, team, keys("one")).snapshot.tenants.popitem()[1]
    assert tenant.on_ledger_unavailable is LedgerUnavailable(holds)


def test_limits_that_are_shared_say_whose_they_are() -> None:
    made = compiled(budget("b", scope="Namespace", limits=LIMITS), caller("one"), keys("one"))
    (limit,) = made.snapshot.limits_of_shared()["team/b"]
    own = replace(made.snapshot.shared["team/b"].limits[0])
    assert (limit.title, own.title) == ("team/b/daily", "daily")
    assert limit != own
