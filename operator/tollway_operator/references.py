"""Which Secrets an object names, and what a published snapshot still says of them. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from tollway_api import wire
from tollway_api.inventory import SecretKey
from tollway_api.meta import ModelName, Resource, Spec, TenantName
from tollway_api.routing_policy import RoutingPolicySpec
from tollway_api.snapshot import Snapshot, Source
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


def values_in(
    published: Snapshot, resources: Iterable[Resource[Spec]]
) -> Mapping[SecretKey, Mapping[str, str]]:
    """Of the Secrets that objects named when they were compiled, and have named since: what went into the snapshot. API
    keys are digests there, and a Secret may hold a digest in a key's place.
    """
    values: dict[SecretKey, dict[str, str]] = defaultdict(dict)
    sources = frozenset(published.sources)
    policies = {(policy.namespace, policy.name): policy for policy in published.policies}
    for resource in resources:
        namespace, name = resource.identity.namespace, resource.identity.name
        if Source(resource.identity.kind, namespace, name, resource.generation) not in sources:
            continue
        match resource.spec:
            case TenantBudgetSpec() as budget:
                tenant = published.tenants.get(TenantName(budget.tenant or name))
                refs = [each.secret_ref for each in budget.api_keys]
                # Where one was missing, some stand beside another's name, but together they are the tenant's keys.
                for ref, digest in zip(refs, tenant.key_digests if tenant else (), strict=False):
                    values[namespace, ref.name][ref.key] = f"{wire.DIGEST_PREFIX}{digest}"
            case RoutingPolicySpec() as spec if policy := policies.get((namespace, name)):
                for model in spec.models:
                    published_as = policy.models.get(ModelName(model.name))
                    if model.credentials_ref and published_as and published_as.api_key:
                        key = (namespace, model.credentials_ref.name)
                        values[key][model.credentials_ref.key] = published_as.api_key
    return values
