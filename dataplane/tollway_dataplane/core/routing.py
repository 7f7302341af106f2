"""Which model should answer. An explicit model, where the policy allows it, and the tenant's preferred model win
over the router's own choice.
"""

from dataclasses import dataclass

from tollway_api.meta import ModelName
from tollway_api.snapshot import Policy, Route, Tenant
from tollway_api.tenant_budget import AUTO
from tollway_dataplane.core.complexity import Assessment
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.errors import Refusal, RefusalCode


@dataclass(frozen=True, slots=True)
class Choice:
    model: ModelName
    reason: RouteReason
    assessment: Assessment | None = None  # where the router chose


def settled(named: ModelName | None, tenant: Tenant, policy: Policy) -> Choice | None:
    """The model where the caller or its tenant has said which; None where the router is to choose."""
    if named is not None:
        return Choice(named, RouteReason.EXPLICIT)
    if tenant.preferred_model != AUTO and tenant.preferred_model in policy.models:
        return Choice(tenant.preferred_model, RouteReason.PREFERRED)
    return None


def assessed(assessment: Assessment, route: Route) -> Choice:
    model = route.simple if assessment.is_simple else route.complex
    return Choice(model, assessment.reason, assessment)


def named_model(requested: str, policy: Policy) -> ModelName | None:
    """The model a caller asked for by name; None when it left the choice to us.

    A name that the policy matches on without having it as a model is an alias for "auto".

    Raises Refusal 404 for a model the policy does not have, 403 for one it does not let callers name.
    """
    name = ModelName(requested)
    if requested == AUTO or (name not in policy.models and name in policy.match.models):
        return None
    if name not in policy.models:
        message = f"no model {requested[:128]!r} in policy {policy.id}; ask for {AUTO!r} or one of: "
        raise Refusal(404, RefusalCode.MODEL_NOT_FOUND, message + ", ".join(sorted(policy.models)), "model")
    if not policy.route.allow_explicit_model:
        message = f"policy {policy.id} chooses the model itself; ask for {AUTO!r}"
        raise Refusal(403, RefusalCode.FORBIDDEN, message, "model")
    return name
