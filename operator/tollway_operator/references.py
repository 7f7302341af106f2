"""Which Secrets an object names. Pure."""

from collections.abc import Iterator

from tollway_api.inventory import SecretKey
from tollway_api.meta import Resource, Spec
from tollway_api.routing_policy import RoutingPolicySpec
from tollway_api.tenant_budget import TenantBudgetSpec


def secrets_of(resource: Resource[Spec]) -> Iterator[SecretKey]:
    """Namespace and name of each; always the object's own namespace."""
    namespace = resource.identity.namespace
    match resource.spec:
        case TenantBudgetSpec() as budget:
            for api_key in budget.api_keys:
                yield namespace, api_key.secret_ref.name
        case RoutingPolicySpec() as policy:
            for model in policy.models:
                if model.credentials_ref is not None:
                    yield namespace, model.credentials_ref.name
