"""Which Secrets an object names, and what a published snapshot still says of them. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tollway_api import wire
from tollway_api.inventory import SecretKey
from tollway_api.meta import Resource, Spec
from tollway_api.routing_policy import RoutingPolicySpec
from tollway_api.semantic_cache_index import SemanticCacheIndexSpec
from tollway_api.snapshot import Snapshot
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
                if model.aws is not None and model.aws.credentials_ref is not None:
                    yield namespace, model.aws.credentials_ref.name
                for header in model.extra_headers:
                    if header.secret_ref is not None:
                        yield namespace, header.secret_ref.name
        case SemanticCacheIndexSpec(embedding=embedding):
            if embedding.credentials_ref is not None:
                yield namespace, embedding.credentials_ref.name


def values_in(published: Snapshot) -> Mapping[SecretKey, Mapping[str, str]]:
    """What went into a snapshot of the Secrets that were named then. API keys are digests there, and a Secret may hold
    a digest in a key's place.
    """
    values: dict[SecretKey, dict[str, str]] = defaultdict(dict)
    for tenant in published.tenants.values():
        for place, digest in tenant.key_digests.items():
            name, _, key = place.partition("/")
            values[tenant.namespace, name][key] = f"{wire.DIGEST_PREFIX}{digest}"
    # After them, because no provider takes a digest.
    for policy in published.policies:
        for model in policy.models.values():
            for place, value in model.secrets.items():
                name, _, key = place.partition("/")
                values[policy.namespace, name][key] = value
    for index in published.indexes.values():
        for embedding in (version.embedding for version in reversed(index.versions)):
            name, _, key = embedding.api_key_from.partition("/")
            if embedding.api_key:
                values[index.namespace, name][key] = embedding.api_key
    return values
