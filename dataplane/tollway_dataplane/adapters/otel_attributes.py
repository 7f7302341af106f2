"""What is said of a call of a model, by OpenTelemetry's semantic conventions for generative AI (v0.1.0 of
open-telemetry/semantic-conventions-genai). Never what was asked or answered: texts that a caller may set, such as stop
sequences, are left out although the conventions have names for them.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from tollway_api.semantic_cache_index import EmbeddingProvider
from tollway_api.snapshot import Embedding, Model, Protocol
from tollway_dataplane.core.facts import OUTPUT_LIMITS, JsonObject, Operation, Usage

Attributes = dict[str, str | int | float | bool | tuple[str, ...]]

OPERATIONS: Final = {Operation.CHAT: "chat", Operation.EMBEDDINGS: "embeddings"}
# The conventions' names for providers, by LiteLLM's. Others are called as LiteLLM does.
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
_NUMBERS: Final = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
    **dict.fromkeys(OUTPUT_LIMITS, "gen_ai.request.max_tokens"),
}
# A provider says these of itself, and nobody knows what it may say.
_MOST_CHARACTERS: Final = 128
_PORTS: Final = {"http": 80, "https": 443}


def of_call(model: Model, operation: Operation, fields: JsonObject) -> Attributes:
    """Of the model, and of the numbers that it is sent."""
    provider, name = _named(model)
    found: Attributes = {
        "gen_ai.operation.name": OPERATIONS[operation],
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": name,
        "tollway.model": model.name,
        **_server(model.endpoint),
    }
    for field, attribute in _NUMBERS.items():
        value = fields.get(field)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and -_LARGEST < value < _LARGEST and (field, value) != ("n", 1):  # type: ignore[operator]  # mypy does not see that it is one
            found[attribute] = value  # type: ignore[assignment]  # nor here
    return found


# Integers of OTLP have 64 bits.
_LARGEST: Final = 2**63


def of_embedding(embedding: Embedding) -> Attributes:
    is_local = embedding.provider is EmbeddingProvider.LOCAL
    return {
        "gen_ai.operation.name": OPERATIONS[Operation.EMBEDDINGS],
        "gen_ai.provider.name": "tollway" if is_local else "openai",
        "gen_ai.request.model": embedding.model,
        "gen_ai.embeddings.dimension.count": embedding.dimensions,
        **_server(embedding.endpoint),
    }


def of_answer(usage: Usage, answer: Mapping[str, object], finish_reason: str | None) -> Attributes:
    found: Attributes = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "tollway.usage.estimated": usage.estimated,
    }
    parts = {
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_write.input_tokens": usage.written_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    found |= {name: tokens for name, tokens in parts.items() if tokens}
    for field, attribute in (("id", "gen_ai.response.id"), ("model", "gen_ai.response.model")):
        if isinstance(value := answer.get(field), str):
            found[attribute] = value[:_MOST_CHARACTERS]
    if finish_reason:
        found["gen_ai.response.finish_reasons"] = (finish_reason[:_MOST_CHARACTERS],)
    return found


def of_request(facts: Mapping[str, object]) -> Attributes:
    """What the log says of it, amounts of money as numbers. What is empty is left out, and stages are spans."""
    found: Attributes = {}
    for name, value in facts.items():
        if isinstance(value, list):
            value = tuple(map(str, value))  # noqa: PLW2901 - as attributes have it
        if isinstance(value, str) and name.endswith("_usd"):
            value = float(value)  # noqa: PLW2901 - to be compared
        if value and isinstance(value, str | int | float | tuple):
            found[f"tollway.{name}"] = str(value) if isinstance(value, str) else value
    return found


def _named(model: Model) -> tuple[str, str]:
    """Its provider and its name there."""
    if model.protocol is Protocol.OPENAI:
        return "openai", model.upstream_id
    provider, _, name = model.upstream_id.partition("/")
    return (_PROVIDERS.get(provider, provider), name) if name else ("openai", model.upstream_id)


def _server(endpoint: str | None) -> Attributes:
    """Without what a URL may say beside host and port: a user, a password."""
    if not endpoint:
        return {}
    parts = urlsplit(endpoint)
    port = parts.port or _PORTS.get(parts.scheme, 443)
    return {"server.address": parts.hostname or "", "server.port": port}
