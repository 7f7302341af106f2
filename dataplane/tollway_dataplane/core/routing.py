"""Which model should answer: the one that is named, by the caller, an alias or the tenant's budget, or the router's own
choice; of which some conversations go to a model that is tried out; and another one where that cannot, or the prompt is
too long for it.
"""

from collections.abc import Iterable
from dataclasses import replace

from tollway_api.meta import ModelName
from tollway_api.snapshot import Policy, Route, Tenant
from tollway_dataplane.core.canaries import drawn
from tollway_dataplane.core.capabilities import needs
from tollway_dataplane.core.complexity import Assessment
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.fitting import Choice, able_model, check_named
from tollway_dataplane.core.naming import preferred_model


def settled(request: ChatRequest, named: ModelName | None, tenant: Tenant, policy: Policy) -> Choice | None:
    """Where the caller, or its tenant, has said which model; None where the router is to choose."""
    if named is not None:
        is_explicit = request.model in policy.models
        return Choice(named, RouteReason.EXPLICIT if is_explicit else RouteReason.ALIAS)
    if (preferred := preferred_model(tenant, policy)) is not None:
        return Choice(preferred, RouteReason.PREFERRED)
    return None


def routed(last: Assessment, earlier: Iterable[Assessment], route: Route) -> Choice:
    """By the user's last turn. Of a chat as the policy has it, by its most complex turn, which can only grow: so a chat
    changes its model once at most, whichever pod answers. `earlier` is asked for no more than it takes.
    """
    if not last.is_simple:
        return Choice(route.complex, last.reason, last)
    if route.sticky and not all(each.is_simple for each in earlier):
        return Choice(route.complex, RouteReason.SESSION, last)
    return Choice(route.simple, last.reason, last)


def placed(choice: Choice, request: ChatRequest, tenant: Tenant, policy: Policy) -> Choice:
    """Where what was chosen is sent: to the model itself, to one that is tried out beside it, or to one that can do
    what is asked. Who has named a model gets no other.

    Raises Refusal 400 where none can.
    """
    wanted = needs(request)
    if choice.reason is RouteReason.EXPLICIT:
        check_named(policy.models[choice.model], wanted, policy)
        return choice
    model = drawn(choice.model, request, tenant.name, policy)
    if model != choice.model:
        choice = replace(choice, model=model, reason=RouteReason.CANARY)
    return able_model(choice, request, wanted, policy)
