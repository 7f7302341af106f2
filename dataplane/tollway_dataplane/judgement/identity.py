"""The identity partition: everything besides the last user turn that changes the right answer. Only prompts of
one partition are ever compared by meaning; two requests of different partitions never share an answer.

The earlier turns of a chat divide a partition into entries, not the cache into partitions: what they mean is compared
by `conversation`, for each candidate.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from itertools import dropwhile
from typing import Final

import orjson

from tollway_api import wire
from tollway_api.routing_policy import TimeDependent
from tollway_api.semantic_cache_index import Scope
from tollway_api.snapshot import Index, Policy, Tenant
from tollway_dataplane.core.facts import ChatRequest, JsonObject, JsonValue, Turn
from tollway_dataplane.core.naming import audience_of
from tollway_dataplane.prompts.blanks import indent_is_meant, meant_blanks, speaks_of_blanks
from tollway_dataplane.prompts.pleasantries import is_pleasantry

# Parameters that say who asks or how to deliver, and so cannot change what the right answer is. A parameter
# that is not in this list divides the cache: unknown ones are safe, at the price of a miss.
IRRELEVANT_PARAMETERS: Final = frozenset(
    {
        *("metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("safety_identifier", "service_tier", "store", "user"),
    }
)
_INSTRUCTING: Final = frozenset({"system", "developer"})
_SPEAKING: Final = frozenset({"user", "assistant"})
# Stands for turns that are compared by meaning. No message is a text by itself, so no caller can write it.
_CHAT: Final = "chat"
# A longer text keeps its blanks: to tell which are meant takes three milliseconds of this one already, and who asks
# something as long again hardly ever has others.
MOST_LOOKED_THROUGH: Final = 20_000
_EMPTY_LINES: Final = re.compile(r"\A(?:[^\S\n]*\n)+")


def partition_of(
    request: ChatRequest, tenant: Tenant, policy: Policy, index: Index, turns: Sequence[Turn]
) -> str:
    """32 hex digits that name the partition, the first eight of them its index; also the Redis hash tag of its keys.
    `turns` are `turns_of` the request's messages.
    """
    # What one policy has allowed to be remembered is not for the time when it does not any more.
    lasting = policy.cache is not None and policy.cache.time_dependent is TimeDependent.CACHE
    parts = [
        index.id,
        tenant.name if index.scope is Scope.TENANT else "",
        f"{policy.id} {TimeDependent.CACHE}" if lasting else policy.id,
        audience_of(request, tenant, policy),
        _instructions(request.messages, turns),
        # Beside its content: who asks, for one.
        {name: value for name, value in request.messages[-1].items() if name != "content"},
        {name: value for name, value in request.parameters.items() if name not in IRRELEVANT_PARAMETERS},
    ]
    canonical = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return wire.index_tag(index.id) + hashlib.sha256(canonical).hexdigest()[:24]


def turns_of(messages: Sequence[JsonObject]) -> tuple[Turn, ...]:
    """What was said between the instructions and the last message. Empty when that is nothing, and also when there is
    more than plain text in it, which nobody can compare by meaning: then it belongs to the partition.
    """
    if len(messages) == 1:
        return ()
    turns = [_turn(message) for message in dropwhile(_instructs, messages[:-1])]
    return tuple(turn for turn in turns if turn is not None) if None not in turns else ()


def said_in(messages: Sequence[JsonObject]) -> tuple[Turn, ...]:
    """All texts before the last message, whatever else there is beside them: for looking through, not for comparing."""
    if len(messages) == 1:
        return ()
    return tuple(
        Turn(str(message.get("role")), text)
        for message in dropwhile(_instructs, messages[:-1])
        if (text := _text(message.get("content")))
    )


def _text(content: JsonValue) -> str:
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return "\n".join(
        part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def _instructions(messages: Sequence[JsonObject], turns: Sequence[Turn]) -> list[JsonValue]:
    """The messages before the last one, but for turns that are compared by meaning."""
    earlier: list[JsonValue] = list(messages[:-1])
    if not turns:
        return earlier
    # A question after a greeting is asked as it is without one.
    chat = [] if all(map(is_pleasantry, turns)) else [_CHAT]
    return [*earlier[: -len(turns)], *chat]


def _instructs(message: JsonObject) -> bool:
    return message.get("role") in _INSTRUCTING


def _turn(message: JsonObject) -> Turn | None:
    """None when there is more to a message than who said what. Clients send answers back with fields that are empty."""
    said = {name: value for name, value in message.items() if value not in (None, [], ())}
    role, content = said.get("role"), said.get("content")
    if said.keys() != {"role", "content"} or not isinstance(role, str) or role not in _SPEAKING:
        return None
    if isinstance(content, list):
        texts = [
            part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"
        ]
        content = "\n".join(map(str, texts)) if len(texts) == len(content) else None
    return Turn(role, normalise(content)) if isinstance(content, str) else None


def normalise(prompt: str) -> str:
    """The prompt without differences that cannot carry meaning: Unicode form, line ends and, unless blanks are spoken
    of, outer blanks and, in a prompt of one line, runs of blanks unless they may be meant. Indentation, that of code in
    the first line as well, and letter case are kept, because they can carry it.
    """
    text = unicodedata.normalize("NFC", prompt).replace("\r\n", "\n")
    if len(text) > MOST_LOOKED_THROUGH:
        return text
    if text != text.strip() and not speaks_of_blanks(text):
        lines = _EMPTY_LINES.sub("", text.rstrip())
        text = lines if indent_is_meant(lines) else lines.strip()
    # Most prompts have no runs of blanks, and asking is cheaper than replacing every single blank by itself.
    has_runs = "\n" not in text and ("  " in text or "\t" in text)
    if not has_runs or meant_blanks(text):
        return text
    return " ".join(filter(None, text.replace("\t", " ").split(" ")))


def entry_of(prompt: str, turns: Sequence[Turn] = ()) -> str:
    """32 hex digits that name a normalised prompt after these turns within its partition."""
    last = prompt.encode("utf-8", "surrogatepass")
    if turns:
        texts = [turn.text.encode("utf-8", "surrogatepass") for turn in turns]
        # With their lengths ahead, so that no texts run together to look like others.
        lengths = [f"{turn.role} {len(text)}" for turn, text in zip(turns, texts, strict=True)]
        last = b"".join([f"{' '.join(lengths)}\n".encode(), *texts, last])
    return hashlib.sha256(last).hexdigest()[:32]
