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
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.naming import preferred_model
from tollway_dataplane.routing.complexity import Assessment
from tollway_dataplane.routing.fitting import Choice, able_model, check_named


def settled(request: ChatRequest, named: ModelName | None, tenant: Tenant, policy: Policy) -> Choice | None:
    """Where the caller, or its tenant, has said which model; None where the router is to choose."""
    if named is not None:
        is_explicit = request.model in policy.models
        return Choice(named, RouteReason.EXPLICIT if is_explicit else RouteReason.ALIAS)
    if (preferred := preferred_model(tenant, policy)) is not None:
        return Choice(preferred, RouteReason.PREFERRED)
    return None


def routed(last: Assessment, earlier: Iterable[Assessment], route: Route) -> Choice:
    """The model for a prompt, by the user's last turn; where the policy keeps chats together, by the most complex turn,
    which can only grow, so a chat never goes back to a simpler model, whichever pod answers. No more of `earlier` is
    read than is needed.
    """
    models = ladder(route)
    complex_place = len(models) - 1
    place = found = _place_of(last, complex_place)
    if route.sticky and place < complex_place:
        for each in earlier:
            place = max(place, _place_of(each, complex_place))
            if place == complex_place:
                break
    return Choice(models[place], last.reason if place == found else RouteReason.SESSION, last)


def ladder(route: Route) -> tuple[ModelName, ...]:
    """The models that are chosen from, the simple one first and the complex one last."""
    return (
        (*(step.model for step in route.steps), route.complex)
        if route.steps
        else (route.simple, route.complex)
    )


def is_complex(found: Assessment, route: Route) -> bool:
    """So that nothing else can make it more so."""
    complex_place = len(ladder(route)) - 1
    return _place_of(found, complex_place) == complex_place


def _place_of(found: Assessment, complex_place: int) -> int:
    """On the ladder."""
    if found.reason is RouteReason.MIDDLE:
        return found.step
    return 0 if found.is_simple else complex_place


def placed(choice: Choice, request: ChatRequest, tenant: Tenant, policy: Policy) -> Choice:
    """Where what was chosen is sent: to the model itself, to one that is tried out beside it, or to one that can do
    what is asked. Who has named a model gets no other.

    Raises Refusal 400 where none can.
    """
    if wanted := needs(request):
        choice = replace(choice, needs=wanted)
    if choice.reason is RouteReason.EXPLICIT:
        check_named(policy.models[choice.model], choice.needs, policy)
        return choice
    model = drawn(choice.model, request, tenant.name, policy)
    if model != choice.model:
        choice = replace(choice, model=model, reason=RouteReason.CANARY)
    return able_model(choice, request, choice.needs, policy)
