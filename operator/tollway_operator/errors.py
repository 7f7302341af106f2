"""The operator's errors.

    OperatorError
    ├── StoreFault        Redis did not do what it was asked
    │   └── StoreRefusal  it answered, and would not
    ├── KubeFault         the Kubernetes API did not do what it was asked
    │   ├── NotFound      there is no such object
    │   ├── Forbidden     this operator's role does not allow it
    │   ├── Unanswered    it said nothing, or that it has no time
    │   ├── Conflict      the object has changed since it was read
    │   └── Invalid       the API server will not take this, however often it is asked
    ├── PublishFault      the snapshot cannot travel
    └── LeadershipLost    another replica leads: this process must write nothing more, and ends

A user's mistake is never one of these: it is a Problem.
"""


class OperatorError(Exception):
    """The root of everything this package raises on purpose."""


class StoreFault(OperatorError):  # noqa: N818 - named for what it is in this house: an operational fault
    """The message names the server's role and what was attempted, never its password."""


class StoreRefusal(StoreFault):
    """The message says why, in Redis's words."""


class KubeFault(OperatorError):  # noqa: N818 - see StoreFault
    """The message names what was attempted and what the API server said. `retry_after_s` is what it asked for."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotFound(KubeFault):
    """There is no such object."""


class Forbidden(KubeFault):
    """The role does not allow it."""


class Unanswered(KubeFault):
    """Nothing was said of the object: the API server is away, slow or busy, as far as can be told."""


class Conflict(KubeFault):
    """Somebody was faster, or it exists already."""


class Invalid(KubeFault):
    """What was written breaks a rule of the object's kind."""


class PublishFault(OperatorError):  # noqa: N818 - see StoreFault
    """The message says why."""


class LeadershipLost(OperatorError):  # noqa: N818 - see StoreFault
    """Raised out of everything that would write."""
