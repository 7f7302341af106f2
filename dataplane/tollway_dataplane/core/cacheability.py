"""Whether a request is one to answer from memory at all: the first gate of the cache."""

from tollway_api.snapshot import Policy
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.facts import ChatRequest


def bypass_reason(request: ChatRequest, policy: Policy) -> CacheReason | None:
    """Why the cache must not be asked; None when it may be."""
    if policy.cache is None:
        return CacheReason.NO_CACHE
    directives = request.headers.get("cache-control", "").lower()
    if "no-cache" in directives or "no-store" in directives:
        return CacheReason.OPTED_OUT
    if request.parameters.get("tools") or request.parameters.get("functions"):
        return CacheReason.HAS_TOOLS
    if request.prompt is None:
        return CacheReason.NOT_PLAIN_TEXT
    if request.choices > 1:
        return CacheReason.SEVERAL_CHOICES
    temperature = request.parameters.get("temperature")
    if isinstance(temperature, int | float) and temperature > policy.cache.max_temperature:
        return CacheReason.HIGH_TEMPERATURE
    return None
