"""A call as LiteLLM's arguments: what of a request reaches which provider, and under which name. Called by
`litellm_upstream`, which has LiteLLM and gives it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any, Final

from tollway_api.routing_policy import FallbackTrigger, UnknownParameters
from tollway_api.snapshot import Model
from tollway_dataplane.core.facts import OUTPUT_LIMITS, JsonObject, Operation
from tollway_dataplane.core.parameters import unknown_to_thinkers
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import UpstreamCall

# The fields of OpenAI's requests, and a few of other providers', which LiteLLM translates. LiteLLM's own arguments are
# in the same namespace, and one of them would send our key to the caller's server: so no other field is an argument.
_TRANSLATED: Final = frozenset(
    (
        "audio dimensions encoding_format frequency_penalty function_call functions input input_type logit_bias "
        "logprobs max_completion_tokens max_tokens messages modalities n parallel_tool_calls prediction "
        "presence_penalty reasoning_effort response_format safety_identifier seed service_tier stop store temperature "
        "thinking tool_choice tools top_k top_logprobs top_p user verbosity web_search_options"
    ).split()
)
_NOT_EXTRA: Final = _TRANSLATED | {"stream_options"}  # which go with streaming


def arguments_of(litellm: Any, call: UpstreamCall) -> dict[str, Any]:
    """Of `acompletion` and `aembedding`, but for streaming. No retries below us: the plan of attempts is the only loop.

    Raises UpstreamFault where the model is not set up, or does not know a parameter and the policy refuses those.
    """
    is_chat = call.operation is Operation.CHAT
    model = _spoken_to(call.model) if is_chat else call.model
    provider = _provider_of(litellm, model)
    fields = {name: value for name, value in call.body.items() if name in _TRANSLATED}
    extra = {name: value for name, value in call.fields.items() if name not in _NOT_EXTRA}
    # In another shape than OpenAI's, what we do not know may be a second name for what the budget's hold covers: the
    # bound on the answer, or more of a prompt. So it stays here, as does what LiteLLM knows a provider not to have.
    unknown: frozenset[str] = frozenset()
    speaks_openais = provider in _in_openais_shape(litellm)
    if not speaks_openais:
        unknown, metadata, extra = frozenset(extra), extra.get("metadata"), {}
        if isinstance(metadata, dict) and isinstance(metadata.get("user_id"), str):
            fields.setdefault("user", metadata["user_id"])  # which is all that Anthropic's metadata may hold
            unknown -= {"metadata"}
    if is_chat:
        lacked = _lacked(litellm, model, provider, fields)
        passed = lacked if model.unknown_parameters is UnknownParameters.PASS else frozenset()
        call.leave_out((unknown | lacked) - passed)
        if speaks_openais:
            extra |= {name: fields[name] for name in passed}
            passed = frozenset()
        fields = {name: value for name, value in fields.items() if name in passed or name not in lacked}
        fields |= _bound_as_known(litellm, model, provider, fields, sorted(passed))
    # What the policy adds goes as it is, unless LiteLLM has a word for it.
    added = {name: value for name, value in model.extra_body.items() if name not in _TRANSLATED}
    if provider in _TAKE_ARGUMENTS:
        fields |= _as_arguments(litellm, added)
    else:
        extra = {**extra, **added}
    return {
        **fields,
        **({"extra_body": extra} if extra else {}),
        **_account(model, call.span.headers),
        "model": model.upstream_id,
        "api_base": model.endpoint,
        "api_key": model.api_key or _no_key(model),
        "timeout": call.timeout_s,
        "num_retries": 0,
        "max_retries": 0,
        # Otherwise it looks among the tools for servers that it would call by itself, with a library we do not have.
        **({"_skip_mcp_handler": True} if is_chat else {}),
    }


def _no_key(model: Model) -> str | None:
    """Of a policy's own server, because LiteLLM would send it a key from this process's environment; and of who gives
    another header instead, because without a key it does not even ask. With one it would not sign; with an empty one it
    does, whatever Bedrock API key is in the environment.
    """
    if model.aws is not None:
        return ""
    return "none" if model.endpoint or model.extra_headers else None


# Of these LiteLLM puts into the body what it does not know an argument for, and nothing else.
_TAKE_ARGUMENTS: Final = frozenset({"anthropic", "bedrock"})


def own_arguments(litellm: Any) -> frozenset[str]:
    """What LiteLLM would take for itself, beside what begins with `aws_`. The catalogue has them for the compiler."""
    named = {*signature(litellm.acompletion).parameters, *litellm.types.utils.all_litellm_params}
    return frozenset(named - _TRANSLATED)


def _as_arguments(litellm: Any, added: JsonObject) -> JsonObject:
    """Raises UpstreamFault where LiteLLM would take one of them for itself, such as another role on AWS. The compiler
    refuses them first; but an operator may be older than this process.
    """
    own = own_arguments(litellm)
    if taken := sorted(name for name in added if name in own or name.startswith("aws_")):
        message = f"the model is not set up: this provider cannot be given extraBody's {', '.join(taken)}"
        raise UpstreamFault(FallbackTrigger.SERVER_ERROR, None, message)
    return added


def _account(model: Model, headers: Mapping[str, str]) -> dict[str, Any]:
    """Where a model is and who asks, beside the endpoint and the key."""
    account: dict[str, Any] = {"api_version": model.api_version} if model.api_version else {}
    if headers or model.extra_headers:
        account["extra_headers"] = {**headers, **{each.name: each.value for each in model.extra_headers}}
    if (aws := model.aws) is not None:
        account |= {"aws_region_name": aws.region}
        if aws.access_key_id:
            account |= {
                "aws_access_key_id": aws.access_key_id,
                "aws_secret_access_key": aws.secret_access_key,
                "aws_session_token": aws.session_token or None,
            }
    return account


def _provider_of(litellm: Any, model: Model) -> str:
    try:
        _, provider, _, _ = litellm.get_llm_provider(model.upstream_id, api_base=model.endpoint)
    except litellm.exceptions.BadRequestError as exc:
        message = "LiteLLM does not know the model's provider"
        raise UpstreamFault(FallbackTrigger.SERVER_ERROR, None, message) from exc
    return str(provider)


def _in_openais_shape(litellm: Any) -> set[str]:
    """Providers whose requests are OpenAI's, so that there is one name for everything. Azure AI's may be, or
    Anthropic's.
    """
    return {"azure", "mistral", *litellm.openai_compatible_providers} - {"azure_ai"}


# Of Ollama, `repeat_penalty` is another thing than OpenAI's, on another scale.
_MISTRANSLATED: Final = {"ollama": {"frequency_penalty"}, "ollama_chat": {"frequency_penalty"}}
# LiteLLM sends the first without asking; the others are never left out.
_ALWAYS_KNOWN: Final = frozenset({"user", "messages", *OUTPUT_LIMITS})


def _lacked(litellm: Any, model: Model, provider: str, fields: JsonObject) -> frozenset[str]:
    """Which of the parameters in OpenAI's words the model does not know, as far as LiteLLM or OpenAI's guides say."""
    given = {name for name, value in fields.items() if value is not None} - _ALWAYS_KNOWN
    supported = litellm.get_supported_openai_params(model.upstream_id, custom_llm_provider=provider)
    openais = given & litellm.constants.DEFAULT_CHAT_COMPLETION_PARAM_VALUES.keys()
    lacked = openais - {*supported} if supported is not None else set()
    lacked |= given & _MISTRANSLATED.get(provider, set())
    return frozenset(lacked) | unknown_to_thinkers(model.upstream_id, fields)


def _spoken_to(model: Model) -> Model:
    """Ollama's models are spoken to where it takes a chat, and not one text that LiteLLM makes of it."""
    provider, _, name = model.upstream_id.partition("/")
    return replace(model, upstream_id=f"ollama_chat/{name}") if provider == "ollama" else model


def _bound_as_known(
    litellm: Any, model: Model, provider: str, fields: JsonObject, allowed: Sequence[str]
) -> dict[str, Any]:
    """The bound on the answer under a name that reaches the provider: LiteLLM leaves out what it does not know one to
    have, and the hold would cover too little. And what is `allowed` all the same.
    """
    bounds = [value for name in OUTPUT_LIMITS if isinstance(value := fields.get(name), int)]
    supported = litellm.get_supported_openai_params(model.upstream_id, custom_llm_provider=provider) or []
    passed: dict[str, Any] = {"allowed_openai_params": [*allowed]} if allowed else {}
    if not bounds or any(name in supported and fields.get(name) is not None for name in OUTPUT_LIMITS):
        return passed
    named: dict[str, Any] = {**dict.fromkeys(OUTPUT_LIMITS), "max_tokens": min(bounds), **passed}
    return (
        named if "max_tokens" in supported else {**named, "allowed_openai_params": ["max_tokens", *allowed]}
    )
