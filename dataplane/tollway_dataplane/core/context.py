"""A chat cut down to fit a context window: system prompt and newest turns stay, by tokens."""

from collections.abc import Sequence

from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.core.tokens import estimate

_SYSTEM_ROLES = frozenset({"system", "developer"})


def reduce_context(messages: Sequence[JsonObject], target_tokens: int) -> list[JsonObject]:
    """The system messages and as many of the newest turns as fit, oldest dropped first. The last message always
    stays. A tool's reply is never kept without the call it answers.
    """
    system = [message for message in messages if message.get("role") in _SYSTEM_ROLES]
    turns = [message for message in messages if message.get("role") not in _SYSTEM_ROLES]
    room = target_tokens - sum(map(estimate, system))
    kept: list[JsonObject] = []
    for message in reversed(turns):
        room -= estimate(message)
        if kept and room < 0:
            break
        kept.insert(0, message)
    while len(kept) > 1 and kept[0].get("role") == "tool":
        kept.pop(0)
    return system + kept
