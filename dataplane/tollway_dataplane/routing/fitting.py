"""Whether the model that was chosen can do what is asked and has room for it, and who takes its place where not."""

from dataclasses import replace
from typing import Final

from tollway_api.meta import ModelName
from tollway_api.routing_policy import Capability
from tollway_api.snapshot import Model, Policy
from tollway_dataplane.core.capabilities import is_proven, lacking
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.tokens import estimate_prompt
from tollway_dataplane.core.values import value
from tollway_dataplane.errors import Refusal, RefusalCode
from tollway_dataplane.routing.complexity import Assessment

# What is left of a context window for an answer, where nobody says how long it may be: one part in four, and no more
# than the model can write.
_ANSWER_SHARE: Final = 4
# The field to blame.
_PARAMS: Final = {
    Capability.AUDIO: "messages",
    Capability.JSON_MODE: "response_format",
    Capability.JSON_SCHEMA: "response_format",
    Capability.LOGPROBS: "logprobs",
    Capability.TOOLS: "tools",
    Capability.VISION: "messages",
}


@value
class Choice:
    """The model for the first attempt, and why."""

    model: ModelName
    reason: RouteReason
    assessment: Assessment | None = None  # of the last turn, where the router chose
    ease: float | None = None  # of the whole, on the scale by which answers are judged, where they are
    needs: frozenset[Capability] = frozenset()  # what the request needs of a model, once it is placed


def check_named(model: Model, wanted: frozenset[Capability], policy: Policy) -> None:
    """Checks the model that the caller has named. Its provider knows best how long a prompt may be, and says so; but
    not all say what they cannot do, and LiteLLM leaves it out for them.

    Raises Refusal 400 where it surely cannot do what is asked.
    """
    if lacks := lacking(model, wanted):
        others = sorted(name for name, each in policy.models.items() if not lacking(each, wanted))
        hint = f"ask for one of: {', '.join(others)}" if others else "nor can any other of this policy"
        raise _refusal(f"model {model.name!r} cannot do", lacks, hint)


def able_model(choice: Choice, request: ChatRequest, wanted: frozenset[Capability], policy: Policy) -> Choice:
    """The chosen model, or the first of the others that can do what is asked and has room for it. A model of which that
    is doubtful does only where there is no other. Where none has room it is the one with most, for which turns are left
    out once it has found the prompt too long.

    Raises Refusal 400 where all surely cannot.
    """
    chosen = policy.models[choice.model]
    tokens = estimate_prompt(request.messages, request.parameters)
    if is_proven(chosen, wanted) and _has_room(chosen, tokens, request):
        return choice
    candidates = _in_order(chosen, policy)
    able = [each for each in candidates if not lacking(each, wanted)]
    if not able:
        lacks = frozenset.intersection(*(lacking(each, wanted) for each in candidates))
        hint = "whoever runs this gateway may add one that can, or list it in the capabilities of one"
        raise _refusal(f"no one model of policy {policy.id} can do", lacks or wanted, hint)
    proven = [each for each in able if is_proven(each, wanted)] or able
    roomy = (each for pool in (proven, able) for each in pool if _has_room(each, tokens, request))
    model = next(roomy, None) or max(proven, key=lambda each: each.context_window)
    if model is chosen:
        return choice
    reason = RouteReason.CONTEXT_WINDOW if chosen in proven else RouteReason.CAPABILITY
    return replace(choice, model=model.name, reason=reason)


def _in_order(chosen: Model, policy: Policy) -> list[Model]:
    """Who may answer, the best first: who was chosen, whose stead it was to take, the model for what is complex, and
    the others, the cheapest first.
    """
    route, models = policy.route, policy.models
    stead = [models[each.of] for each in route.canaries if each.model == chosen.name]
    tried = {each.model for each in route.canaries}
    others = [each for each in models.values() if each.name not in tried]
    others.sort(key=lambda each: (each.price.blended, each.context_window, each.name))
    ordered = {each.name: each for each in (chosen, *stead, models[route.complex], *others)}
    return list(ordered.values())


def _has_room(model: Model, prompt_tokens: int, request: ChatRequest) -> bool:
    answer = request.output_limit or model.context_window // _ANSWER_SHARE
    return prompt_tokens + min(answer, model.max_output_tokens) <= model.context_window


def _refusal(who: str, lacks: frozenset[Capability], hint: str) -> Refusal:
    message = f"{who} what this request needs ({', '.join(sorted(lacks))}); {hint}"
    return Refusal(400, RefusalCode.INVALID_REQUEST, message, _PARAMS[min(lacks)])
