"""What a budget says of its limits."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.dataplanes import Setup, compilation
from tollway_api.meta import Identity, TenantName
from tollway_api.parts import Head
from tollway_api.windows import Usage
from tollway_operator.coverage import Publications
from tollway_operator.index_said import StoreView
from tollway_operator.objects import Objects
from tollway_operator.status import View, status_of

ACME = Identity("TenantBudget", "default", "acme")
MONEY = {"name": "money", "unit": "USD", "amount": "5.00"}
REQUESTS = {"name": "requests", "unit": "Requests", "amount": "10", "window": {"rolling": "1h"}}
DOLLAR = 10**9


def setup(*limits: object) -> Setup:
    return Setup("http://a/v1", "http://b/v1", acme={"limits": limits})


def read(limits: Sequence[object], *amounts: tuple[int, int]) -> list[Usage]:
    """Used and held of each limit."""
    tenant = compilation(setup(*limits).objects()).snapshot.tenants[TenantName("acme")]
    return [Usage(limit, used, held, 0) for limit, (used, held) in zip(tenant.limits, amounts, strict=True)]


def status(limits: Sequence[object], usage: Sequence[Usage]) -> dict[str, Any]:
    """Of a tenant that has these limits now."""
    manifests = setup(*limits).objects()
    made, objects = compilation(manifests), Objects()
    for number, each in enumerate(manifests[:4]):
        metadata: Any = each["metadata"]
        more = {"namespace": "default", "uid": f"{number}", "generation": 1, "resourceVersion": "1"}
        objects.put({**each, "metadata": {**metadata, **more}})
    held = objects.get(ACME)
    assert held is not None
    editions = {each.identity: each.edition for each in objects}
    publications = Publications()
    publications.note(Head("1" * 64, 1, 1, "a", 1), made.pieces, editions)
    view = View(
        snapshot=made.snapshot,
        problems={},
        editions=editions,
        covering=publications.coverage([]),
        publish_fault="",
        pods_unknown="",
        store=StoreView(),
        usage={TenantName("acme"): usage},
        usage_fault="",
        lookups={},
        now="2026-01-01T00:00:00Z",
    )
    return status_of(held, view)


def shown(of: dict[str, Any]) -> dict[str, tuple[str, str, int]]:
    return {each["name"]: (each["used"], each["held"], each["percent"]) for each in of["limits"]}


def within(of: dict[str, Any]) -> tuple[str, str]:
    condition = next(each for each in of["conditions"] if each["type"] == "WithinBudget")
    return condition["reason"], condition["message"]


@pytest.mark.parametrize(
    ("used", "held", "reason"),
    [
        pytest.param(0, 5, "WithinBudget", id="all is held and nothing used"),
        pytest.param(3, 2, "WithinBudget", id="the rest is held"),
        pytest.param(4, 1, "BudgetAlert", id="what is used is worth a warning"),
        pytest.param(5, 0, "BudgetExceeded", id="all is used"),
    ],
)
def test_what_is_held_is_shown_and_exceeds_nothing(used: int, held: int, reason: str) -> None:
    said = status([MONEY], read([MONEY], (used * DOLLAR, held * DOLLAR)))
    assert within(said)[0] == reason
    assert shown(said) == {"money": (str(used), str(held), 100)}


def test_the_limit_that_is_used_most_is_named_although_more_is_held_of_another() -> None:
    said = status([MONEY, REQUESTS], read([MONEY, REQUESTS], (0, 5 * DOLLAR), (9, 0)))
    assert within(said) == ("BudgetAlert", "Limit requests is above 80 %.")


def test_limits_in_another_order_keep_what_is_used_of_each() -> None:
    said = status([REQUESTS, MONEY], read([MONEY, REQUESTS], (2 * DOLLAR, 0), (1, 0)))
    assert shown(said) == {"requests": ("1", "0", 10), "money": ("2", "0", 40)}
    assert within(said)[0] == "WithinBudget"


@pytest.mark.parametrize(
    "edit",
    [
        {"name": "renamed"},
        {"unit": "Tokens", "amount": "100"},
        {"amount": "1.00"},
        {"window": {"calendar": "Month"}},
    ],
    ids=" and ".join,
)
def test_of_a_limit_that_was_edited_nothing_is_said_until_usage_is_read_again(
    edit: dict[str, object],
) -> None:
    before, after = [MONEY, REQUESTS], [{**MONEY, **edit}, REQUESTS]
    stale = status(after, read(before, (5 * DOLLAR, 0), (1, 0)))
    assert within(stale) == ("Pending", "Not counted yet.")
    assert "percent" not in stale
    assert within(status(after, read(after, (0, 0), (1, 0))))[0] == "WithinBudget"
