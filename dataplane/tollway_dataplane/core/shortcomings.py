"""What is wrong with an answer that a provider gives as if it were right, so that another model may be asked instead:
it is empty, it was withheld, or it is no JSON although that was demanded.
"""

from typing import Final

import orjson

from tollway_api.routing_policy import FallbackTrigger
from tollway_dataplane.core.completions import choices_of
from tollway_dataplane.core.facts import JsonObject, JsonValue, answer_format

_BY_ITSELF: Final = frozenset({None, "stop"})
_FILTERED: Final = "content_filter"
_JSON: Final = frozenset({"json_object", "json_schema"})
# Of a message, what is no answer by itself.
_BESIDE: Final = frozenset(
    {
        *("role", "annotations", "provider_specific_fields"),
        *("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks"),
    }
)


def shortcoming(
    completion: JsonObject, demanded: JsonObject, *, is_whole: bool = False
) -> FallbackTrigger | None:
    """What a whole answer to a request with these parameters lacks, if anything. An answer that was cut at its bound is
    not judged: its caller, or a budget, wanted no more. One that `is_whole` can only lack to be JSON.
    """
    if is_whole and answer_format(demanded) not in _JSON:
        return None
    choices = choices_of(completion)
    if any(choice.get("finish_reason") == _FILTERED for choice in choices):
        return FallbackTrigger.CONTENT_FILTER
    messages = [_message(choice) for choice in choices if choice.get("finish_reason") in _BY_ITSELF]
    if choices and len(messages) == len(choices) and not any(map(_answers, messages)):
        return FallbackTrigger.EMPTY_ANSWER
    if answer_format(demanded) in _JSON and not all(map(_is_json_or_none_is_meant, messages)):
        return FallbackTrigger.INVALID_JSON
    return None


def begins(chunk: JsonObject) -> bool:
    """Whether a chunk of a stream says something, if only what is thought. Blanks are nothing yet."""
    deltas = (choice.get("delta") for choice in choices_of(chunk))
    return any(
        _is_said(value)
        for delta in deltas
        if isinstance(delta, dict)
        for name, value in delta.items()
        if name != "role"
    )


def unbegun(finish_reasons: set[str]) -> FallbackTrigger | None:
    """What it means that a stream has ended with these reasons, and said nothing."""
    if _FILTERED in finish_reasons:
        return FallbackTrigger.CONTENT_FILTER
    return FallbackTrigger.EMPTY_ANSWER if finish_reasons <= {"stop"} else None


def _message(choice: JsonObject) -> JsonObject:
    """None is an empty one."""
    message = choice.get("message")
    return message if isinstance(message, dict) else {}


def _answers(message: JsonObject) -> bool:
    return any(_is_said(value) for name, value in message.items() if name not in _BESIDE)


def _is_said(value: JsonValue) -> bool:
    return bool(value.strip() if isinstance(value, str) else value)


def _is_json_or_none_is_meant(message: JsonObject) -> bool:
    """A model that refuses, or calls a tool, has other things to say."""
    if message.get("refusal") or message.get("tool_calls") or message.get("function_call"):
        return True
    content = message.get("content")
    return isinstance(content, str) and _is_json(content)


def _is_json(text: str) -> bool:
    try:
        _: JsonValue = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
