"""The data plane's errors.

    TollwayError
    ├── Refusal          the caller gets this status and sentence; nothing is broken
    ├── CacheFault       the answer cache did not answer: a counted miss
    ├── EmbedderFault    no vector could be made: a counted miss
    │   ├── TextRefused      of this text there will never be one
    │   ├── VectorsUnfit     they are of another length than was said
    │   └── EmbeddingUnpaid  the tenant's budget has no room for it
    ├── LedgerFault      spending could not be counted: the tenant's budget says what then
    ├── SnapshotFault    a snapshot could not be read: the last good one stays
    ├── WorkersError     none of several processes of this machine can be started
    ├── UpstreamFault    one attempt at a provider failed
    │   └── EndpointForbidden  it is at an address that this installation does not ask
    └── CallerGone       nobody waits for the reply any more

Adapters raise the faults, translated from their third party's; a fault's message never holds a prompt or a key.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tollway_api.routing_policy import FallbackTrigger


class TollwayError(Exception):
    """The root of everything this package raises on purpose."""


class RefusalCode(StrEnum):
    """The `code` of an error reply, in the words OpenAI's clients know where they have one."""

    INVALID_REQUEST = "invalid_request"
    INVALID_API_KEY = "invalid_api_key"
    EXPIRED_API_KEY = "expired_api_key"
    FORBIDDEN = "forbidden"
    NO_POLICY = "no_policy"
    MODEL_NOT_FOUND = "model_not_found"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    CONTENT_FILTER = "content_filter"
    TOO_LARGE = "request_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    BUDGET_EXCEEDED = "budget_exceeded"
    BUDGET_UNAVAILABLE = "budget_unavailable"
    PROVIDER_REFUSED = "provider_refused"
    PROVIDERS_UNAVAILABLE = "providers_unavailable"
    CACHE_UNAVAILABLE = "cache_unavailable"
    NOT_READY = "not_ready"
    OVERLOADED = "overloaded"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL = "internal_error"


@dataclass(eq=False)
class Refusal(TollwayError):  # noqa: N818 - not an error of ours: the caller's request is answered with it
    """A reply with a status of 400 or more. `message` is for the caller, so it says how to mend it."""

    status: int
    code: RefusalCode
    message: str
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"


class CacheFault(TollwayError):  # noqa: N818 - named for what it is in this house: an operational fault
    """`reason` is a member of `core.decision.CacheReason`, as text."""

    def __init__(self, reason: str, attempted: str) -> None:
        super().__init__(f"{reason}: {attempted}")
        self.reason = reason


class EmbedderFault(TollwayError):  # noqa: N818 - see CacheFault
    """The embedder is overloaded, closed or broken."""

    def __init__(self, message: str, *, may_be_billed: bool = False) -> None:
        super().__init__(message)
        self.may_be_billed = may_be_billed  # by a provider, although no vector came


class EmbeddingUnpaid(EmbedderFault):
    """It would cost more than its tenant may spend now."""


class TextRefused(EmbedderFault):
    """The text cannot be embedded, and trying again would not help; others may."""


class VectorsUnfit(EmbedderFault):
    """The vectors that are given are of another length than was said, and so will the next ones be."""


class LedgerFault(TollwayError):  # noqa: N818 - see CacheFault
    """The ledger's Redis did not answer in time, or not sensibly."""


class SnapshotFault(TollwayError):  # noqa: N818 - see CacheFault
    """The snapshot is missing, damaged or of another schema version."""


@dataclass(eq=False)
class UpstreamFault(TollwayError):  # noqa: N818 - see CacheFault
    """One attempt failed. Without a trigger the fault is the request's own and no other model would help."""

    trigger: FallbackTrigger | None
    status: int | None  # what the provider answered; None when it did not
    message: str
    retry_after_s: float | None = None
    may_have_run: bool = False  # the provider may bill for it although no answer came
    unsent: bool = False  # it has not even heard of the request

    @property
    def kind(self) -> str:
        """In more detail than the trigger: the status of the provider's reply, where that is an error's, or what became
        of the connection.
        """
        if self.status is not None and self.status >= 400:
            return str(self.status)
        if self.unsent:
            return "Unconnected"
        return self.trigger or "Refused"

    def __str__(self) -> str:
        return f"{self.trigger or 'refused'} ({self.status}): {self.message}"


class EndpointForbidden(UpstreamFault):
    """Nothing was sent. Nobody is told the address, since whoever wrote the endpoint could look around by it."""

    def __init__(self) -> None:
        message = "the model is not set up: its endpoint is at an address that may not be asked"
        super().__init__(FallbackTrigger.SERVER_ERROR, None, message)

    @property
    def kind(self) -> str:
        return "ForbiddenEndpoint"


# The status of a request whose caller is gone, in nginx's words; no reply is sent, so only metrics and logs see it.
CLIENT_CLOSED_REQUEST: Final = 499


class CallerGone(TollwayError):  # noqa: N818 - see CacheFault
    """The caller closed its connection before the reply had ended."""
