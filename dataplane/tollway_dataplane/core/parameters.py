"""A request's parameters as a model is sent them. Called by who sends them, and by who counts what that may cost."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tollway_api.snapshot import Model
from tollway_dataplane.core.facts import OUTPUT_LIMITS, JsonObject, JsonValue

# OpenAI's own, which refuse the older name of the bound on an answer; many other servers know only that one.
_OPENAIS_REASONING: Final = ("o1", "o3", "o4", "gpt-5")
# Parameters by which a caller asks for what is not seen.
_SETTING_UNSEEN: Final = frozenset({"reasoning_effort", "reasoning", "thinking", "audio"})
_UNSEEN: Final = (*_OPENAIS_REASONING, "gemini-2.5", "gemini-3")
# Of OpenAI's models that think (its guides "Reasoning models" and "Using GPT-5", parameter compatibility): values that
# are as good as none, of what they refuse always, and while they think.
_NEVER: Final[JsonObject] = {"presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}}
_NOT_WHILE_THINKING: Final[JsonObject] = {"temperature": 1, "top_p": 1, "logprobs": False, "top_logprobs": 0}
_TALKING: Final = re.compile(r"gpt-5(\.\d+)?-chat")
_THINKING_IF_ASKED: Final = re.compile(r"gpt-5\.\d")
_WITHOUT_STOP: Final = ("o3", "o4", "gpt-5")
# Names of parameters that may be told in a header.
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_NAMES: Final = 16


def sent_parameters(parameters: JsonObject, model: Model) -> JsonObject:
    """The caller's parameters with those that the policy adds, which replace the caller's own."""
    return {**parameters, **model.extra_body} if model.extra_body else parameters


@lru_cache(1_024)  # models are few, and each request asks several times
def bound_name(upstream_id: str) -> str:
    """What a model calls the bound on its answer."""
    return "max_completion_tokens" if _bare(upstream_id).startswith(_OPENAIS_REASONING) else "max_tokens"


def is_seen(upstream_id: str, parameters: JsonObject) -> bool:
    """Whether all that an answer costs is seen as it comes, so that it can be ended where the budget does. Otherwise a
    part is thought in secret, or spoken.
    """
    thinks = any(parameters[name] is not None for name in _SETTING_UNSEEN & parameters.keys())
    return not thinks and not _bare(upstream_id).startswith(_UNSEEN)


def _bare(upstream_id: str) -> str:
    return upstream_id.rpartition("/")[2]


def unknown_to_thinkers(upstream_id: str, parameters: JsonObject) -> frozenset[str]:
    """The parameters that one of OpenAI's models would refuse because it thinks; of other models none."""
    bare = upstream_id.rpartition("/")[2]
    if bound_name(upstream_id) == OUTPUT_LIMITS[0] or _TALKING.match(bare):
        return frozenset()
    effort = parameters.get("reasoning_effort")
    thinks = not _THINKING_IF_ASKED.match(bare) or effort not in {None, "none"}
    refused = {**_NEVER, **(_NOT_WHILE_THINKING if thinks else {})}
    if bare.startswith(_WITHOUT_STOP):
        refused["stop"] = None
    given = {name: value for name, value in parameters.items() if value is not None}
    return frozenset(name for name in refused.keys() & given.keys() if given[name] != refused[name])


def with_bound_named(upstream_id: str, parameters: JsonObject) -> JsonObject:
    """The bound on the answer under the newer name, for models that refuse the older one."""
    older, newer = OUTPUT_LIMITS
    if bound_name(upstream_id) == older or parameters.get(older) is None:
        return parameters
    renamed: dict[str, JsonValue] = {name: value for name, value in parameters.items() if name != older}
    if renamed.get(newer) is None:  # a null is no bound, and must not take the place of one
        renamed[newer] = parameters[older]
    return renamed


def tellable(names: Iterable[str]) -> list[str]:
    """The names that may be told to people, of those that a caller may have made up: well formed, and not too many."""
    return sorted(filter(_NAME.fullmatch, names))[:_MOST_NAMES]
