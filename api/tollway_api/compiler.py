"""Resources to one snapshot, and the problems found on the way. An object with an error is left out and the
rest goes on. Pure and deterministic: the same inputs give the same bytes, whatever their order.

Called by the operator's reconcile, by `tollway serve` and by `tollway validate`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from tollway_api import semantic_cache_index, wire
from tollway_api.budget_checks import BUDGET_CHECKS, is_time_zone
from tollway_api.catalog import ModelCatalog
from tollway_api.checks import BudgetResource, IndexResource, PolicyResource, World, secret_value
from tollway_api.compiled_policies import compiled_policy
from tollway_api.controls import accuracy_control
from tollway_api.index_checks import INDEX_CHECKS, embedding_price
from tollway_api.inventory import Inventory
from tollway_api.meta import Identity, ModelName, Resource, Spec, TenantName, epoch_ms, milliseconds, scaled
from tollway_api.policy_checks import POLICY_CHECKS
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.reach import PUBLIC, Reach
from tollway_api.semantic_cache_index import EmbeddingProvider
from tollway_api.snapshot import (
    NANO_PER_USD,
    Calendar,
    Embedding,
    Index,
    IndexVersion,
    KeyFacts,
    Limit,
    Match,
    OnExceeded,
    Policy,
    Rolling,
    SharedBudget,
    Snapshot,
    Source,
    Tenant,
)
from tollway_api.tenant_budget import ApiKey, BudgetScope, LedgerUnavailable, Unit
from tollway_api.tenant_budget import Limit as LimitSpec
from tollway_api.tenant_budget import OnExceeded as OnExceededSpec

# Shared budgets of one scope in one namespace. Each that covers a tenant makes each of its requests dearer for the
# ledger, which all tenants wait for.
MOST_SHARED_BUDGETS: Final = 32

SpecT = TypeVar("SpecT", bound=Spec)
Checks = Sequence[Callable[[Resource[SpecT], World], Iterator[Problem]]]


Piece = Policy | Tenant | SharedBudget | Index


@dataclass(frozen=True, slots=True)
class Compilation:
    """`pieces` says what each object that was accepted has become in the snapshot."""

    snapshot: Snapshot
    problems: tuple[Problem, ...]
    pieces: Mapping[Identity, Piece] = field(repr=False)


def compile_snapshot(
    inventory: Inventory,
    catalog: ModelCatalog,
    installation_namespace: str = "tollway-system",
    *,
    is_of_files: bool = False,
    reach: Reach = PUBLIC,
) -> Compilation:
    """The snapshot of everything that is right, and a problem for everything that is not. `reach` says where endpoints
    may be. No namespace of files is the operator's own, so budgets for all may be in any.
    """
    world = World(inventory, catalog, installation_namespace, is_of_files=is_of_files, reach=reach)
    problems: list[Problem] = []
    indexes = _accepted(inventory.indexes, INDEX_CHECKS, world, problems)
    world = replace(world, usable_indexes=frozenset(index.identity for index in indexes))
    policies = _accepted(inventory.policies, POLICY_CHECKS, world, problems)
    budgets = _accepted(inventory.budgets, BUDGET_CHECKS, world, problems)
    made_of_policies = {each.identity: compiled_policy(each, world) for each in policies}
    policies = _unshadowed(policies, made_of_policies, problems)
    callers = _undisputed([each for each in budgets if not each.spec.is_shared], inventory, problems)
    shared = _not_too_many([each for each in budgets if each.spec.is_shared], problems)
    covering = _Covering(shared)
    made_of_callers = {each.identity: _tenant(each, inventory, covering.of(each)) for each in callers}
    made_of_shared = {each.identity: _shared_budget(each) for each in shared}
    problems += covering.idle()
    policies.sort(key=lambda each: _preference(each, made_of_policies[each.identity]))
    made_of_policies = {each.identity: made_of_policies[each.identity] for each in policies}
    made_of_indexes = {each.identity: _index(each, world) for each in indexes}
    snapshot = Snapshot(
        installation_namespace=installation_namespace,
        tenants={tenant.name: tenant for tenant in made_of_callers.values()},
        shared={budget.id: budget for budget in made_of_shared.values()},
        policies=tuple(made_of_policies.values()),
        indexes={index.id: index for index in made_of_indexes.values()},
        sources=tuple(_sources([*indexes, *policies, *callers, *shared])),
    )
    return Compilation(
        snapshot,
        tuple(sorted(problems, key=lambda problem: problem.sort_key)),
        {**made_of_callers, **made_of_shared, **made_of_policies, **made_of_indexes},
    )


def _accepted(
    resources: Iterable[Resource[SpecT]], named_checks: Checks[SpecT], world: World, problems: list[Problem]
) -> list[Resource[SpecT]]:
    """The resources without an error, oldest first; what was found goes to `problems`."""
    kept = []
    for resource in sorted(resources, key=lambda each: each.seniority):
        found = [problem for check in named_checks for problem in check(resource, world)]
        found += [_of_a_newer_kind(resource.identity, each) for each in resource.unknown]
        problems += found
        if all(problem.severity is Severity.WARNING for problem in found):
            kept.append(resource)
    return kept


def _of_a_newer_kind(identity: Identity, field: str) -> Problem:
    message = "is of a newer version of the kind than this operator, which goes without it; upgrade Tollway"
    return Problem(identity, field, ProblemReason.INVALID, message, Severity.WARNING)


def _unshadowed(
    policies: list[PolicyResource], made: Mapping[Identity, Policy], problems: list[Problem]
) -> list[PolicyResource]:
    """Drops the younger of two policies that no request could tell apart."""
    holders: dict[tuple[str, Match, int], PolicyResource] = {}
    for policy in policies:
        match = made[policy.identity].match
        # The order in which names are listed makes no difference to what they match.
        canonical = Match(
            tuple(sorted(match.models)),
            tuple(sorted(match.tenants)),
            tuple(sorted(match.headers, key=lambda header: (header.name, header.value))),
        )
        claim = (policy.identity.namespace, canonical, policy.spec.priority)
        holder = holders.setdefault(claim, policy)
        if holder is not policy:
            message = (
                f"has the same match and priority as the older {holder.identity}, so no request would ever "
                "reach it; narrow its match or give it another priority"
            )
            problems.append(Problem(policy.identity, "spec.match", ProblemReason.CONFLICT, message))
    return list(holders.values())


def _undisputed(
    budgets: list[BudgetResource], inventory: Inventory, problems: list[Problem]
) -> list[BudgetResource]:
    """Drops a younger budget that claims a tenant's name or an API key an older one holds."""
    tenants: dict[TenantName, BudgetResource] = {}
    keys: dict[str, BudgetResource] = {}
    kept = []
    for budget in budgets:
        name = _tenant_name(budget)
        digests = _key_digests(budget, inventory)
        name_holder = tenants.get(name)
        taken = next(((place, keys[digest]) for place, digest in digests.items() if digest in keys), None)
        if name_holder is not None:
            message = (
                f"tenant {name!r} belongs to the older {name_holder.identity}; give this one another name"
            )
            problems.append(Problem(budget.identity, "spec.tenant", ProblemReason.CONFLICT, message))
        elif taken is not None:
            place, key_holder = taken
            message = f"this API key belongs to the older {key_holder.identity}; give this tenant its own"
            problems.append(
                Problem(budget.identity, f"spec.apiKeys[{place}]", ProblemReason.CONFLICT, message)
            )
        else:
            tenants[name] = budget
            keys.update(dict.fromkeys(digests.values(), budget))
            kept.append(budget)
    return kept


def _not_too_many(budgets: list[BudgetResource], problems: list[Problem]) -> list[BudgetResource]:
    """Drops the youngest of more shared budgets than one namespace may have of a scope."""
    counted: Counter[tuple[str, BudgetScope]] = Counter()
    kept = []
    for budget in budgets:
        place = budget.identity.namespace, budget.spec.scope
        counted[place] += 1
        if counted[place] > MOST_SHARED_BUDGETS:
            message = (
                f"namespace {place[0]!r} has {MOST_SHARED_BUDGETS} older budgets of scope {place[1]}, and no request "
                "may count in more; put its limits into one of them, or delete one"
            )
            problems.append(Problem(budget.identity, "spec.scope", ProblemReason.CONFLICT, message))
        else:
            kept.append(budget)
    return kept


class _Covering:
    """Which shared budgets count a tenant's requests, and which count nobody's."""

    def __init__(self, budgets: Iterable[BudgetResource]) -> None:
        self._of_all: list[BudgetResource] = []
        self._of_namespace: dict[str, list[BudgetResource]] = defaultdict(list)
        for each in sorted(budgets, key=lambda budget: budget.identity):
            of_all = each.spec.scope is BudgetScope.INSTALLATION
            (self._of_all if of_all else self._of_namespace[each.identity.namespace]).append(each)
        self._idle = {each.identity: each for each in budgets if each.spec.selector}

    def of(self, caller: BudgetResource) -> list[BudgetResource]:
        """The budgets that count this caller's requests, the narrower scope first."""
        candidates = [*self._of_namespace.get(caller.identity.namespace, ()), *self._of_all]
        found = [each for each in candidates if _selects(each, caller.labels)]
        for each in found:
            self._idle.pop(each.identity, None)
        return found

    def idle(self) -> Iterator[Problem]:
        """A warning for each budget that selects tenants and has found none, once all tenants were asked about."""
        message = (
            "no tenant's TenantBudget has these labels, so nothing is counted; correct them, or label one"
        )
        for identity in self._idle:
            field = "spec.selector.matchLabels"
            yield Problem(identity, field, ProblemReason.INVALID, message, Severity.WARNING)


def _selects(budget: BudgetResource, labels: Mapping[str, str]) -> bool:
    selector = budget.spec.selector
    return selector is None or selector.match_labels.items() <= labels.items()


def _preference(policy: PolicyResource, made: Policy) -> tuple[int, int, tuple[str, str, str]]:
    """Higher priority first, then the more specific match, then the older."""
    return (-made.priority, -made.match.specificity, policy.seniority)


def _sources(resources: Iterable[Resource[Spec]]) -> Iterator[Source]:
    for each in sorted(resources, key=lambda resource: resource.identity):
        yield Source(each.identity.kind, each.identity.namespace, each.identity.name, each.generation)


def _index(resource: IndexResource, world: World) -> Index:
    spec, identity = resource.spec, resource.identity
    embedding, vector = _embedding(resource, world), spec.vector
    # Everything that decides which vectors may be compared, and nothing else.
    space = [embedding.provider, embedding.model, str(embedding.dimensions), vector.type, vector.metric]
    space += [embedding.endpoint] if embedding.endpoint else []
    # The model behind the name may have changed, or a graph have degraded, and nothing of the spec says so.
    rebuild = resource.annotations.get(semantic_cache_index.REBUILD_ANNOTATION)
    space += [rebuild] if rebuild is not None else []
    return Index(
        namespace=identity.namespace,
        name=identity.name,
        version=IndexVersion(
            name=wire.index_version(identity.path, wire.fingerprint(tuple(space))),
            embedding=embedding,
            algorithm=vector.algorithm,
            vector_type=vector.type,
            metric=vector.metric,
            m=vector.m,
            ef_construction=vector.ef_construction,
            initial_capacity=vector.initial_capacity,
        ),
        ttl_ms=milliseconds(spec.ttl),
        scope=spec.scope,
        threshold=float(spec.match.threshold),
        strict_threshold=float(spec.match.strict_threshold),
        checks=tuple(sorted(set(spec.match.checks))),
        reembed_per_second=spec.migration.reembed_per_second,
        accuracy=accuracy_control(spec),
    )


def _embedding(resource: IndexResource, world: World) -> Embedding:
    spec, namespace = resource.spec.embedding, resource.identity.namespace
    if spec.provider is EmbeddingProvider.LOCAL:
        return Embedding(spec.provider, spec.model, spec.dimensions)
    ref = spec.credentials_ref
    return Embedding(
        spec.provider,
        spec.model,
        spec.dimensions,
        endpoint=spec.endpoint or "",
        api_key=secret_value(namespace, ref, world.inventory.secrets) if ref else None,
        api_key_from=ref.place if ref else "",
        price=embedding_price(spec, world.catalog),
    )


_STRICTEST_FIRST: Final = (LedgerUnavailable.DENY, LedgerUnavailable.LEASE, LedgerUnavailable.ALLOW)


def _tenant(resource: BudgetResource, inventory: Inventory, shared: Sequence[BudgetResource]) -> Tenant:
    spec = resource.spec
    words = {each.spec.on_ledger_unavailable for each in (resource, *shared)}
    return Tenant(
        name=_tenant_name(resource),
        namespace=resource.identity.namespace,
        key_digests=dict(
            sorted(
                (spec.api_keys[place].secret_ref.place, digest)
                for place, digest in _key_digests(resource, inventory).items()
            )
        ),
        limits=tuple(map(_limit, spec.limits)),
        alert_threshold_percent=spec.alert_threshold_percent,
        on_exceeded=_on_exceeded(spec.on_exceeded),
        preferred_model=ModelName(spec.preferred_model),
        on_ledger_unavailable=next(each for each in _STRICTEST_FIRST if each in words),
        lease_percent=spec.lease.percent,
        shared=tuple(each.identity.path for each in shared),
        key_facts=dict(sorted(_key_facts(spec.api_keys))),
    )


def _key_facts(api_keys: Iterable[ApiKey]) -> Iterator[tuple[str, KeyFacts]]:
    for each in api_keys:
        if each.name is not None or each.expires_at is not None:
            expires_ms = None if each.expires_at is None else epoch_ms(each.expires_at)
            yield each.secret_ref.place, KeyFacts(each.name or "", expires_ms)


def _shared_budget(resource: BudgetResource) -> SharedBudget:
    spec = resource.spec
    return SharedBudget(
        namespace=resource.identity.namespace,
        name=resource.identity.name,
        limits=tuple(map(_limit, spec.limits)),
        alert_threshold_percent=spec.alert_threshold_percent,
        on_exceeded=_on_exceeded(spec.on_exceeded),
        on_ledger_unavailable=spec.on_ledger_unavailable,
        lease_percent=spec.lease.percent,
    )


def _on_exceeded(spec: OnExceededSpec) -> OnExceeded:
    return OnExceeded(spec.action, spec.message, ModelName(spec.model) if spec.model else None)


def _limit(spec: LimitSpec) -> Limit:
    window = spec.window
    return Limit(
        name=spec.name,
        unit=spec.unit,
        amount=scaled(spec.amount, NANO_PER_USD if spec.unit is Unit.USD else 1),
        window=Calendar(window.calendar, window.time_zone if is_time_zone(window.time_zone) else "UTC")
        if window.calendar is not None
        else Rolling(milliseconds(window.rolling or "")),
    )


def _tenant_name(resource: BudgetResource) -> TenantName:
    return TenantName(resource.spec.tenant or resource.identity.name)


def _key_digests(resource: BudgetResource, inventory: Inventory) -> dict[int, str]:
    """Digests by the place in `apiKeys`. Keys that are missing are left out: api_keys_exist has warned of them."""
    namespace = resource.identity.namespace
    refs = [api_key.secret_ref for api_key in resource.spec.api_keys]
    found = {place: secret_value(namespace, ref, inventory.secrets) for place, ref in enumerate(refs)}
    return {place: wire.digest_in_secret(value) for place, value in found.items() if value}
