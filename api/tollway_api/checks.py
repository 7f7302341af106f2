"""The checks across objects, as small named functions in three literal lists. Each looks at one object and
the rest of the world and yields what is wrong; its message goes to users as it is. To add a check, write
a function and add it to a list.

Called by the compiler, after every object has passed its own schema.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from tollway_api import own_weights, semantic_cache_index, wire
from tollway_api.catalog import ModelCatalog
from tollway_api.inventory import Inventory, Secrets
from tollway_api.meta import Identity, Resource, SecretKeyRef
from tollway_api.model_order import cost_of, pico_usd, price_of
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.reach import PUBLIC, Reach
from tollway_api.routing_policy import Model, RoutingPolicySpec
from tollway_api.semantic_cache_index import Embedding, EmbeddingProvider, SemanticCacheIndexSpec
from tollway_api.snapshot import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from tollway_api.tenant_budget import AUTO, BudgetScope, TenantBudgetSpec, Unit

IndexResource = Resource[SemanticCacheIndexSpec]
BudgetResource = Resource[TenantBudgetSpec]
PolicyResource = Resource[RoutingPolicySpec]

# Providers that speak OpenAI's protocol, with the base URL that needs no saying.
OPENAI_COMPATIBLE: Final[Mapping[str, str | None]] = {
    "openai": "https://api.openai.com/v1",
    "openai_like": None,
    "hosted_vllm": None,
    "lm_studio": None,
}

# Those whose address is each account's own.
_WITHOUT_ENDPOINT: Final = frozenset({"azure", "azure_ai", "azure_text"}) | {
    provider for provider, endpoint in OPENAI_COMPATIBLE.items() if endpoint is None
}
_AZURE: Final = frozenset({"azure", "azure_text"})

# Read once: the set is a constant of the installed time-zone data.
_TIME_ZONES: Final = frozenset(available_timezones())

# What the data plane can compute by itself, and the length of its vectors.
LOCAL_EMBEDDINGS: Final[Mapping[str, int]] = {"all-MiniLM-L6-v2": 384, "wordllama": 256}


@dataclass(frozen=True, slots=True)
class World:
    """What a check may look at besides its own object."""

    inventory: Inventory
    catalog: ModelCatalog
    installation_namespace: str
    usable_indexes: frozenset[Identity] = frozenset()  # those that passed their own checks
    is_of_files: bool = False  # where no namespace is the operator's own
    reach: Reach = PUBLIC  # where endpoints may be


def embedding_price(embedding: Embedding, catalog: ModelCatalog) -> int:
    """Pico-USD per token. Whose price nobody says is somebody's own, such as a server in the cluster, and free."""
    if embedding.pricing is not None:
        return pico_usd(embedding.pricing.input)
    entry = catalog.find(embedding.model)
    return entry.price.input if entry is not None and entry.price is not None else 0


def may_govern(policy: PolicyResource, budget: BudgetResource, installation_namespace: str) -> bool:
    """A policy governs tenants of its own namespace; one in the installation's namespace governs all. Of a shared
    budget: whether it may govern somebody whom that covers.
    """
    own = policy.identity.namespace in {budget.identity.namespace, installation_namespace}
    if budget.spec.is_shared:
        return own or budget.spec.scope is BudgetScope.INSTALLATION
    tenants = policy.spec.match.tenants
    return own and (not tenants or (budget.spec.tenant or budget.identity.name) in tenants)


# --- SemanticCacheIndex ------------------------------------------------------------------------------------


def strict_threshold_is_stricter(index: IndexResource, _: World) -> Iterator[Problem]:
    match = index.spec.match
    if Decimal(match.threshold) >= Decimal(match.strict_threshold):
        message = (
            f"is {match.threshold}, which is not below strictThreshold {match.strict_threshold}; "
            "lower threshold or raise strictThreshold"
        )
        yield Problem(index.identity, "spec.match.threshold", ProblemReason.THRESHOLD_ORDER, message)


def local_embedding_is_known(index: IndexResource, _: World) -> Iterator[Problem]:
    embedding = index.spec.embedding
    if embedding.provider is not EmbeddingProvider.LOCAL:
        return
    if embedding.pricing is not None:
        message = "a local embedding costs nothing; leave pricing out"
        yield Problem(index.identity, "spec.embedding.pricing", ProblemReason.INVALID, message)
    dimensions = LOCAL_EMBEDDINGS.get(embedding.model)
    if dimensions is None:
        message = f"no local embedding model {embedding.model!r}; known: {', '.join(LOCAL_EMBEDDINGS)}"
        yield Problem(index.identity, "spec.embedding.model", ProblemReason.UNKNOWN_MODEL, message)
    elif dimensions != embedding.dimensions:
        message = f"is {embedding.dimensions}, but {embedding.model} has {dimensions}; write {dimensions}"
        yield Problem(index.identity, "spec.embedding.dimensions", ProblemReason.INVALID, message)


def embedding_endpoint_may_be_asked(index: IndexResource, world: World) -> Iterator[Problem]:
    yield from _may_be_asked(
        index.identity, "spec.embedding.endpoint", index.spec.embedding.endpoint, world.reach
    )


def embedding_credentials_exist(index: IndexResource, world: World) -> Iterator[Problem]:
    yield from _credentials(
        index, "spec.embedding.credentialsRef", index.spec.embedding.credentials_ref, world
    )


def judge_model_is_offered(index: IndexResource, world: World) -> Iterator[Problem]:
    """Hits of a policy that lacks it are served and never judged."""
    judge = index.spec.accuracy.judge if index.spec.accuracy else None
    wanted = judge.model if judge else None
    for policy in world.inventory.policies if wanted else ():
        cache = policy.spec.cache
        uses = cache is not None and cache.index_ref.name == index.identity.name
        if not uses or policy.identity.namespace != index.identity.namespace:
            continue
        names = [model.name for model in policy.spec.models]
        if wanted not in names:
            hint = _hint(wanted or "", names)
            message = (
                f"its hits through {policy.identity} are not judged, which has no model {wanted!r}{hint}"
            )
            field, reason = "spec.accuracy.judge.model", ProblemReason.UNKNOWN_MODEL
            yield Problem(index.identity, field, reason, message, Severity.WARNING)


# --- RoutingPolicy -----------------------------------------------------------------------------------------


def cache_index_exists(policy: PolicyResource, world: World) -> Iterator[Problem]:
    """Whatever became of the index, by somebody else's mistake or will, this policy's traffic goes on."""
    cache = policy.spec.cache
    if cache is None:
        return
    wanted = Identity(semantic_cache_index.KIND, policy.identity.namespace, cache.index_ref.name)
    if wanted in world.usable_indexes:
        return
    known = {index.identity for index in world.inventory.indexes} | world.inventory.unparsed
    if wanted in known:
        message = f"{wanted} has an error, so this policy runs without a cache until it is mended"
    else:
        names = [
            each.name for each in known if (each.kind, each.namespace) == (wanted.kind, wanted.namespace)
        ]
        message = (
            f"this policy runs without a cache until there is a {wanted.kind} {wanted.name!r} in namespace "
            f"{wanted.namespace!r}{_hint(wanted.name, names)}"
        )
    field = "spec.cache.indexRef.name"
    yield Problem(policy.identity, field, ProblemReason.UNKNOWN_REFERENCE, message, Severity.WARNING)


def model_names_are_defined(policy: PolicyResource, _: World) -> Iterator[Problem]:
    names = [model.name for model in policy.spec.models]
    route, order = policy.spec.route, policy.spec.fallback.order
    used = [("spec.route.simpleModel", route.simple_model), ("spec.route.complexModel", route.complex_model)]
    used += [(f"spec.fallback.order[{place}]", name) for place, name in enumerate(order)]
    used += [
        (f"spec.route.aliases[{place}].model", alias.model)
        for place, alias in enumerate(route.aliases)
        if alias.model != AUTO
    ]
    used += [
        (f"spec.models[{place}].canary.of", model.canary.of)
        for place, model in enumerate(policy.spec.models)
        if model.canary
    ]
    if route.min_quality is not None:
        used.append(("spec.route.minQuality.judge.model", route.min_quality.judge.model))
    for field, name in used:
        if name is not None and name not in names:
            message = f"names no model of this policy: {name!r}{_hint(name, names)}"
            yield Problem(policy.identity, field, ProblemReason.UNKNOWN_REFERENCE, message)


def canaries_stand_beside_models(policy: PolicyResource, _: World) -> Iterator[Problem]:
    """What is tried out takes from what is not, and no more than there is."""
    models, route = policy.spec.models, policy.spec.route
    tried = {model.name for model in models if model.canary}
    shares: dict[str, Decimal] = {}
    for place, model in enumerate(models):
        if (canary := model.canary) is None:
            continue
        field = f"spec.models[{place}].canary"
        if canary.of in tried:
            message = f"{canary.of!r} is itself a canary; name the model that it is one of"
            yield Problem(policy.identity, f"{field}.of", ProblemReason.INVALID, message)
        shares[canary.of] = shares.get(canary.of, Decimal(0)) + Decimal(canary.share.removesuffix("%"))
        if shares[canary.of] > 100:
            total = f"{shares[canary.of]}%"
            message = f"the canaries of {canary.of!r} take {total} of it; lower their shares to 100% together"
            yield Problem(policy.identity, f"{field}.share", ProblemReason.INVALID, message)
    for field, name in (("simpleModel", route.simple_model), ("complexModel", route.complex_model)):
        if name in tried:
            message = (
                f"{name!r} is tried out on a share of another model; name that one, or remove its canary"
            )
            yield Problem(policy.identity, f"spec.route.{field}", ProblemReason.INVALID, message)


def aliases_are_names_of_their_own(policy: PolicyResource, _: World) -> Iterator[Problem]:
    names = {model.name for model in policy.spec.models}
    asked = policy.spec.match.models
    for place, alias in enumerate(policy.spec.route.aliases):
        field = f"spec.route.aliases[{place}].name"
        if alias.name in names:
            message = f"{alias.name!r} is a model of this policy; give the model, or the alias, another name"
            yield Problem(policy.identity, field, ProblemReason.INVALID, message)
        elif asked and alias.name not in asked:
            message = f"no request for {alias.name!r} comes to this policy until match.models has it"
            yield Problem(policy.identity, field, ProblemReason.INVALID, message, Severity.WARNING)


def named_models_are_worth_their_price(policy: PolicyResource, world: World) -> Iterator[Problem]:
    """Of the two that are named the dearer one is not said to be no better."""
    route, by_name = policy.spec.route, {model.name: model for model in policy.spec.models}
    simple, hard = by_name.get(route.simple_model or ""), by_name.get(route.complex_model or "")
    if simple is None or hard is None or simple is hard:
        return
    named = [("spec.route.simpleModel", simple), ("spec.route.complexModel", hard)]
    (_, cheap), (field, dear) = sorted(named, key=lambda each: cost_of(each[1], world.catalog))
    if cheap.quality and dear.quality and Decimal(dear.quality) <= Decimal(cheap.quality):
        message = (
            f"{dear.name!r} costs no less than {cheap.name!r} and is said to be no better ({dear.quality} to "
            f"{cheap.quality}); name another model, or correct models[].quality"
        )
        yield Problem(policy.identity, field, ProblemReason.INVALID, message)


def weights_are_of_this_version(policy: PolicyResource, _: World) -> Iterator[Problem]:
    """Weights of another version are no error: a newer one must not turn away the traffic of who has fitted some."""
    weights, field = policy.spec.route.complexity.weights, "spec.route.complexity.weights"
    if weights is None:
        return
    try:
        own_weights.read(weights)
    except own_weights.OtherWeightsError as other:
        yield Problem(policy.identity, field, ProblemReason.INVALID, str(other), Severity.WARNING)
    except own_weights.DamagedWeightsError as damaged:
        yield Problem(policy.identity, field, ProblemReason.INVALID, str(damaged))


def models_are_known(policy: PolicyResource, world: World) -> Iterator[Problem]:
    """The catalogue knows a model, or its owner says where it is or what it costs."""
    for place, model in enumerate(policy.spec.models):
        if _is_known(model, world.catalog):
            continue
        similar = world.catalog.similar(model.model)
        message = (
            f"unknown model id {model.model!r}"
            + (f"; did you mean {similar!r}?" if similar else ".")
            + ' For a model of your own write "openai/<its id>" and give endpoint and pricing'
        )
        field = f"spec.models[{place}].model"
        yield Problem(policy.identity, field, ProblemReason.UNKNOWN_MODEL, message)


def prices_are_known(policy: PolicyResource, world: World) -> Iterator[Problem]:
    for place, model in enumerate(policy.spec.models):
        if _is_known(model, world.catalog) and price_of(model, world.catalog) is None:
            message = (
                f"nobody says what {model.model!r} costs, and a budget cannot hold an unknown price; "
                'give pricing: {input: "…", output: "…"} in USD per million tokens ("0" when it is free)'
            )
            field = f"spec.models[{place}].pricing"
            yield Problem(policy.identity, field, ProblemReason.UNKNOWN_PRICE, message)


def endpoints_are_known(policy: PolicyResource, world: World) -> Iterator[Problem]:
    for place, model in enumerate(policy.spec.models):
        provider = world.catalog.provider_of(model.model) or ""
        if model.endpoint is None and provider in _WITHOUT_ENDPOINT:
            message = f"is required: provider {provider!r} has no endpoint of its own"
            yield Problem(policy.identity, f"spec.models[{place}].endpoint", ProblemReason.INVALID, message)


def endpoints_may_be_asked(policy: PolicyResource, world: World) -> Iterator[Problem]:
    for place, model in enumerate(policy.spec.models):
        field = f"spec.models[{place}].endpoint"
        yield from _may_be_asked(policy.identity, field, model.endpoint, world.reach)
        for which, endpoint in enumerate(model.endpoints):
            yield from _may_be_asked(policy.identity, f"{field}s[{which}]", endpoint, world.reach)


def credentials_exist(policy: PolicyResource, world: World) -> Iterator[Problem]:
    for place, model in enumerate(policy.spec.models):
        field = f"spec.models[{place}]"
        yield from _credentials(policy, f"{field}.credentialsRef", model.credentials_ref, world)
        for at, header in enumerate(model.extra_headers):
            ref = header.secret_ref
            yield from _credentials(policy, f"{field}.extraHeaders[{at}].secretRef", ref, world)
            value = secret_value(policy.identity.namespace, ref, world.inventory.secrets) if ref else ""
            if not re.fullmatch(r"[ -~]{0,8192}", value):
                message = "is no value of a header; use at most 8192 printable ASCII characters"
                where = f"{field}.extraHeaders[{at}].secretRef.key"
                yield Problem(policy.identity, where, ProblemReason.INVALID, message)
        if model.aws is not None and (of_aws := model.aws.credentials_ref) is not None:
            for key in (ACCESS_KEY_ID, SECRET_ACCESS_KEY):
                ref = SecretKeyRef(name=of_aws.name, key=key)
                yield from _secret_exists(policy, f"{field}.aws.credentialsRef", ref, world)


def providers_are_told_what_they_need(policy: PolicyResource, world: World) -> Iterator[Problem]:
    """And are not told what they have no use for."""
    for place, model in enumerate(policy.spec.models):
        provider, field = world.catalog.provider_of(model.model) or "", f"spec.models[{place}]"
        is_of_aws = provider.startswith("bedrock")
        if is_of_aws and model.aws is None:
            message = (
                'is required of a model on Amazon Bedrock: say its region, like {region: "eu-central-1"}'
            )
            yield Problem(policy.identity, f"{field}.aws", ProblemReason.INVALID, message)
        elif is_of_aws and not (model.credentials_ref or (model.aws and model.aws.credentials_ref)):
            message = (
                "is required of a model on Amazon Bedrock, unless credentialsRef is a Bedrock API key; "
                "the data plane's own identity is lent to no policy"
            )
            yield Problem(
                policy.identity, f"{field}.aws.credentialsRef", ProblemReason.MISSING_SECRET, message
            )
        elif model.aws is not None and not is_of_aws:
            message = f"says nothing to provider {provider!r}, which is not Amazon Bedrock; leave it out"
            yield Problem(policy.identity, f"{field}.aws", ProblemReason.INVALID, message)
        if model.api_version is not None and provider not in _AZURE:
            message = f"says nothing to provider {provider!r}, which is not Azure; leave it out"
            yield Problem(policy.identity, f"{field}.apiVersion", ProblemReason.INVALID, message)
        if provider.startswith("vertex_ai"):
            message = (
                'is on Vertex AI, whose accounts\' keys Tollway cannot use yet; write "gemini/<its id>" with a key '
                "of the Gemini API"
            )
            yield Problem(policy.identity, f"{field}.model", ProblemReason.INVALID, message)


# --- TenantBudget ------------------------------------------------------------------------------------------


def only_the_operator_limits_all(budget: BudgetResource, world: World) -> Iterator[Problem]:
    """Who may write in a namespace shall not stop others' tenants."""
    own = world.installation_namespace
    if (
        budget.spec.scope is BudgetScope.INSTALLATION
        and budget.identity.namespace != own
        and not world.is_of_files
    ):
        message = (
            f"Installation counts the requests of all namespaces, so such a budget is taken in namespace {own!r} "
            "alone; move it there, or write Namespace"
        )
        yield Problem(budget.identity, "spec.scope", ProblemReason.INVALID, message)


def api_keys_exist(budget: BudgetResource, world: World) -> Iterator[Problem]:
    """A key that is missing beside one that is there, as in a rotation, takes nothing from who has the other."""
    namespace = budget.identity.namespace
    values = [
        secret_value(namespace, each.secret_ref, world.inventory.secrets) for each in budget.spec.api_keys
    ]
    for place, (api_key, key) in enumerate(zip(budget.spec.api_keys, values, strict=True)):
        ref = api_key.secret_ref
        for found in _secret_exists(budget, f"spec.apiKeys[{place}].secretRef", ref, world):
            lacks = found.reason in {ProblemReason.MISSING_SECRET, ProblemReason.UNREADABLE_SECRET}
            yield replace(found, severity=Severity.WARNING) if lacks and any(values) else found
        if key.startswith(wire.DIGEST_PREFIX) and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", key):
            message = f"Secret {ref.name!r} has a digest that is not sha256: and 64 hex digits"
        elif not re.fullmatch(r"[ -~]{0,512}", key):
            message = f"Secret {ref.name!r} has a key no caller can send; use at most 512 printable ASCII characters"
        else:
            continue
        yield Problem(budget.identity, f"spec.apiKeys[{place}].secretRef.key", ProblemReason.INVALID, message)


def time_zones_are_known(budget: BudgetResource, _: World) -> Iterator[Problem]:
    for place, limit in enumerate(budget.spec.limits):
        zone = limit.window.time_zone
        if not is_time_zone(zone):
            message = f"{zone!r} is not an IANA time zone{_zone_hint(zone)}"
            message += "; until then its day is that of UTC" if budget.spec.is_shared else ""
            field = f"spec.limits[{place}].window.timeZone"
            yield Problem(budget.identity, field, ProblemReason.INVALID, message, _severity(budget))


def model_names_are_offered(budget: BudgetResource, world: World) -> Iterator[Problem]:
    """A tenant's own choice of model must exist in some policy that may govern it."""
    policies = [
        each for each in world.inventory.policies if may_govern(each, budget, world.installation_namespace)
    ]
    offered = sorted({model.name for policy in policies for model in policy.spec.models})
    wanted = [
        ("spec.preferredModel", budget.spec.preferred_model),
        ("spec.onExceeded.model", budget.spec.on_exceeded.model),
    ]
    for field, name in wanted:
        if policies and name is not None and name != AUTO and name not in offered:
            message = (
                f"no RoutingPolicy that may govern {_whom(budget)} has a model {name!r}{_hint(name, offered)}"
            )
            message += "; until then who exceeds it is rejected" if budget.spec.is_shared else ""
            yield Problem(budget.identity, field, ProblemReason.UNKNOWN_REFERENCE, message, _severity(budget))


def currency_limits_meet_known_prices(budget: BudgetResource, world: World) -> Iterator[Problem]:
    """The policy itself is refused for it; this tells the owner of the budget why requests find no policy."""
    counted = next((limit for limit in budget.spec.limits if limit.unit is Unit.USD), None)
    if counted is None:
        return
    for policy in world.inventory.policies:
        if not may_govern(policy, budget, world.installation_namespace):
            continue
        for model in policy.spec.models:
            if price_of(model, world.catalog) is None:
                message = (
                    f"limit {counted.name!r} counts USD, but model {model.name!r} of {policy.identity}, "
                    f"which may govern {_whom(budget)}, has no known price; that policy is refused until it does"
                )
                field = f"spec.limits[{budget.spec.limits.index(counted)}]"
                yield Problem(budget.identity, field, ProblemReason.UNKNOWN_PRICE, message, Severity.WARNING)


INDEX_CHECKS: Final[list[Callable[[IndexResource, World], Iterator[Problem]]]] = [
    strict_threshold_is_stricter,
    local_embedding_is_known,
    embedding_endpoint_may_be_asked,
    embedding_credentials_exist,
    judge_model_is_offered,
]
POLICY_CHECKS: Final[list[Callable[[PolicyResource, World], Iterator[Problem]]]] = [
    cache_index_exists,
    model_names_are_defined,
    canaries_stand_beside_models,
    aliases_are_names_of_their_own,
    named_models_are_worth_their_price,
    weights_are_of_this_version,
    models_are_known,
    prices_are_known,
    endpoints_are_known,
    endpoints_may_be_asked,
    credentials_exist,
    providers_are_told_what_they_need,
]
BUDGET_CHECKS: Final[list[Callable[[BudgetResource, World], Iterator[Problem]]]] = [
    only_the_operator_limits_all,
    api_keys_exist,
    time_zones_are_known,
    model_names_are_offered,
    currency_limits_meet_known_prices,
]


def is_time_zone(name: str) -> bool:
    return name in _TIME_ZONES


def _severity(budget: BudgetResource) -> Severity:
    """Of what a budget can be without. A shared one that were left out for it, perhaps by an edit of somebody's policy,
    would let those spend without end whom it is to hold.
    """
    return Severity.WARNING if budget.spec.is_shared else Severity.ERROR


def _whom(budget: BudgetResource) -> str:
    return "a tenant that it covers" if budget.spec.is_shared else "this tenant"


def _is_known(model: Model, catalog: ModelCatalog) -> bool:
    described = model.endpoint or model.pricing or catalog.find(model.model)
    return bool(described) and catalog.provider_of(model.model) is not None


def secret_value(namespace: str, ref: SecretKeyRef, secrets: Secrets) -> str:
    """What the Secret holds there, without blanks around it; empty where there is none."""
    return secrets.get((namespace, ref.name), {}).get(ref.key, "").strip()


def _may_be_asked(owner: Identity, field: str, endpoint: str | None, reach: Reach) -> Iterator[Problem]:
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


def _credentials(
    owner: PolicyResource | IndexResource, field: str, ref: SecretKeyRef | None, world: World
) -> Iterator[Problem]:
    """Of a key that a provider is to be given."""
    if ref is None:
        return
    yield from _secret_exists(owner, field, ref, world)
    if secret_value(owner.identity.namespace, ref, world.inventory.secrets).startswith(wire.DIGEST_PREFIX):
        message = f"Secret {ref.name!r} has only a digest under {ref.key!r}, which no provider takes"
        yield Problem(owner.identity, f"{field}.key", ProblemReason.MISSING_SECRET, message)


def _secret_exists(
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
        message = f"Secret {ref.name!r} has nothing under {ref.key!r}{_hint(ref.key, others)}"
        yield Problem(owner.identity, f"{field}.key", ProblemReason.MISSING_SECRET, message)


def _hint(name: str, known: list[str]) -> str:
    """The likely correction, or what there is to choose from."""
    if close := get_close_matches(name, known, n=1, cutoff=0.6):
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(sorted(known))}" if known else "; there is none"


def _zone_hint(zone: str) -> str:
    close = get_close_matches(zone, _TIME_ZONES, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else '; write it like "UTC" or "Europe/Berlin"'
