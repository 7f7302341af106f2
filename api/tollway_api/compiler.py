"""Resources to one snapshot, and the problems found on the way. An object with an error is left out and the
rest goes on. Pure and deterministic: the same inputs give the same bytes, whatever their order.

Called by the operator's reconcile, by `tollway serve` and by `tollway validate`.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from tollway_api import semantic_cache_index, wire
from tollway_api.budget_checks import BUDGET_CHECKS, is_time_zone
from tollway_api.catalog import CatalogEntry, ModelCatalog
from tollway_api.checks import BudgetResource, IndexResource, PolicyResource, World, secret_value
from tollway_api.controls import accuracy_control, quality_control
from tollway_api.index_checks import INDEX_CHECKS, embedding_price
from tollway_api.inventory import Inventory, Secrets
from tollway_api.meta import (
    Identity,
    ModelName,
    Resource,
    SecretKeyRef,
    Spec,
    TenantName,
    epoch_ms,
    milliseconds,
    scaled,
    share,
)
from tollway_api.model_order import price_of, steps, worth_their_price
from tollway_api.policy_checks import OPENAI_COMPATIBLE, POLICY_CHECKS
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.reach import PUBLIC, Reach
from tollway_api.route import Classifier, Examples, ExplicitModel, Sessions
from tollway_api.routing_policy import Aws as AwsSpec
from tollway_api.routing_policy import Cache as CacheSpec
from tollway_api.routing_policy import Capability, RoutingPolicySpec
from tollway_api.routing_policy import CircuitBreaker as CircuitBreakerSpec
from tollway_api.routing_policy import ExtraHeader as ExtraHeaderSpec
from tollway_api.routing_policy import Model as ModelSpec
from tollway_api.semantic_cache_index import EmbeddingProvider
from tollway_api.snapshot import (
    ACCESS_KEY_ID,
    NANO_PER_USD,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    Alias,
    Aws,
    CacheUse,
    Calendar,
    Canary,
    CircuitBreaker,
    Embedding,
    ExtraHeader,
    Fallback,
    Header,
    Index,
    IndexVersion,
    KeyFacts,
    Limit,
    Match,
    Model,
    OnExceeded,
    Policy,
    Protocol,
    Rolling,
    Route,
    SharedBudget,
    Snapshot,
    Source,
    Tenant,
)
from tollway_api.tenant_budget import ApiKey, BudgetScope, LedgerUnavailable, Unit
from tollway_api.tenant_budget import Limit as LimitSpec
from tollway_api.tenant_budget import OnExceeded as OnExceededSpec

# What is assumed of a model that neither the catalogue nor its owner describes.
DEFAULT_CONTEXT_WINDOW: Final = 32_768
DEFAULT_MAX_OUTPUT_TOKENS: Final = 4_096
# Where nobody says how much of the complex model's quality to keep.
DEFAULT_QUALITY: Final = "95%"
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
    """The snapshot of everything that is right, and a problem for everything that is not. Of files no namespace is the
    operator's own, so budgets for all may be in any. `reach`: where endpoints may be.
    """
    world = World(inventory, catalog, installation_namespace, is_of_files=is_of_files, reach=reach)
    problems: list[Problem] = []
    indexes = _accepted(inventory.indexes, INDEX_CHECKS, world, problems)
    world = replace(world, usable_indexes=frozenset(index.identity for index in indexes))
    policies = _accepted(inventory.policies, POLICY_CHECKS, world, problems)
    budgets = _accepted(inventory.budgets, BUDGET_CHECKS, world, problems)
    policies = _unshadowed(policies, problems)
    callers = _undisputed([each for each in budgets if not each.spec.is_shared], inventory, problems)
    shared = _not_too_many([each for each in budgets if each.spec.is_shared], problems)
    covering = _Covering(shared)
    made_of_callers = {each.identity: _tenant(each, inventory, covering.of(each)) for each in callers}
    made_of_shared = {each.identity: _shared_budget(each) for each in shared}
    problems += covering.idle()
    made_of_policies = {each.identity: _policy(each, world) for each in sorted(policies, key=_preference)}
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
        problems += found
        if all(problem.severity is Severity.WARNING for problem in found):
            kept.append(resource)
    return kept


def _unshadowed(policies: list[PolicyResource], problems: list[Problem]) -> list[PolicyResource]:
    """Drops the younger of two policies that no request could tell apart."""
    holders: dict[tuple[str, Match, int], PolicyResource] = {}
    for policy in policies:
        match = _match(policy)
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
        """The narrower scope first."""
        candidates = [*self._of_namespace.get(caller.identity.namespace, ()), *self._of_all]
        found = [each for each in candidates if _selects(each, caller.labels)]
        for each in found:
            self._idle.pop(each.identity, None)
        return found

    def idle(self) -> Iterator[Problem]:
        """Of those that select and have found nobody, once all tenants were asked about."""
        message = (
            "no tenant's TenantBudget has these labels, so nothing is counted; correct them, or label one"
        )
        for identity in self._idle:
            field = "spec.selector.matchLabels"
            yield Problem(identity, field, ProblemReason.INVALID, message, Severity.WARNING)


def _selects(budget: BudgetResource, labels: Mapping[str, str]) -> bool:
    selector = budget.spec.selector
    return selector is None or selector.match_labels.items() <= labels.items()


def _preference(policy: PolicyResource) -> tuple[int, int, tuple[str, str, str]]:
    """Higher priority first, then the more specific match, then the older."""
    return (-policy.spec.priority, -_match(policy).specificity, policy.seniority)


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


def _policy(resource: PolicyResource, world: World) -> Policy:
    spec, identity = resource.spec, resource.identity
    models = [_model(model, identity.namespace, world) for model in spec.models]
    # Nothing comes to a model that is tried out but its share.
    proven = [model.name for model in spec.models if model.canary is None]
    return Policy(
        namespace=identity.namespace,
        name=identity.name,
        match=_match(resource),
        priority=spec.priority,
        cache=_cache_use(spec.cache, identity.namespace, world),
        models={model.name: model for model in models},
        route=_route(spec, world.catalog),
        fallback=Fallback(
            order=tuple(map(ModelName, spec.fallback.order or proven)),
            max_fallbacks=spec.fallback.max_fallbacks,
            triggers=tuple(sorted(set(spec.fallback.triggers))),
            deadline_ms=milliseconds(spec.fallback.deadline),
            breaker=_breaker(spec.fallback.circuit_breaker),
            max_cooldown_ms=milliseconds(spec.fallback.max_cooldown),
        ),
    )


def _route(spec: RoutingPolicySpec, catalog: ModelCatalog) -> Route:
    asked = spec.route
    told, quality = asked.complexity, asked.quality
    simple_share, floor = asked.simple_share, asked.min_quality
    if floor is not None:
        simple_share = floor.min_simple_share
    elif told.classifier is Classifier.EMBEDDING and simple_share is None:
        quality = quality or DEFAULT_QUALITY
    examples = told.examples or Examples()
    by_price = worth_their_price(spec.models, catalog)
    simple, hard = asked.simple_model or by_price[0], asked.complex_model or by_price[-1]
    # Who names both wants these, and who gives a share says it of one model.
    has_steps = quality is not None and not (asked.simple_model and asked.complex_model)
    return Route(
        simple=ModelName(simple),
        complex=ModelName(hard),
        allow_explicit_model=asked.explicit_model is ExplicitModel.ALLOW,
        word_threshold=told.word_threshold,
        keywords=tuple(sorted({word.casefold() for word in told.keywords})),
        aliases=tuple(
            Alias(ModelName(each.name), ModelName(each.model))
            for each in sorted(asked.aliases, key=lambda alias: alias.name)
        ),
        canaries=tuple(
            Canary(ModelName(each.name), ModelName(each.canary.of), share(each.canary.share))
            for each in sorted(spec.models, key=lambda model: model.name)
            if each.canary is not None
        ),
        sticky=asked.sessions is Sessions.STICKY,
        classifier=told.classifier,
        quality=share(quality) if quality else None,
        simple_share=share(simple_share) if simple_share else None,
        simple_examples=tuple(examples.simple),
        complex_examples=tuple(examples.complex),
        weights=told.weights or "",
        steps=steps(spec.models, simple, hard, catalog) if has_steps else (),
        min_quality=quality_control(floor) if floor else None,
    )


def _breaker(spec: CircuitBreakerSpec) -> CircuitBreaker:
    return CircuitBreaker(
        failure_share=share(spec.failure_share),
        window_ms=milliseconds(spec.window),
        min_requests=spec.min_requests,
        open_for_ms=milliseconds(spec.open_for),
        half_open_probes=spec.half_open_probes,
    )


def _cache_use(spec: CacheSpec | None, namespace: str, world: World) -> CacheUse | None:
    if spec is None:
        return None
    if Identity(semantic_cache_index.KIND, namespace, spec.index_ref.name) not in world.usable_indexes:
        return None  # cache_index_exists has warned
    return CacheUse(
        index=f"{namespace}/{spec.index_ref.name}",
        mode=spec.mode,
        max_temperature=float(spec.max_temperature),
        time_dependent=spec.time_dependent,
        stale_if_error_ms=None if spec.stale_if_error is None else milliseconds(spec.stale_if_error),
    )


def _match(resource: PolicyResource) -> Match:
    match = resource.spec.match
    return Match(
        models=tuple(map(ModelName, match.models)),
        tenants=tuple(map(TenantName, match.tenants)),
        headers=tuple(Header(header.name.lower(), header.value) for header in match.headers),
    )


def _model(spec: ModelSpec, namespace: str, world: World) -> Model:
    provider = world.catalog.provider_of(spec.model) or ""
    entry = world.catalog.find(spec.model)
    direct = provider in OPENAI_COMPATIBLE
    price = price_of(spec, world.catalog)
    if price is None:
        raise AssertionError(f"prices_are_known let {spec.model} pass without a price")
    window = spec.context_window or (entry and entry.context_window) or DEFAULT_CONTEXT_WINDOW
    output = spec.max_output_tokens or (entry and entry.max_output_tokens) or DEFAULT_MAX_OUTPUT_TOKENS
    lacks, unproven = _incapable(spec, entry)
    # The catalogue's name for it, which LiteLLM itself does not know as a prefix.
    through = spec.model.replace("bedrock_converse/", "bedrock/converse/", 1)
    return Model(
        name=ModelName(spec.name),
        upstream_id=spec.model.removeprefix(f"{provider}/") if direct else through,
        protocol=Protocol.OPENAI if direct else Protocol.LITELLM,
        endpoint=spec.endpoint or OPENAI_COMPATIBLE.get(provider),
        api_key=secret_value(namespace, spec.credentials_ref, world.inventory.secrets)
        if spec.credentials_ref
        else None,
        price=price,
        context_window=window,
        max_output_tokens=output,
        timeout_ms=milliseconds(spec.timeout),
        api_key_from=spec.credentials_ref.place if spec.credentials_ref else "",
        lacks=lacks,
        unproven=unproven,
        first_token_ms=milliseconds(spec.first_token_timeout) if spec.first_token_timeout else None,
        endpoints=tuple(each for each in dict.fromkeys(spec.endpoints) if each != spec.endpoint),
        api_version=spec.api_version,
        aws=_aws(spec.aws, namespace, world.inventory.secrets) if spec.aws else None,
        extra_headers=tuple(
            _extra_header(each, namespace, world.inventory.secrets) for each in spec.extra_headers
        ),
        extra_body=json.loads(json.dumps(spec.extra_body or {}, sort_keys=True)),
        unknown_parameters=spec.unknown_parameters,
    )


def _incapable(
    spec: ModelSpec, entry: CatalogEntry | None
) -> tuple[tuple[Capability, ...], tuple[Capability, ...]]:
    """What a model surely cannot, and what nobody says it can: the user's word before the catalogue's."""
    if spec.capabilities is not None:
        return tuple(sorted(set(Capability) - set(spec.capabilities))), ()
    return (entry.lacks, entry.unproven) if entry is not None else ((), ())


def _aws(spec: AwsSpec, namespace: str, secrets: Secrets) -> Aws:
    if spec.credentials_ref is None:
        return Aws(spec.region)
    name = spec.credentials_ref.name
    access_key_id, secret_access_key, session_token = (
        secret_value(namespace, SecretKeyRef(name=name, key=key), secrets)
        for key in (ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN)
    )
    return Aws(spec.region, access_key_id, secret_access_key, session_token, name)


def _extra_header(spec: ExtraHeaderSpec, namespace: str, secrets: Secrets) -> ExtraHeader:
    ref = spec.secret_ref
    if ref is None:
        return ExtraHeader(spec.name, spec.value)
    return ExtraHeader(spec.name, secret_value(namespace, ref, secrets), ref.place)


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
    """By the place in `apiKeys`. Of those that are there: api_keys_exist has warned of the others."""
    namespace = resource.identity.namespace
    refs = [api_key.secret_ref for api_key in resource.spec.api_keys]
    found = {place: secret_value(namespace, ref, inventory.secrets) for place, ref in enumerate(refs)}
    return {place: wire.digest_in_secret(value) for place, value in found.items() if value}
