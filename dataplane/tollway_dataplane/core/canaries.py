"""Which of two models a conversation goes to where one of them is tried out on a share of the other's. Decided by what
stays the same all through a conversation, so no pod has to remember anything, and all decide alike.
"""

import hashlib
import math
from typing import Final

from tollway_api.meta import ModelName, TenantName
from tollway_api.snapshot import Policy
from tollway_dataplane.core.facts import ChatRequest, user_texts

# By which a caller may say what belongs together.
SESSION_HEADER: Final = "x-tollway-session"
_DRAWS: Final = 1 << 52  # as many as a float tells apart, and still from 1


def drawn(of: ModelName, request: ChatRequest, tenant: TenantName, policy: Policy) -> ModelName:
    """The model itself, or the one of its canaries that is tried out on this conversation."""
    canaries = policy.route.canaries
    if not canaries or all(each.of != of for each in canaries):
        return of
    return _drawn(of, _conversation(request, tenant), policy)


def canaries_drawn(request: ChatRequest, tenant: TenantName, policy: Policy) -> list[ModelName]:
    """All that this conversation meets wherever it is sent to the models that they are tried out beside."""
    if not policy.route.canaries:
        return []
    conversation = _conversation(request, tenant)
    found = {_drawn(each.of, conversation, policy) for each in policy.route.canaries}
    return sorted(found & {each.model for each in policy.route.canaries})


def _conversation(request: ChatRequest, tenant: TenantName) -> str:
    """What tells one from another: the caller's own word, or how its user began it. The system prompt does not, since
    many bear the time of day; nor does `user`, by which an application may mean itself.
    """
    session = request.headers.get(SESSION_HEADER)
    kind, words = (
        ("turn", next(user_texts(request.messages), "")) if session is None else ("session", session)
    )
    return hashlib.sha256(f"{tenant}\n{kind}\n{words}".encode("utf-8", "surrogatepass")).hexdigest()


def _drawn(of: ModelName, conversation: str, policy: Policy) -> ModelName:
    """Each in proportion to its share, by weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted
    Distributed Hash Tables", SPAA 2005): a share that grows takes conversations and gives none away.
    """
    shares = {each.model: each.share for each in policy.route.canaries if each.of == of}
    shares[of] = max(0.0, 1.0 - sum(shares.values()))
    able = [model for model, share in shares.items() if share > 0]
    return max(able, key=lambda model: shares[model] / -math.log(_draw(conversation, model, policy)))


def _draw(conversation: str, model: ModelName, policy: Policy) -> float:
    """Between 0 and 1, neither included."""
    digest = hashlib.sha256(f"{policy.id}\n{model}\n{conversation}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") % _DRAWS + 0.5) / (_DRAWS + 1)
