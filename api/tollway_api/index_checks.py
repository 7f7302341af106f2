"""What is checked of a SemanticCacheIndex beside the rest of the world, and what its embedding costs. See `checks`."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from tollway_api.catalog import ModelCatalog
from tollway_api.checks import (
    IndexResource,
    World,
    credentials,
    may_be_asked,
    suggestion,
)
from tollway_api.model_order import pico_usd
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.semantic_cache_index import Embedding, EmbeddingProvider

# What the data plane can compute by itself, and the length of its vectors.
LOCAL_EMBEDDINGS: Final[Mapping[str, int]] = {"all-MiniLM-L6-v2": 384, "wordllama": 256}


def embedding_price(embedding: Embedding, catalog: ModelCatalog) -> int:
    """Pico-USD per token. Whose price nobody says is somebody's own, such as a server in the cluster, and free."""
    if embedding.pricing is not None:
        return pico_usd(embedding.pricing.input)
    entry = catalog.find(embedding.model)
    return entry.price.input if entry is not None and entry.price is not None else 0


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
    yield from may_be_asked(
        index.identity, "spec.embedding.endpoint", index.spec.embedding.endpoint, world.reach
    )


def embedding_credentials_exist(index: IndexResource, world: World) -> Iterator[Problem]:
    yield from credentials(
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
            hint = suggestion(wanted or "", names)
            message = (
                f"its hits through {policy.identity} are not judged, which has no model {wanted!r}{hint}"
            )
            field, reason = "spec.accuracy.judge.model", ProblemReason.UNKNOWN_MODEL
            yield Problem(index.identity, field, reason, message, Severity.WARNING)


INDEX_CHECKS: Final[list[Callable[[IndexResource, World], Iterator[Problem]]]] = [
    strict_threshold_is_stricter,
    local_embedding_is_known,
    embedding_endpoint_may_be_asked,
    embedding_credentials_exist,
    judge_model_is_offered,
]
