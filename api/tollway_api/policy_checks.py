"""What is checked of a RoutingPolicy beside the rest of the world. See `checks`."""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import chain
from typing import Final

from tollway_api import own_weights, semantic_cache_index
from tollway_api.catalog import ModelCatalog
from tollway_api.checks import (
    PolicyResource,
    World,
    credentials,
    may_be_asked,
    secret_exists,
    secret_value,
    suggestion,
)
from tollway_api.meta import Identity, SecretKeyRef
from tollway_api.model_order import cost_of, price_of
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.routing_policy import Model
from tollway_api.snapshot import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from tollway_api.tenant_budget import AUTO

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
# Of these LiteLLM prefers what it finds in its process's environment to the key that it is given, so whoever writes a
# policy could have that sent to a server of their own.
_PREFER_OUR_KEYS: Final = frozenset({"gigachat", "watsonx"})
_PREFERS_OUR_KEYS_TO_AN_ACCOUNT: Final = "bedrock_mantle"
# Of these LiteLLM has what is added to a body among its own arguments, and sends only what is none.
_TAKE_ARGUMENTS: Final = frozenset({"anthropic", "bedrock", "bedrock_converse"})


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
            f"{wanted.namespace!r}{suggestion(wanted.name, names)}"
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
            message = f"names no model of this policy: {name!r}{suggestion(name, names)}"
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


def endpoints_are_sent_no_key_of_ours(policy: PolicyResource, world: World) -> Iterator[Problem]:
    for place, model in enumerate(policy.spec.models):
        provider = world.catalog.provider_of(model.model) or ""
        mended = ""
        if provider == _PREFERS_OUR_KEYS_TO_AN_ACCOUNT and model.credentials_ref is None:
            mended = ", or give credentialsRef, a Bedrock API key"
        elif provider not in _PREFER_OUR_KEYS:
            continue
        if model.endpoint is not None:
            message = (
                f"cannot be given of provider {provider!r}, because a key of the data plane's own could be sent "
                f"there; leave it out{mended}"
            )
            yield Problem(policy.identity, f"spec.models[{place}].endpoint", ProblemReason.INVALID, message)


def endpoints_may_be_asked(policy: PolicyResource, world: World) -> Iterator[Problem]:
    for place, model in enumerate(policy.spec.models):
        field = f"spec.models[{place}].endpoint"
        yield from may_be_asked(policy.identity, field, model.endpoint, world.reach)
        for which, endpoint in enumerate(model.endpoints):
            yield from may_be_asked(policy.identity, f"{field}s[{which}]", endpoint, world.reach)


def credentials_exist(policy: PolicyResource, world: World) -> Iterator[Problem]:
    for place, model in enumerate(policy.spec.models):
        field = f"spec.models[{place}]"
        yield from credentials(policy, f"{field}.credentialsRef", model.credentials_ref, world)
        for at, header in enumerate(model.extra_headers):
            ref = header.secret_ref
            yield from credentials(policy, f"{field}.extraHeaders[{at}].secretRef", ref, world)
            value = secret_value(policy.identity.namespace, ref, world.inventory.secrets) if ref else ""
            if not re.fullmatch(r"[ -~]{0,8192}", value):
                message = "is no value of a header; use at most 8192 printable ASCII characters"
                where = f"{field}.extraHeaders[{at}].secretRef.key"
                yield Problem(policy.identity, where, ProblemReason.INVALID, message)
        if model.aws is not None and (of_aws := model.aws.credentials_ref) is not None:
            refs = [SecretKeyRef(name=of_aws.name, key=key) for key in (ACCESS_KEY_ID, SECRET_ACCESS_KEY)]
            of_both = [secret_exists(policy, f"{field}.aws.credentialsRef", ref, world) for ref in refs]
            # What is wrong with the Secret itself is so for both keys.
            yield from dict.fromkeys(chain.from_iterable(of_both))


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
        if provider == "sagemaker":
            message = (
                "is on Amazon SageMaker, which Tollway could only ask by the data plane's own identity, and that is "
                "lent to no policy; put a server before it that speaks OpenAI's protocol"
            )
            yield Problem(policy.identity, f"{field}.model", ProblemReason.INVALID, message)


def extra_fields_reach_the_provider(policy: PolicyResource, world: World) -> Iterator[Problem]:
    for place, model in enumerate(policy.spec.models):
        provider = world.catalog.provider_of(model.model) or ""
        for name in model.extra_body or () if provider in _TAKE_ARGUMENTS else ():
            if name in world.catalog.arguments or name.startswith("aws_"):
                message = (
                    f"never reaches provider {provider!r}: it is an argument of LiteLLM's own, by which that is asked; "
                    "leave it out"
                )
                field = f"spec.models[{place}].extraBody.{name}"
                yield Problem(policy.identity, field, ProblemReason.INVALID, message)


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
    endpoints_are_sent_no_key_of_ours,
    endpoints_may_be_asked,
    credentials_exist,
    providers_are_told_what_they_need,
    extra_fields_reach_the_provider,
]


def _is_known(model: Model, catalog: ModelCatalog) -> bool:
    described = model.endpoint or model.pricing or catalog.find(model.model)
    return bool(described) and catalog.provider_of(model.model) is not None
