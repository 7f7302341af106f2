"""What is checked of a TenantBudget beside the rest of the world. See `checks`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Final
from zoneinfo import available_timezones

from tollway_api import wire
from tollway_api.checks import (
    BudgetResource,
    PolicyResource,
    World,
    secret_exists,
    secret_value,
    suggestion,
)
from tollway_api.model_order import price_of
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.tenant_budget import AUTO, BudgetScope, Unit

# Read once: the set is a constant of the installed time-zone data.
_TIME_ZONES: Final = frozenset(available_timezones())


def may_govern(policy: PolicyResource, budget: BudgetResource, installation_namespace: str) -> bool:
    """A policy governs tenants of its own namespace; one in the installation's namespace governs all. Of a shared
    budget: whether it may govern somebody whom that covers.
    """
    own = policy.identity.namespace in {budget.identity.namespace, installation_namespace}
    if budget.spec.is_shared:
        return own or budget.spec.scope is BudgetScope.INSTALLATION
    tenants = policy.spec.match.tenants
    return own and (not tenants or (budget.spec.tenant or budget.identity.name) in tenants)


def only_the_operator_limits_all(budget: BudgetResource, world: World) -> Iterator[Problem]:
    """Who may write in a namespace shall not stop others' tenants."""
    own = world.installation_namespace
    if (
        budget.spec.scope is BudgetScope.INSTALLATION
        and budget.identity.namespace != own
        and not world.is_of_files
    ):
        message = (
            f"Installation counts the requests of all namespaces, so such a budget is taken in namespace {own!r} "
            "alone; move it there, or write Namespace"
        )
        yield Problem(budget.identity, "spec.scope", ProblemReason.INVALID, message)


def api_keys_exist(budget: BudgetResource, world: World) -> Iterator[Problem]:
    """A key that is missing beside one that is there, as in a rotation, takes nothing from who has the other."""
    namespace = budget.identity.namespace
    values = [
        secret_value(namespace, each.secret_ref, world.inventory.secrets) for each in budget.spec.api_keys
    ]
    for place, (api_key, key) in enumerate(zip(budget.spec.api_keys, values, strict=True)):
        ref = api_key.secret_ref
        for found in secret_exists(budget, f"spec.apiKeys[{place}].secretRef", ref, world):
            lacks = found.reason in {ProblemReason.MISSING_SECRET, ProblemReason.UNREADABLE_SECRET}
            yield replace(found, severity=Severity.WARNING) if lacks and any(values) else found
        if key.startswith(wire.DIGEST_PREFIX) and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", key):
            message = f"Secret {ref.name!r} has a digest that is not sha256: and 64 hex digits"
        elif not re.fullmatch(r"[ -~]{0,512}", key):
            message = f"Secret {ref.name!r} has a key no caller can send; use at most 512 printable ASCII characters"
        else:
            continue
        yield Problem(budget.identity, f"spec.apiKeys[{place}].secretRef.key", ProblemReason.INVALID, message)


def time_zones_are_known(budget: BudgetResource, _: World) -> Iterator[Problem]:
    for place, limit in enumerate(budget.spec.limits):
        zone = limit.window.time_zone
        if not is_time_zone(zone):
            message = f"{zone!r} is not an IANA time zone{_zone_hint(zone)}"
            message += "; until then its day is that of UTC" if budget.spec.is_shared else ""
            field = f"spec.limits[{place}].window.timeZone"
            yield Problem(budget.identity, field, ProblemReason.INVALID, message, _severity(budget))


def model_names_are_offered(budget: BudgetResource, world: World) -> Iterator[Problem]:
    """A tenant's own choice of model must exist in some policy that may govern it."""
    policies = [
        each for each in world.inventory.policies if may_govern(each, budget, world.installation_namespace)
    ]
    offered = sorted({model.name for policy in policies for model in policy.spec.models})
    wanted = [
        ("spec.preferredModel", budget.spec.preferred_model),
        ("spec.onExceeded.model", budget.spec.on_exceeded.model),
    ]
    for field, name in wanted:
        if policies and name is not None and name != AUTO and name not in offered:
            hint = suggestion(name, offered)
            message = f"no RoutingPolicy that may govern {_whom(budget)} has a model {name!r}{hint}"
            message += "; until then who exceeds it is rejected" if budget.spec.is_shared else ""
            yield Problem(budget.identity, field, ProblemReason.UNKNOWN_REFERENCE, message, _severity(budget))


def currency_limits_meet_known_prices(budget: BudgetResource, world: World) -> Iterator[Problem]:
    """The policy itself is refused for it; this tells the owner of the budget why requests find no policy."""
    counted = next((limit for limit in budget.spec.limits if limit.unit is Unit.USD), None)
    if counted is None:
        return
    for policy in world.inventory.policies:
        if not may_govern(policy, budget, world.installation_namespace):
            continue
        for model in policy.spec.models:
            if price_of(model, world.catalog) is None:
                message = (
                    f"limit {counted.name!r} counts USD, but model {model.name!r} of {policy.identity}, "
                    f"which may govern {_whom(budget)}, has no known price; that policy is refused until it does"
                )
                field = f"spec.limits[{budget.spec.limits.index(counted)}]"
                yield Problem(budget.identity, field, ProblemReason.UNKNOWN_PRICE, message, Severity.WARNING)


BUDGET_CHECKS: Final[list[Callable[[BudgetResource, World], Iterator[Problem]]]] = [
    only_the_operator_limits_all,
    api_keys_exist,
    time_zones_are_known,
    model_names_are_offered,
    currency_limits_meet_known_prices,
]


def is_time_zone(name: str) -> bool:
    return name in _TIME_ZONES


def _severity(budget: BudgetResource) -> Severity:
    """Of what a budget can be without. A shared one that were left out for it, perhaps by an edit of somebody's policy,
    would let those spend without end whom it is to hold.
    """
    return Severity.WARNING if budget.spec.is_shared else Severity.ERROR


def _whom(budget: BudgetResource) -> str:
    return "a tenant that it covers" if budget.spec.is_shared else "this tenant"


def _zone_hint(zone: str) -> str:
    close = get_close_matches(zone, _TIME_ZONES, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else '; write it like "UTC" or "Europe/Berlin"'
