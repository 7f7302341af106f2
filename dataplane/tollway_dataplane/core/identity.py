"""The identity partition: everything besides the last user turn that changes the right answer. Only prompts of
one partition are ever compared by meaning; two requests of different partitions never share an answer.
"""

import hashlib
import unicodedata
from typing import Final

import orjson

from tollway_api import wire
from tollway_api.routing_policy import TimeDependent
from tollway_api.semantic_cache_index import Scope
from tollway_api.snapshot import Index, Policy, Tenant
from tollway_dataplane.core.facts import ChatRequest

# Parameters that say who asks or how to deliver, and so cannot change what the right answer is. A parameter
# that is not in this list divides the cache: unknown ones are safe, at the price of a miss.
IRRELEVANT_PARAMETERS: Final = frozenset(
    {
        *("metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("safety_identifier", "service_tier", "store", "user"),
    }
)


def partition_of(request: ChatRequest, tenant: Tenant, policy: Policy, index: Index) -> str:
    """32 hex digits that name the partition, the first eight of them its index; also the Redis hash tag of its keys."""
    wanted = tenant.preferred_model if request.wants_auto else request.model
    # What one policy has allowed to be remembered is not for the time when it does not any more.
    lasting = policy.cache is not None and policy.cache.time_dependent is TimeDependent.CACHE
    parts = [
        index.id,
        tenant.name if index.scope is Scope.TENANT else "",
        f"{policy.id} {TimeDependent.CACHE}" if lasting else policy.id,
        wanted,
        request.messages[:-1],
        # Beside its content: who asks, for one.
        {name: value for name, value in request.messages[-1].items() if name != "content"},
        {name: value for name, value in request.parameters.items() if name not in IRRELEVANT_PARAMETERS},
    ]
    canonical = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return wire.index_tag(index.id) + hashlib.sha256(canonical).hexdigest()[:24]


def normalise(prompt: str) -> str:
    """The prompt without differences that cannot carry meaning: Unicode form, line ends, outer blanks and, in
    a prompt of one line, runs of blanks. Indentation and letter case are kept, because they can.
    """
    text = unicodedata.normalize("NFC", prompt).replace("\r\n", "\n").strip()
    # Most prompts have no runs of blanks, and asking is cheaper than replacing every single blank by itself.
    has_runs = "\n" not in text and ("  " in text or "\t" in text)
    return " ".join(filter(None, text.replace("\t", " ").split(" "))) if has_runs else text


def entry_of(prompt: str) -> str:
    """32 hex digits that name a normalised prompt within its partition."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:32]
