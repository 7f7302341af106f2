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
from tollway_dataplane.core.complexity import classify
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.core.facts import ChatRequest, text_of_content, user_texts
from tollway_dataplane.core.fitting import Choice, able_model, check_named
from tollway_dataplane.core.naming import preferred_model


def choose(request: ChatRequest, named: ModelName | None, tenant: Tenant, policy: Policy) -> Choice:
    """The model for the first attempt. `named` is what `named_model` says of the request.

    Raises Refusal 400 where no model that may answer can do what is asked.
    """
    choice = settled(request, named, tenant, policy) or _routed(request, policy.route)
    return placed(choice, request, tenant, policy)


def settled(request: ChatRequest, named: ModelName | None, tenant: Tenant, policy: Policy) -> Choice | None:
    """Where the caller, or its tenant, has said which model; None where the router is to choose."""
    if named is not None:
        is_explicit = request.model in policy.models
        return Choice(named, RouteReason.EXPLICIT if is_explicit else RouteReason.ALIAS)
    if (preferred := preferred_model(tenant, policy)) is not None:
        return Choice(preferred, RouteReason.PREFERRED)
    return None


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


def _routed(request: ChatRequest, route: Route) -> Choice:
    reason = _complexity(request, route)
    return Choice(route.simple if reason is RouteReason.SIMPLE else route.complex, reason)


def _complexity(request: ChatRequest, route: Route) -> RouteReason:
    """Of the user's last turn. Of a chat as the policy has it, that of its most complex turn, which can only grow: so a
    chat changes its model once at most, whichever pod answers.
    """
    turns = list(user_texts(request.messages)) or [_last_text(request)]
    reason = classify(turns[-1], route)
    if reason is RouteReason.SIMPLE and route.sticky and _any_complex(turns[:-1], route):
        return RouteReason.SESSION
    return reason


def _any_complex(turns: Iterable[str], route: Route) -> bool:
    return any(classify(turn, route) is not RouteReason.SIMPLE for turn in turns)


def _last_text(request: ChatRequest) -> str:
    return text_of_content(request.messages[-1].get("content")) if request.messages else ""
