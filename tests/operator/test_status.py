"""What a budget says of its limits, and what is said where nothing newer can be compiled."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.dataplanes import Setup, compilation, manifest
from tollway_api.inventory import RawObject
from tollway_api.meta import Identity, TenantName, epoch_ms
from tollway_api.parts import Head
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.routing_policy import ModelState
from tollway_api.windows import Usage
from tollway_operator.budget_status import keys_valid
from tollway_operator.coverage import Publications
from tollway_operator.index_status import StoreView
from tollway_operator.objects import Held, Objects
from tollway_operator.reports import DataPlanePod, Report
from tollway_operator.status import View, status_of

ACME = Identity("TenantBudget", "default", "acme")
MONEY = {"name": "money", "unit": "USD", "amount": "5.00"}
REQUESTS = {"name": "requests", "unit": "Requests", "amount": "10", "window": {"rolling": "1h"}}
DOLLAR = 10**9


def setup(*limits: object, others: tuple[RawObject, ...] = (), **more: object) -> Setup:
    return Setup("http://a/v1", "http://b/v1", acme={"limits": limits, **more}, others=others)


def read(limits: Sequence[object], *amounts: tuple[int, int]) -> list[Usage]:
    """Used and held of each limit."""
    tenant = compilation(setup(*limits).objects()).snapshot.tenants[TenantName("acme")]
    return [Usage(limit, used, held, 0) for limit, (used, held) in zip(tenant.limits, amounts, strict=True)]


def standing(
    *limits: object, pods: int = 0, others: tuple[RawObject, ...] = (), **more: object
) -> tuple[Objects, View]:
    """Tenants that have these limits now, and what is known of them."""
    manifests = setup(*limits, others=others, **more).objects()
    made, objects = compilation(manifests), Objects()
    for number, each in enumerate(each for each in manifests if each["kind"] != "Secret"):
        metadata: Any = each["metadata"]
        more = {"namespace": "default", "uid": f"{number}", "generation": 1, "resourceVersion": "1"}
        objects.put({**each, "metadata": {**metadata, **more}})
    editions = {each.identity: each.edition for each in objects}
    publications = Publications()
    publications.note(Head("1" * 64, 1, 1, "a", 1), made.pieces, editions)
    known = [DataPlanePod(str(each), str(each), "10.0.0.1", True, False, "") for each in range(pods)]
    view = View(
        snapshot=made.snapshot,
        problems={},
        editions=editions,
        covering=publications.coverage(map(Report, known)),
        publish_fault="",
        pods_unknown="",
        store=StoreView(),
        usage={},
        usage_fault="",
        lookups={},
        now="2026-01-01T00:00:10Z",
        covered=made.snapshot.covered(),
    )
    return objects, view


def status(limits: Sequence[object], usage: Sequence[Usage]) -> dict[str, Any]:
    """Of a tenant that has these limits now."""
    objects, view = standing(*limits)
    held = objects.get(ACME)
    assert held is not None
    return status_of(held, replace(view, usage={TenantName("acme"): usage}))


def test_a_policy_says_how_its_models_are() -> None:
    objects, view = standing(pods=3)
    held = objects.get(Identity("RoutingPolicy", "default", "chat"))
    assert held is not None
    opened = {"default/chat": {"cheap": ModelState.OPEN}}
    said = status_of(held, replace(view, unwell=[opened, {}, {}]))
    assert said["models"] == [
        {"name": "cheap", "state": "Open", "seenBy": 1},
        {"name": "rich", "state": "Healthy", "seenBy": 3},
    ]
    for unknown in (replace(view, unwell=[]), replace(view, unwell=[opened], pods_unknown="no answer")):
        assert status_of(held, unknown)["models"] == []


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


@pytest.mark.parametrize(
    ("used", "refused", "said"),
    [
        pytest.param(494, False, ("BudgetAlert", "Limit money is above 80 %."), id="nobody asks"),
        pytest.param(
            494,
            True,
            ("Exhausted", "What is left of limit money, 0.06 USD, is less than requests need."),
            id="nothing fits into the rest",
        ),
        pytest.param(
            400, True, ("Exhausted", "What is left of limit money, 1 USD, is less"), id="nearly all"
        ),
        pytest.param(399, True, ("WithinBudget", "No limit is used up."), id="somebody wants too much"),
        pytest.param(500, True, ("BudgetExceeded", "Limit money is used up"), id="all is used"),
    ],
)
def test_a_limit_of_which_less_is_left_than_requests_need_is_said_to_be_exhausted(
    used: int, refused: bool, said: tuple[str, str]
) -> None:
    (usage,) = read([MONEY], (used * DOLLAR // 100, 0))
    reason, message = within(status([MONEY], [replace(usage, refused=refused)]))
    assert (reason, message[: len(said[1])]) == said


@pytest.mark.parametrize(
    ("rule", "pods", "exposure"),
    [("Lease", 3, "0.15"), ("Lease", 0, "0"), ("Lease", None, ""), ("Deny", 3, "0"), ("Allow", 3, "")],
)
def test_a_limit_says_how_much_may_be_spent_while_the_ledger_is_away(
    rule: str, pods: int | None, exposure: str
) -> None:
    objects, view = standing(MONEY, pods=pods or 0, onLedgerUnavailable=rule)
    unknown = "" if pods is not None else "nobody knows"
    usage = {"acme": read([MONEY], (0, 0))}
    held = objects.get(ACME)
    assert held is not None
    (limit,) = status_of(held, replace(view, pods_unknown=unknown, usage=usage))["limits"]
    assert limit.get("exposure", "") == exposure


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


TEAM = Identity("TenantBudget", "default", "team")
SHARED = (
    manifest("TenantBudget", "team", {"scope": "Namespace", "limits": [MONEY], "alertThresholdPercent": 50}),
)


@pytest.mark.parametrize(
    ("used", "within_team", "of_acme"),
    [
        (2, ("WithinBudget", "No limit is used up."), "No limit is used up."),
        (3, ("BudgetAlert", "Limit money is above 50 %."), "No limit is used up."),
        (
            5,
            ("BudgetExceeded", "Limit money is used up until 2026-01-02T00:00:00Z."),
            "No limit is used up. Limit default/team/money, which it shares, is used up until 2026-01-02T00:00:00Z.",
        ),
    ],
)
def test_a_shared_budget_is_spoken_of_like_any_other_and_by_who_shares_it_once_it_is_used_up(
    used: int, within_team: tuple[str, str], of_acme: str
) -> None:
    objects, view = standing(MONEY, others=SHARED)
    tenant = view.snapshot.tenants[TenantName("acme")]
    (limit,) = view.snapshot.shared["default/team"].limits
    usage = {
        "acme": [Usage(tenant.limits[0], DOLLAR, 0, 0)],
        "default/team": [Usage(limit, used * DOLLAR, 0, 1_767_312_000_000)],
    }
    view = replace(view, usage=usage)
    team, acme = objects.get(TEAM), objects.get(ACME)
    assert team is not None
    assert acme is not None
    said = status_of(team, view)
    assert within(said) == within_team
    assert shown(said) == {"money": (str(used), "0", used * 20)}
    assert (said["covers"], said["tenant"]) == (2, "")
    assert said_of(team, view)["Programmed"][0] == "False", "no pod is ready"
    assert within(status_of(acme, view)) == ("WithinBudget", of_acme)
    assert "covers" not in status_of(acme, view)
    assert within(status_of(acme, replace(view, usage_fault="it is away")))[1] == "it is away"


def test_of_who_has_no_limits_of_its_own_it_is_said_what_it_shares() -> None:
    objects, view = standing(others=SHARED)
    (limit,) = view.snapshot.shared["default/team"].limits
    acme = objects.get(ACME)
    assert acme is not None
    said = status_of(acme, replace(view, usage={"default/team": [Usage(limit, 5 * DOLLAR, 0, 0)]}))
    assert within(said)[1] == "It has no limits. Limit default/team/money, which it shares, is used up."


SECRETS = "the API server would not read Secret default/late: 500"


def said_of(held: Held, view: View) -> dict[str, tuple[str, str, int]]:
    conditions = status_of(held, view)["conditions"]
    return {each["type"]: (each["status"], each["reason"], each["observedGeneration"]) for each in conditions}


@pytest.mark.parametrize("kind", ["RoutingPolicy", "TenantBudget", "SemanticCacheIndex"])
def test_of_what_could_not_be_compiled_nothing_is_judged_and_it_is_said_not_to_be_published(
    kind: str,
) -> None:
    objects, view = standing()
    held = next(each for each in objects if each.identity.kind == kind)
    held.generation = 2
    wrong = Problem(held.identity, "spec", ProblemReason.INVALID, "as it was before", Severity.ERROR)
    view = replace(view, problems={held.identity: [wrong]})
    assert not view.speaks_of(held), "it may be soon"
    view = replace(view, uncompiled=SECRETS)
    assert view.speaks_of(held)
    said = said_of(held, view)
    assert said["Accepted"] == said["ResolvedRefs"] == ("Unknown", "Pending", 2)
    assert said["Programmed"] == said["Ready"] == ("False", "NotPublished", 2)
    assert {status for status, _, _ in said.values()} == {"Unknown", "False"}
    conditions = {each["type"]: each["message"] for each in status_of(held, view)["conditions"]}
    assert conditions["Programmed"] == f"Not published: {SECRETS}."
    assert conditions["Accepted"] == f"Not looked at yet: {SECRETS}."


@pytest.mark.parametrize(
    ("reason", "generation", "speaks"),
    [
        ("Programmed", 2, False),
        ("NotAccepted", 2, False),
        ("NotResolved", 2, False),
        ("NotPublished", 2, True),
        ("Pending", 2, True),
        ("Programmed", 1, True),
        ("NotAccepted", 1, True),
    ],
)
def test_what_an_operator_before_this_one_has_decided_of_the_newest_generation_stands_and_no_more(
    reason: str, generation: int, *, speaks: bool
) -> None:
    objects, view = standing()
    held = objects.get(ACME)
    assert held is not None
    held.generation = 2
    condition = {
        "type": "Programmed",
        "status": "True",
        "reason": reason,
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "message": "It was said before.",
    }
    held.status = json.dumps({"conditions": [condition]}).encode()
    assert replace(view, editions={}, uncompiled=SECRETS).speaks_of(held) is speaks


def test_where_nothing_newer_can_be_compiled_what_was_goes_on_to_be_said() -> None:
    objects, view = standing()
    held = objects.get(ACME)
    assert held is not None
    assert status_of(held, replace(view, uncompiled=SECRETS)) == status_of(held, view)
    # Edited, and published so by an operator before this one.
    held.generation = 2
    condition = {
        "type": "Programmed",
        "status": "True",
        "reason": "Programmed",
        "observedGeneration": 2,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "message": "Every ready pod runs it.",
    }
    held.status = json.dumps({"conditions": [condition]}).encode()
    assert not replace(view, uncompiled=SECRETS).speaks_of(held)


def test_what_is_deleted_where_nothing_can_be_compiled_may_still_be_held_by_pods() -> None:
    objects, view = standing()
    held = objects.get(ACME)
    assert held is not None
    held.generation, held.deleted_at, held.finalizers = 2, "2026-01-01T00:00:00Z", ("example.com/held",)
    assert not view.speaks_of(held), "it has not been looked at"
    view = replace(view, uncompiled=SECRETS)
    assert view.speaks_of(held)
    assert said_of(held, view)["Programmed"] == ("False", "Deleting", 2)
    conditions = {each["type"]: each["message"] for each in status_of(held, view)["conditions"]}
    assert conditions["Programmed"].endswith(f"What pods run may still hold it: {SECRETS}")


def test_the_fullest_limit_is_what_kubectl_shows_first() -> None:
    said = status([MONEY, REQUESTS], read([MONEY, REQUESTS], (4 * DOLLAR, 0), (9, 0)))
    assert (said["percent"], said["fullest"]["name"], said["fullest"]["remaining"]) == (90, "requests", "1")
    assert "fullest" not in status([], [])


ADVICE = "Add a key beside it, and take this one out once nobody uses it."


def keys_said(now: str, *ends: str | None) -> tuple[str, str, str]:
    """Of a tenant with keys that expire so."""
    keys = [
        {"secretRef": {"name": "acme", "key": f"k{place}"}, **({"expiresAt": end} if end else {})}
        for place, end in enumerate(ends)
    ]
    values = {f"k{place}": f"key-{place}" for place in range(len(ends))}
    made = compilation(
        [
            manifest("TenantBudget", "acme", {"apiKeys": keys}),
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "acme"}, "stringData": values},
        ]
    )
    status, reason, message = keys_valid(made.snapshot.tenants[TenantName("acme")], epoch_ms(now))
    return status.value, reason.value, message


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([None], ("True", "KeysValid", "No key expires.")),
        ([None, "2027-03-01T00:00:00Z"], ("True", "KeysValid", "No key expires soon.")),
        (
            [None, "2027-01-31T19:00:00+01:00"],
            (
                "True",
                "KeyExpiring",
                f"To expire: acme/k1 at 2027-01-31T18:00:00Z. {ADVICE}",
            ),
        ),
        ([None, "2027-01-01T00:00:00Z"], ("True", "KeysValid", "Expired: acme/k1; take it out.")),
        (
            ["2027-01-02T00:00:00Z", "2027-01-01T00:00:00Z"],
            ("False", "KeysExpired", "No key is valid any more. Expired: acme/k1, acme/k0; take it out."),
        ),
    ],
    ids=["never", "later", "soon", "one-is-gone", "all-are-gone"],
)
def test_keys_that_expire_are_said_a_week_before(ends: list[str | None], said: tuple[str, str, str]) -> None:
    assert keys_said("2027-01-30T00:00:00Z", *ends) == said


def test_the_budgets_status_has_what_is_said_of_its_keys() -> None:
    objects, view = standing(MONEY)
    held = objects.get(ACME)
    assert held is not None
    conditions = {each["type"]: each["reason"] for each in status_of(held, view)["conditions"]}
    assert conditions["KeysValid"] == "KeysValid"
    assert conditions["Ready"] == "NoDataPlane", "which says nothing of keys"
