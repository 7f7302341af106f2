"""Which model is meant by what a caller writes, and who may be served the same answers: what is remembered is divided
by the models that may have given it, and not by the names that were written.
"""

from tollway_api.meta import ModelName
from tollway_api.snapshot import Policy, Tenant
from tollway_api.tenant_budget import AUTO
from tollway_dataplane.core.canaries import canaries_drawn, drawn
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.errors import Refusal, RefusalCode


def named_model(requested: str, policy: Policy) -> ModelName | None:
    """The model a caller asked for by its name or by an alias; None when it left the choice to us.

    A name that the policy matches on without having it as a model or an alias is an alias for "auto".

    Raises Refusal 404 for a model the policy does not have, 403 for one it does not let callers name.
    """
    name, aliases = ModelName(requested), policy.route.aliases
    if aliases and (meant := next((each.model for each in aliases if each.name == name), None)):
        return None if meant == AUTO else meant
    if requested == AUTO or (name not in policy.models and name in policy.match.models):
        return None
    if name not in policy.models:
        known = sorted({*policy.models, *(each.name for each in aliases)})
        message = f"no model {requested[:128]!r} in policy {policy.id}; ask for {AUTO!r} or one of: "
        raise Refusal(404, RefusalCode.MODEL_NOT_FOUND, message + ", ".join(known), "model")
    if not policy.route.allow_explicit_model:
        message = f"policy {policy.id} chooses the model itself; ask for "
        message += " or ".join(map(repr, (AUTO, *(each.name for each in aliases))))
        raise Refusal(403, RefusalCode.FORBIDDEN, message, "model")
    return name


def preferred_model(tenant: Tenant, policy: Policy) -> ModelName | None:
    """The tenant's own, of those that the policy has."""
    return tenant.preferred_model if tenant.preferred_model in policy.models else None


def audience_of(request: ChatRequest, tenant: Tenant, policy: Policy) -> str:
    """What tells apart those whose answers must come from other models, so that none is served another's: the model
    that is meant, or "auto", and what is tried out on this conversation.
    """
    named = named_model(request.model, policy)
    if named is not None and request.model in policy.models:
        return named
    meant = named or preferred_model(tenant, policy)
    if meant is not None:
        return drawn(meant, request, tenant.name, policy)
    return " ".join((AUTO, *canaries_drawn(request, tenant.name, policy)))


def stood_in(request: ChatRequest, policy: Policy, chosen: ModelName, answered: str) -> bool:
    """Whether the answer is not one that others of the same audience may be served: of another model than the one that
    was asked for, or of one that is tried out, or instead of it.
    """
    if answered == chosen:
        return False
    tried = {each.model for each in policy.route.canaries}
    return named_model(request.model, policy) is not None or bool(tried & {chosen, answered})
