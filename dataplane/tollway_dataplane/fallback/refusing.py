"""What a caller is told when no provider has answered: in words for the caller, and without anything of ours."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from tollway_api.routing_policy import FallbackTrigger
from tollway_dataplane.core.attempts import Failure
from tollway_dataplane.core.redaction import without_secrets
from tollway_dataplane.errors import Refusal, RefusalCode, UpstreamFault
from tollway_dataplane.record import AttemptNote

# Of a provider's replies, those that are about what the caller sent; others are between it and whoever runs us.
_ABOUT_THE_REQUEST: Final = frozenset({400, 413, 415, 422})
# Those with which it refuses our account, our key, or the model that a policy names.
_ABOUT_US: Final = frozenset({401, 402, 403, 404})
# Seconds until it is worth trying again, where nobody has said.
_USUAL_WAIT_S: Final = 5


def refusal_of(failures: Sequence[Failure], notes: Sequence[AttemptNote], ready_in_s: float) -> Refusal:
    """What the caller is told when all attempts have failed, of which the last says most, or none could be made. The
    first model is ready in so many seconds, or 0 where that is not known.
    """
    if failures:
        last = failures[-1]
        if (refusal := _of_last(last.fault, last.attempt.model.secrets.values())) is not None:
            return refusal
        ready_in_s = ready_in_s or last.fault.retry_after_s or 0.0
    tried = ", ".join(f"{each.model}: {each.outcome}" for each in notes)
    return _unavailable(f" ({tried})" if tried else "", ready_in_s)


def provider_refusal(fault: UpstreamFault, secrets: Iterable[str]) -> Refusal:
    """The same of the only attempt, which was made with these keys of ours."""
    return _of_last(fault, secrets) or _unavailable("", fault.retry_after_s or 0.0)


def _unavailable(tried: str, wait_s: float) -> Refusal:
    message = f"every model that may answer is unavailable right now{tried}; please try again in a moment"
    headers = {"retry-after": str(max(1, math.ceil(wait_s)) if wait_s else _USUAL_WAIT_S)}
    return Refusal(503, RefusalCode.PROVIDERS_UNAVAILABLE, message, headers=headers)


def _of_last(fault: UpstreamFault, secrets: Iterable[str]) -> Refusal | None:
    """What the provider has against the request, or us; None where it was not well."""
    if fault.trigger is FallbackTrigger.CONTEXT_OVERFLOW:
        sentence = without_secrets(fault.message, secrets)
        message = f"the prompt is too long for every model that may answer: {sentence}"
        return Refusal(400, RefusalCode.CONTEXT_LENGTH_EXCEEDED, message, "messages")
    if fault.trigger is FallbackTrigger.CONTENT_FILTER:
        message = f"the provider withholds an answer: {without_secrets(fault.message, secrets)}"
        return Refusal(400, RefusalCode.CONTENT_FILTER, message)
    if fault.status in _ABOUT_US:
        message = "the provider refuses this gateway's account or the model it asks for; tell whoever runs it"
        return Refusal(502, RefusalCode.PROVIDER_REFUSED, message)
    if fault.trigger is not None:
        return None
    if fault.status is None:  # it was not even asked
        return Refusal(400, RefusalCode.INVALID_REQUEST, fault.message)
    if fault.status in _ABOUT_THE_REQUEST:
        message = f"the provider refused: {without_secrets(fault.message, secrets)}"
        return Refusal(fault.status, RefusalCode.INVALID_REQUEST, message)
    message = f"the provider refused with status {fault.status}; tell whoever runs this gateway"
    return Refusal(502, RefusalCode.PROVIDER_REFUSED, message)
