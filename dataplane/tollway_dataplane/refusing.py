"""What a caller is told when no provider has answered: in words for the caller, and without anything of ours."""

from collections.abc import Sequence
from typing import Final

from tollway_api.routing_policy import FallbackTrigger
from tollway_dataplane.core.attempts import Failure
from tollway_dataplane.core.redaction import without_secrets
from tollway_dataplane.errors import Refusal, RefusalCode, UpstreamFault

# Of a provider's replies, those that are about what the caller sent; others are between it and whoever runs us.
_ABOUT_THE_REQUEST: Final = frozenset({400, 413, 415, 422})
# Those with which it refuses our account, our key, or the model that a policy names.
_ABOUT_US: Final = frozenset({401, 402, 403, 404})


def refusal_of(failures: Sequence[Failure]) -> Refusal:
    """What the caller is told when all attempts have failed, of which the last says most."""
    if failures:
        *_, last = failures
        return provider_refusal(last.fault, last.attempt.model.api_key, failures)
    return provider_refusal(None, None)


def provider_refusal(
    fault: UpstreamFault | None, key: str | None, failures: Sequence[Failure] = ()
) -> Refusal:
    """The same of the fault that was the last, in an attempt that was made with this key of ours."""
    if fault is not None and fault.trigger is FallbackTrigger.CONTEXT_OVERFLOW:
        sentence = without_secrets(fault.message, key)
        message = f"the prompt is too long for every model that may answer: {sentence}"
        return Refusal(400, RefusalCode.CONTEXT_LENGTH_EXCEEDED, message, "messages")
    if fault is not None and fault.status in _ABOUT_US:
        message = "the provider refuses this gateway's account or the model it asks for; tell whoever runs it"
        return Refusal(502, RefusalCode.PROVIDER_REFUSED, message)
    if fault is not None and fault.trigger is FallbackTrigger.CONTENT_FILTER:
        message = f"the provider withholds an answer: {without_secrets(fault.message, key)}"
        return Refusal(400, RefusalCode.CONTENT_FILTER, message)
    if fault is not None and fault.trigger is None:
        if fault.status is None:  # it was not even asked
            return Refusal(400, RefusalCode.INVALID_REQUEST, fault.message)
        if fault.status in _ABOUT_THE_REQUEST:
            message = f"the provider refused: {without_secrets(fault.message, key)}"
            return Refusal(fault.status, RefusalCode.INVALID_REQUEST, message)
        message = f"the provider refused with status {fault.status}; tell whoever runs this gateway"
        return Refusal(502, RefusalCode.PROVIDER_REFUSED, message)
    tried = ", ".join(f"{each.attempt.model.name}: {each.fault.trigger}" for each in failures)
    unavailable = "every model that may answer is unavailable right now" + (f" ({tried})" if tried else "")
    message = f"{unavailable}; please try again in a moment"
    wait = max(1, round(fault.retry_after_s)) if fault is not None and fault.retry_after_s else 5
    return Refusal(503, RefusalCode.PROVIDERS_UNAVAILABLE, message, headers={"retry-after": str(wait)})
