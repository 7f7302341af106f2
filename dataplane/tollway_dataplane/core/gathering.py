"""A stream put together into the completion that a request without streaming would have got: every choice, calls of
tools, and whatever else a provider adds. For answers that are asked for as streams although their caller did not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tollway_dataplane.core.completions import head_of
from tollway_dataplane.core.facts import JsonObject, JsonValue

# Said whole, and by some providers in every chunk. All other text comes in pieces.
_WHOLE = frozenset({"role", "type", "id", "name", "finish_reason", "signature"})


@dataclass(slots=True)
class Gathering:
    _head: dict[str, JsonValue] = field(default_factory=dict)
    _choices: dict[int, dict[str, JsonValue]] = field(default_factory=dict)
    _usage: JsonValue = None

    def add(self, chunk: JsonObject) -> None:
        self._head = self._head or head_of(chunk)
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        for given in choices if isinstance(choices, list) else []:
            if isinstance(given, dict):
                index = given.get("index")
                choice = self._choices.setdefault(index if isinstance(index, int) else 0, {})
                named = {"message" if name == "delta" else name: value for name, value in given.items()}
                self._choices[index if isinstance(index, int) else 0] = _merged(choice, named)

    def completion(self) -> JsonObject:
        """Without choices where there were none."""
        choices = [
            {"index": index, **choice, "message": _message(choice)}
            for index, choice in sorted(self._choices.items())
        ]
        usage = {} if self._usage is None else {"usage": self._usage}
        return {**self._head, "object": "chat.completion", "choices": choices, **usage}


def _message(choice: JsonObject) -> JsonObject:
    message = choice.get("message")
    given: JsonObject = message if isinstance(message, dict) else {}
    calls = given.get("tool_calls")
    # The places of calls are a stream's.
    placed = [each for each in calls if isinstance(each, dict)] if isinstance(calls, list) else []
    plain = [{name: value for name, value in each.items() if name != "index"} for each in placed]
    return {"role": "assistant", "content": None, **given, **({"tool_calls": plain} if plain else {})}


def _merged(before: JsonObject, piece: JsonObject) -> dict[str, JsonValue]:
    merged = dict(before)
    for name, value in piece.items():
        if value is None:
            merged.setdefault(name, None)
            continue
        merged[name] = _joined(merged.get(name), value, whole=name in _WHOLE)
    return merged


def _joined(before: JsonValue, piece: JsonValue, *, whole: bool) -> JsonValue:
    if isinstance(before, str) and isinstance(piece, str):
        return (piece or before) if whole else before + piece
    if isinstance(piece, Mapping):
        return _merged(before if isinstance(before, Mapping) else {}, piece)
    if isinstance(piece, list):
        return _listed(list(before) if isinstance(before, list) else [], piece)
    return piece


def _listed(items: list[JsonValue], pieces: list[JsonValue]) -> list[JsonValue]:
    """Pieces with an index belong to the item of that index; others are items of their own."""
    for piece in pieces:
        place = piece.get("index") if isinstance(piece, Mapping) else None
        same = [
            at for at, each in enumerate(items) if isinstance(each, Mapping) and each.get("index") == place
        ]
        if place is None or not same:
            items.append(_joined(None, piece, whole=False))
        else:
            items[same[0]] = _joined(items[same[0]], piece, whole=False)
    return items
