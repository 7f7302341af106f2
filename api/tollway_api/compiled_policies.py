"""A policy as the snapshot has it: what it matches, which models it asks, how it routes and falls back. Pure; called by
`compiler`, once the policy has passed its checks.
"""

import json
from typing import Final

from tollway_api import semantic_cache_index
from tollway_api.catalog import CatalogEntry, ModelCatalog
from tollway_api.checks import PolicyResource, World, secret_value
from tollway_api.controls import quality_control
from tollway_api.inventory import Secrets
from tollway_api.meta import Identity, ModelName, SecretKeyRef, TenantName, milliseconds, share
from tollway_api.model_order import price_of, steps, worth_their_price
from tollway_api.policy_checks import OPENAI_COMPATIBLE
from tollway_api.route import Classifier, Examples, ExplicitModel, Sessions
from tollway_api.routing_policy import Aws as AwsSpec
from tollway_api.routing_policy import Cache as CacheSpec
from tollway_api.routing_policy import Capability, RoutingPolicySpec
from tollway_api.routing_policy import CircuitBreaker as CircuitBreakerSpec
from tollway_api.routing_policy import ExtraHeader as ExtraHeaderSpec
from tollway_api.routing_policy import Model as ModelSpec
from tollway_api.snapshot import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    Alias,
    Aws,
    CacheUse,
    Canary,
    CircuitBreaker,
    ExtraHeader,
    Fallback,
    Header,
    Match,
    Model,
    Policy,
    Protocol,
    Route,
)

# What is assumed of a model that neither the catalogue nor its owner describes.
DEFAULT_CONTEXT_WINDOW: Final = 32_768
DEFAULT_MAX_OUTPUT_TOKENS: Final = 4_096
# Where nobody says how much of the complex model's quality to keep.
DEFAULT_QUALITY: Final = "95%"


def compiled_policy(resource: PolicyResource, world: World) -> Policy:
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
