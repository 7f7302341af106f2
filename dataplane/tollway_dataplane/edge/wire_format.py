"""Request bodies to frozen requests. Whatever is malformed becomes a 400 that names the field; what we do not
know is kept and passed on, because providers add parameters faster than gateways learn them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from tollway_api.tenant_budget import AUTO
from tollway_dataplane.core.facts import OUTPUT_LIMITS, ChatRequest, EmbeddingsRequest, JsonObject, JsonValue
from tollway_dataplane.errors import Refusal, RefusalCode

MOST_MESSAGES: Final = 2_048
# No honest request is deeper or has more values, and each value costs time on the event loop.
MOST_DEPTH: Final = 64
MOST_VALUES: Final = 400_000
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
# Understood here, so not among the parameters that are passed on as they are.
_OWN_FIELDS: Final = frozenset({"model", "messages", "stream", "stream_options"})
_MOST_OUTPUT_TOKENS: Final = 10_000_000
# OpenAI's own parameters: the types that JSON may have there besides null, and how a person would say it.
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    **dict.fromkeys(("tools", "functions", "modalities"), ((list,), "a list")),
    **dict.fromkeys(("response_format", "logit_bias", "metadata"), ((dict,), "an object")),
    **dict.fromkeys(
        ("temperature", "top_p", "presence_penalty", "frequency_penalty"), ((int, float), "a number")
    ),
    **dict.fromkeys(("logprobs", "parallel_tool_calls", "store"), ((bool,), "true or false")),
    **dict.fromkeys(("seed", "top_logprobs"), ((int,), "a whole number")),
    **dict.fromkeys(("user", "reasoning_effort", "service_tier"), ((str,), "a text")),
    **dict.fromkeys(("tool_choice", "function_call"), ((str, dict), "a text or an object")),
    "stop": ((str, list), "a text or a list"),
}
# And of those that may be lists, what their elements are.
_ELEMENTS: Final[Mapping[str, tuple[type, str]]] = {
    **dict.fromkeys(("tools", "functions"), (dict, "an object")),
    **dict.fromkeys(("modalities", "stop"), (str, "a text")),
}


def parse_json(body: bytes) -> JsonObject:
    """The body as an object. Raises Refusal 400 for anything else; never repeats the body."""
    if not body.strip():
        raise _invalid("the body is empty; send a JSON object")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise _invalid(f"the body is not valid JSON: {exc.msg} at byte {exc.pos}") from None
    if not isinstance(value, dict):
        raise _invalid(f"the body must be a JSON object, not {_kind(value)}")
    # A body with fewer brackets than there may be levels is not too deep, and one with fewer bytes not too wide.
    if len(body) > MOST_VALUES or body.count(b"{") + body.count(b"[") > MOST_DEPTH:
        _check_shape(value)
    return value


def parse_chat(body: JsonObject, headers: Mapping[str, str], request_id: str) -> ChatRequest:
    """A `POST /v1/chat/completions` body."""
    messages = _messages(body.get("messages"))
    options = {} if body.get("stream_options") is None else body["stream_options"]
    if not isinstance(options, dict):
        raise _invalid(f"must be an object, not {_kind(options)}", "stream_options")
    _check_parameters(body)
    stream = _boolean(body, "stream")
    parameters = {name: value for name, value in body.items() if name not in _OWN_FIELDS}
    if stream and (others := {name: value for name, value in options.items() if name != "include_usage"}):
        parameters["stream_options"] = others
    return ChatRequest(
        request_id=request_id,
        model=_model(body, AUTO),
        messages=messages,
        parameters=parameters,
        prompt=_plain_prompt(messages),
        stream=stream,
        include_usage=_boolean(options, "include_usage", "stream_options.include_usage"),
        headers=headers,
    )


def parse_prompt(
    body: JsonObject, headers: Mapping[str, str], request_id: str
) -> tuple[ChatRequest, str | None]:
    """A `POST /chat` body: the request it stands for, and the tenant it claims to be of, if any."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise _invalid("must be a text that is not empty", "prompt")
    tenant = body.get("tenant_id")
    if tenant is not None and not isinstance(tenant, str):
        raise _invalid("must be a text; it may also be left out, because the key says who calls", "tenant_id")
    for name in body:
        if name not in {"prompt", "tenant_id", "model"}:
            raise _invalid("unknown field; known: prompt, model, tenant_id", name)
    messages: list[JsonObject] = [{"role": "user", "content": prompt}]
    return (
        ChatRequest(request_id, _model(body, AUTO), messages, prompt=prompt, headers=headers),
        tenant,
    )


def parse_embeddings(body: JsonObject, headers: Mapping[str, str], request_id: str) -> EmbeddingsRequest:
    """A `POST /v1/embeddings` body."""
    inputs = body.get("input")
    if not _is_embeddable(inputs):
        raise _invalid(
            "must be a text, a list of texts, or a list of token ids or of such lists, and none of them empty",
            "input",
        )
    parameters = {name: value for name, value in body.items() if name not in {"model", "input"}}
    return EmbeddingsRequest(request_id, _model(body, ""), inputs, parameters, headers)


def _is_embeddable(inputs: JsonValue) -> bool:
    if isinstance(inputs, str) or not isinstance(inputs, list) or not inputs:
        return isinstance(inputs, str) and bool(inputs)
    kinds = set(map(type, inputs))
    if kinds == {list}:
        return all(each and set(map(type, each)) == {int} for each in inputs)
    return kinds in ({str}, {int}) and "" not in inputs


def _check_shape(body: JsonObject) -> None:
    """Level by level, because a stack of our own has no bottom."""
    level: list[Mapping[str, JsonValue] | Sequence[JsonValue]] = [body]
    depth = values = 0
    while level:
        depth += 1
        below: list[JsonValue] = []
        for each in level:
            below += each.values() if isinstance(each, Mapping) else each
        values += len(below)
        if depth > MOST_DEPTH or values > MOST_VALUES:
            raise _invalid(
                f"the body is nested too deeply or has too many values; at most {MOST_DEPTH} levels "
                f"and {MOST_VALUES} values are accepted"
            )
        level = [each for each in below if isinstance(each, dict | list)]


def _messages(value: JsonValue) -> list[JsonObject]:
    if value is None:
        raise _invalid("is required: a list of messages", "messages")
    if not isinstance(value, list) or not value:
        raise _invalid("must be a list with at least one message", "messages")
    if len(value) > MOST_MESSAGES:
        raise _invalid(f"has {len(value)} messages; at most {MOST_MESSAGES} are accepted", "messages")
    messages: list[JsonObject] = []
    for place, message in enumerate(value):
        field = f"messages[{place}]"
        if not isinstance(message, dict):
            raise _invalid(f"must be an object with role and content, not {_kind(message)}", field)
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise _invalid(f"must be one of {', '.join(sorted(_ROLES))}", f"{field}.role")
        content = message.get("content")
        _check_content(content, f"{field}.content")
        if role == "user" and not content:
            raise _invalid("must not be empty in a message of the user", f"{field}.content")
        messages.append(message)
    return messages


def _check_content(content: JsonValue, field: str) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise _invalid(f"must be a text or a list of parts, not {_kind(content)}", field)
    for place, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise _invalid("must be an object with a type", f"{field}[{place}]")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise _invalid("must be a text", f"{field}[{place}].text")


def _check_parameters(body: JsonObject) -> None:
    """Types, and the values that decide what we do; the rest is between the caller and the provider."""
    for name in OUTPUT_LIMITS:
        _check_integer(body, name, 1, _MOST_OUTPUT_TOKENS)
    _check_integer(body, "n", 1, 128)
    for name in body.keys() & _TYPES.keys():
        types, wanted = _TYPES[name]
        # By its own type, since to Python `true` is a number.
        if (value := body[name]) is not None and type(value) not in types:
            raise _invalid(f"must be {wanted}, not {_kind(value)}", name)
        if isinstance(value, list) and name in _ELEMENTS:
            element, wanted = _ELEMENTS[name]
            for place, each in enumerate(value):
                if not isinstance(each, element):
                    raise _invalid(f"must be {wanted}, not {_kind(each)}", f"{name}[{place}]")


def _check_integer(body: JsonObject, name: str, least: int, most: int) -> None:
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _invalid(f"must be a whole number from {least} to {most}", name)


def _boolean(body: JsonObject, name: str, field: str | None = None) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise _invalid(f"must be true or false, not {_kind(value)}", field or name)
    return bool(value)


def _model(body: JsonObject, default: str) -> str:
    model = body.get("model", default)
    if not isinstance(model, str) or not model or len(model) > 256:
        raise _invalid("must be the name of a model, a text of 1 to 256 characters", "model")
    return model


def _plain_prompt(messages: list[JsonObject]) -> str | None:
    """The last message's text, when a user wrote it and there is nothing but text in it."""
    last = messages[-1]
    content = last.get("content")
    if last.get("role") != "user":
        return None
    if isinstance(content, str):
        return content or None
    if not isinstance(content, list) or any(part.get("type") != "text" for part in content):
        return None
    return "\n".join(str(part["text"]) for part in content) or None


def _invalid(message: str, param: str | None = None) -> Refusal:
    sentence = f"{param}: {message}" if param else message
    return Refusal(400, RefusalCode.INVALID_REQUEST, sentence, param)


def _kind(value: object) -> str:
    """What JSON calls it."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
