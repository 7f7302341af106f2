"""Whether what a provider sends is of OpenAI's shape, as far as we read it. Asked once, by the adapters, so that nobody
behind them is surprised by a type.
"""

import math
from base64 import b64decode
from collections.abc import Mapping
from typing import Final

import numpy as np

from tollway_dataplane.core.facts import JsonObject, JsonValue

_MOST_LEVELS: Final = 100  # orjson reads 1,024 and writes 254
_Kinds = Mapping[str, tuple[type, ...]]
# What there is under these names, where there is anything.
_REPLY: Final[_Kinds] = {"id": (str, int), "model": (str,)}
_CHOICE: Final[_Kinds] = {"index": (int,), "finish_reason": (str,), "logprobs": (dict,)}
_MESSAGE: Final[_Kinds] = {
    "role": (str,),
    "content": (str, list),
    "refusal": (str,),
    "reasoning_content": (str,),
    "tool_calls": (list,),
    "function_call": (dict,),
}
_PLAIN_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "logprobs"})
_PLAIN_DELTA: Final = frozenset({"role", "content"})
_PLAIN_MESSAGE: Final = frozenset({"role", "content", "annotations"})
_CALL: Final[_Kinds] = {"function": (dict,)}
_EMBEDDING: Final[_Kinds] = {"index": (int,), "embedding": (list, str)}


def is_completion(reply: JsonObject, data: bytes = b"") -> bool:
    """A whole answer, of one choice at least. `data` is the JSON that it was read from, where it was."""
    choices = reply.get("choices")
    fits = bool(choices) and _fits(reply, _REPLY) and _are_choices(choices, "message")
    return fits and _is_shallow(reply, data)


def is_chunk(event: JsonObject, data: bytes = b"") -> bool:
    """A piece of a stream, which need not bring a choice: one that says what was used does not."""
    choices = event.get("choices")
    fits = _fits(event, _REPLY) and (choices is None or _are_choices(choices, "delta"))
    return fits and _is_shallow(event, data)


def _only_choice(reply: JsonObject) -> JsonObject | None:
    """The choice of a completion or a chunk that has one alone, and tells of no error."""
    choices = reply.get("choices")
    if "error" in reply or not isinstance(choices, list) or len(choices) != 1:
        return None
    choice = choices[0]
    is_headed = isinstance(reply.get("id"), str) and isinstance(reply.get("model"), str)
    return choice if is_headed and isinstance(choice, dict) and isinstance(choice.get("index"), int) else None


def is_plain_chunk(event: JsonObject, data: bytes) -> bool:
    """One that goes on with plain text, as nearly all of a stream do: so it is a chunk, no error, and the last of no
    choice. To ask for each by itself takes twice as long.
    """
    choice = _only_choice(event)
    if choice is None or not choice.keys() <= _PLAIN_CHOICE:
        return False
    if choice.get("finish_reason") is not None or choice.get("logprobs") is not None:
        return False
    delta = choice.get("delta")
    if not isinstance(delta, dict) or not delta.keys() <= _PLAIN_DELTA:
        return False
    for said in delta.values():
        if said is not None and not isinstance(said, str):
            return False
    return _is_shallow(event, data)


def plain_text_of(reply: JsonObject, data: bytes) -> str:
    """What an answer says that is one choice of plain text, which has ended by itself, as nearly all are: so it is a
    completion, no error, and whole unless it is a refusal. Of any other it is empty. To ask for each by itself takes
    four times as long.
    """
    choice = _only_choice(reply)
    if choice is None or "error" in choice or choice.get("finish_reason") != "stop":
        return ""
    message = choice.get("message")
    if choice.get("logprobs") is not None or not isinstance(message, dict):
        return ""
    for name, said in message.items():
        if said is not None and name not in _PLAIN_MESSAGE:
            return ""
    text = message.get("content")
    if not isinstance(text, str) or text.isspace() or not isinstance(message.get("role"), str):
        return ""
    return text if _is_shallow(reply, data) else ""


def are_embeddings(reply: JsonObject, inputs: JsonValue) -> bool:
    """One vector for each input, all of one length, as finite numbers or those in base64."""
    data = reply.get("data")
    if (
        not isinstance(data, list)
        or not _fits(reply, _REPLY)
        or not _are_objects(data, _EMBEDDING, "embedding")
    ):
        return False
    lengths = [_length(each["embedding"]) for each in data]
    return len(lengths) == _count(inputs) and len({*lengths}) == 1 and 0 not in lengths


def _count(inputs: JsonValue) -> int:
    """A text is one, and so are the ids of its tokens."""
    if not isinstance(inputs, list) or all(isinstance(each, int) for each in inputs):
        return 1
    return len(inputs)


def _length(vector: JsonValue) -> int:
    """How many numbers a vector has; 0 for what is no vector."""
    if isinstance(vector, str):
        try:
            vector = np.frombuffer(b64decode(vector, validate=True), "<f4").tolist()
        except ValueError:
            return 0
    # By what is written in C: an answer may have six million numbers.
    if not isinstance(vector, list) or not {*map(type, vector)} <= {int, float}:
        return 0
    try:
        return len(vector) if math.isfinite(sum(vector)) else 0
    except OverflowError:  # an integer that no float is as large as
        return 0


def _is_shallow(value: JsonValue, data: bytes) -> bool:
    """Whether it can be written again: what nests much deeper can be read, and no more."""
    # With fewer brackets than there may be levels, of which nearly all are, nothing need be looked through.
    if data and data.count(b"{") + data.count(b"[") <= _MOST_LEVELS:
        return True
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(_MOST_LEVELS):
        if not level:
            return True
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return False


def _are_choices(choices: JsonValue, message: str) -> bool:
    return isinstance(choices, list) and all(_is_choice(each, message) for each in choices)


def _is_choice(choice: JsonValue, message: str) -> bool:
    return isinstance(choice, dict) and _fits(choice, _CHOICE) and _is_message(choice.get(message))


def _is_message(message: JsonValue) -> bool:
    if message is None:
        return True
    if not isinstance(message, dict) or not _fits(message, _MESSAGE):
        return False
    content, calls = message.get("content"), message.get("tool_calls")
    return (not isinstance(content, list) or _are_objects(content, {})) and (
        not calls or _are_objects(calls, _CALL)
    )


def _are_objects(values: JsonValue, kinds: _Kinds, needed: str | None = None) -> bool:
    """`needed` is a name under which each of them has something."""
    return isinstance(values, list) and all(
        isinstance(each, dict) and _fits(each, kinds) and (needed is None or bool(each.get(needed)))
        for each in values
    )


def _fits(value: JsonObject, kinds: _Kinds) -> bool:
    """An empty text stands for nothing with some providers."""
    for name, several in kinds.items():
        found = value.get(name)
        if found is not None and not isinstance(found, several) and found != "":
            return False
    return True
