"""A chat cut down to fit a context window: by tokens of the model that is to read it, whose counts are given."""

from collections.abc import Iterable, Sequence
from typing import Final

from tollway_dataplane.core.facts import JsonObject

_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_REPLY_ROLES: Final = frozenset({"tool", "function"})


def reduce_context(messages: Sequence[JsonObject], sizes: Sequence[int], room: int) -> list[JsonObject]:
    """The system's messages, the newest turn with the question it belongs to, and of the turns before it as many as fit
    into the room, the oldest dropped first. `sizes` are the messages', in tokens as `room` is. A call of tools and the
    replies to it are one turn, and a chat begins with its user, since providers refuse others.

    What must stay may be larger than the room.
    """
    turns = _turns(messages)
    if not turns:
        return list(messages)
    question = max((turn for turn in turns if _is_users(messages, turn)), default=turns[-1])
    kept = {turns[-1], question}
    always = [place for place, message in enumerate(messages) if message.get("role") in _SYSTEM_ROLES]
    left = room - sum(sizes[place] for place in (*always, *_places(kept)))
    for turn in reversed(turns):
        if turn in kept:
            continue
        left -= sum(sizes[place] for place in turn)
        if left < 0:
            break
        kept.add(turn)
    if first := [turn for turn in sorted(kept) if _is_users(messages, turn)][:1]:
        kept = {turn for turn in kept if turn >= first[0]}
    return [messages[place] for place in sorted([*always, *_places(kept)])]


def _places(turns: Iterable[tuple[int, ...]]) -> list[int]:
    return [place for turn in turns for place in turn]


def _is_users(messages: Sequence[JsonObject], turn: tuple[int, ...]) -> bool:
    return messages[turn[0]].get("role") == "user"


def _turns(messages: Sequence[JsonObject]) -> list[tuple[int, ...]]:
    """The places of what belongs together, without the system's. A reply to a call that was not made is in none."""
    turns: list[list[int]] = []
    open_calls: set[object] = set()
    for place, message in enumerate(messages):
        role = message.get("role")
        if role in _SYSTEM_ROLES:
            continue
        if role not in _REPLY_ROLES:
            turns.append([place])
            open_calls = _calls(message)
        elif (call := message.get("tool_call_id") or message.get("name")) in open_calls:
            turns[-1].append(place)
            open_calls.discard(call)
    return [tuple(turn) for turn in turns]


def _calls(message: JsonObject) -> set[object]:
    """The ids of the calls that a message makes; of OpenAI's older form the function's name."""
    calls, call = message.get("tool_calls"), message.get("function_call")
    listed = calls if isinstance(calls, Sequence) and not isinstance(calls, str) else []
    ids: set[object] = {each.get("id") for each in listed if isinstance(each, dict)}
    return ids | ({call.get("name")} if isinstance(call, dict) else set())
