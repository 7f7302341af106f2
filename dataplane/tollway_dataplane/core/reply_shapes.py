"""Whether what a provider sends is of OpenAI's shape, as far as we read it. Asked once, by the adapters, so that nobody
behind them is surprised by a type.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tollway_dataplane.core.facts import JsonObject, JsonValue

_MOST_LEVELS: Final = 100  # orjson reads 1,024 and writes 254
# What a message, or a stream's piece of one, has under these names where it has anything.
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "content": (str, list),
    "refusal": (str,),
    "reasoning_content": (str,),
    "tool_calls": (list,),
    "function_call": (dict,),
}


def is_completion(reply: JsonObject) -> bool:
    """A whole answer, of one choice at least."""
    choices = reply.get("choices")
    return bool(choices) and _are_choices(choices, "message") and _is_shallow(reply)


def is_chunk(event: JsonObject) -> bool:
    """A piece of a stream, which need not bring a choice: one that says what was used does not."""
    choices = event.get("choices")
    return (choices is None or _are_choices(choices, "delta")) and _is_shallow(event)


def _is_shallow(value: JsonValue) -> bool:
    """Whether it can be written again: what nests much deeper can be read, and no more."""
    level: list[JsonValue] = [value]
    for _ in range(_MOST_LEVELS):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return True
    return False


def _inside(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _are_choices(choices: JsonValue, message: str) -> bool:
    return isinstance(choices, list) and all(_is_choice(each, message) for each in choices)


def _is_choice(choice: JsonValue, message: str) -> bool:
    return (
        isinstance(choice, dict)
        and isinstance(choice.get("finish_reason"), str | None)
        and isinstance(choice.get("index"), int | None)
        and _is_message(choice.get(message))
    )


def _is_message(message: JsonValue) -> bool:
    if message is None:
        return True
    if not isinstance(message, dict):
        return False
    return all(not (value := message.get(name)) or isinstance(value, kinds) for name, kinds in _KINDS.items())
