"""The checks across objects, as small named functions in three literal lists: of `index_checks`, `policy_checks` and
`budget_checks`. Each looks at one object and the rest of the world and yields what is wrong; its message goes to users
as it is. To add a check, write a function and add it to its list. Here is what they have in common.

Called by the compiler, after every object has passed its own schema.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import urlsplit

from tollway_api import wire
from tollway_api.catalog import ModelCatalog
from tollway_api.inventory import Inventory, Secrets
from tollway_api.meta import Identity, Resource, SecretKeyRef
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.reach import PUBLIC, Reach
from tollway_api.routing_policy import RoutingPolicySpec
from tollway_api.semantic_cache_index import SemanticCacheIndexSpec
from tollway_api.tenant_budget import TenantBudgetSpec

IndexResource = Resource[SemanticCacheIndexSpec]
BudgetResource = Resource[TenantBudgetSpec]
PolicyResource = Resource[RoutingPolicySpec]


@dataclass(frozen=True, slots=True)
class World:
    """What a check may look at besides its own object."""

    inventory: Inventory
    catalog: ModelCatalog
    installation_namespace: str
    usable_indexes: frozenset[Identity] = frozenset()  # those that passed their own checks
    is_of_files: bool = False  # where no namespace is the operator's own
    reach: Reach = PUBLIC  # where endpoints may be


def secret_value(namespace: str, ref: SecretKeyRef, secrets: Secrets) -> str:
    """What the Secret holds there, without blanks around it; empty where there is none."""
    return secrets.get((namespace, ref.name), {}).get(ref.key, "").strip()


def may_be_asked(owner: Identity, field: str, endpoint: str | None, reach: Reach) -> Iterator[Problem]:
    """What no pattern says: a port's size, how an IPv6 address is written, and whose it is."""
    if endpoint is None:
        return
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host:
        message = f"{endpoint!r} has no host and port that can be connected to"
        yield Problem(owner, field, ProblemReason.INVALID, message)
    elif not reach.may_allow(host):
        message = (
            f"{host} is not on the internet, and other endpoints are asked only where whoever runs Tollway has opened "
            "them: by allowEndpoints of the chart, TOLLWAY_ALLOW_ENDPOINTS, or --allow-endpoints of a command"
        )
        yield Problem(owner, field, ProblemReason.FORBIDDEN_ENDPOINT, message)


def credentials(
    owner: PolicyResource | IndexResource, field: str, ref: SecretKeyRef | None, world: World
) -> Iterator[Problem]:
    """Of a key that a provider is to be given."""
    if ref is None:
        return
    yield from secret_exists(owner, field, ref, world)
    if secret_value(owner.identity.namespace, ref, world.inventory.secrets).startswith(wire.DIGEST_PREFIX):
        message = f"Secret {ref.name!r} has only a digest under {ref.key!r}, which no provider takes"
        yield Problem(owner.identity, f"{field}.key", ProblemReason.MISSING_SECRET, message)


def secret_exists(
    owner: PolicyResource | BudgetResource | IndexResource, field: str, ref: SecretKeyRef, world: World
) -> Iterator[Problem]:
    namespace = owner.identity.namespace
    if namespace == world.installation_namespace and wire.OWN_SECRETS.fullmatch(ref.name):
        message = f"Secret {ref.name!r} is Tollway's own; name one of yours"
        yield Problem(owner.identity, f"{field}.name", ProblemReason.INVALID, message)
        return
    secret = world.inventory.secrets.get((namespace, ref.name))
    why = world.inventory.unreadable.get((namespace, ref.name))
    if secret_value(namespace, ref, world.inventory.secrets):
        if why:
            message = f"Secret {ref.name!r} in namespace {namespace!r} {why}; what it held before goes on"
            reason, severity = ProblemReason.STALE_SECRET, Severity.WARNING
            yield Problem(owner.identity, f"{field}.name", reason, message, severity)
    elif why:
        message = f"Secret {ref.name!r} in namespace {namespace!r} {why}"
        yield Problem(owner.identity, f"{field}.name", ProblemReason.UNREADABLE_SECRET, message)
    elif secret is None:
        message = f"no Secret {ref.name!r} in namespace {namespace!r}; create it, or correct the name"
        yield Problem(owner.identity, f"{field}.name", ProblemReason.MISSING_SECRET, message)
    else:
        others = [key for key, value in secret.items() if value.strip()]
        message = f"Secret {ref.name!r} has nothing under {ref.key!r}{suggestion(ref.key, others)}"
        yield Problem(owner.identity, f"{field}.key", ProblemReason.MISSING_SECRET, message)


def suggestion(name: str, known: list[str]) -> str:
    """The likely correction, or what there is to choose from."""
    if close := get_close_matches(name, known, n=1, cutoff=0.6):
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(sorted(known))}" if known else "; there is none"
