"""Whether a request is one to answer from memory at all: the first gate of the cache."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from tollway_api.routing_policy import TimeDependent
from tollway_api.semantic_cache_index import Scope
from tollway_api.snapshot import CacheUse, Index, Policy
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.facts import ChatRequest, Turn, has_tools
from tollway_dataplane.prompts.circumstances import tells_of_oneself
from tollway_dataplane.prompts.follow_ups import leans_back
from tollway_dataplane.prompts.personal_data import may_have_personal_data
from tollway_dataplane.prompts.transience import is_time_dependent

# Messages of a chat's user that are looked through.
_MOST_LEANT_ON: Final = 10
# With what one says of oneself that something is wanted: "tell me the price of gold", "I'd like to know who won".
_REQUESTING: Final = re.compile(
    r"\b(?:(?:tell|give|show|get|let) me|for me|i(?:'d like| would like| want| need|'m (?:looking|asking) for)"
    r"|remind me|help me)\b"
)


def bypass_reason(request: ChatRequest, policy: Policy) -> CacheReason | None:
    """Why the cache must not be asked; None when it may be."""
    if policy.cache is None:
        return CacheReason.NO_CACHE
    directives = request.headers.get("cache-control", "").lower()
    if "no-cache" in directives or "no-store" in directives:
        return CacheReason.OPTED_OUT
    if has_tools(request.parameters):
        return CacheReason.HAS_TOOLS
    if request.prompt is None:
        return CacheReason.NOT_PLAIN_TEXT
    if request.choices > 1:
        return CacheReason.SEVERAL_CHOICES
    temperature = request.parameters.get("temperature")
    if isinstance(temperature, int | float) and temperature > policy.cache.max_temperature:
        return CacheReason.HIGH_TEMPERATURE
    return None


def unfit_reason(prompt: str, use: CacheUse, index: Index, said: Sequence[Turn] = ()) -> CacheReason | None:
    """Why the answer to a prompt must not be remembered, nor another's given. It takes longer than an exact hit, so it
    is asked once there is none: what is unfit has never been stored. `said` are the texts before the prompt.
    """
    if use.time_dependent is TimeDependent.BYPASS and _is_about_just_now(prompt, said):
        return CacheReason.TIME_DEPENDENT
    if index.scope is Scope.SHARED:
        every = "\n".join((prompt, *(turn.text for turn in said)))
        return CacheReason.PERSONAL_DATA if may_have_personal_data(every) else None
    return None


def _is_about_just_now(prompt: str, said: Sequence[Turn]) -> bool:
    """Whether the prompt asks for what is true just now, by itself or by what its user has asked before, where it leans
    on that: "What's the weather in Oslo?", and then "And in Bergen?".
    """
    if is_time_dependent(prompt):
        return True
    asked = (turn.text for turn in reversed(said) if turn.role == "user")
    for before in islice(asked, _MOST_LEANT_ON):
        if not leans_back(prompt):
            return False
        if is_time_dependent(before):
            return not tells_of_oneself(_REQUESTING.sub("", before.lower().replace("’", "'")))
        prompt = before
    return False
