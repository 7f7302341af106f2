"""What can be wrong with an object, as data: a user's mistake is never an exception. The reasons are the
documented enum that conditions, `tollway validate` and the logs show.

Made by `inventory` and `compiler`; read by everything that talks to a user.
"""

from dataclasses import dataclass
from enum import StrEnum

from tollway_api.meta import Identity


class Severity(StrEnum):
    ERROR = "Error"  # the object is left out of the snapshot
    WARNING = "Warning"  # the object works, but not as its author may think


class ProblemReason(StrEnum):
    """Why an object is not, or not quite, what its author meant."""

    UNREADABLE = "Unreadable"  # not YAML, or not an object of a known kind
    INVALID = "Invalid"  # a field breaks its own rule
    UNKNOWN_REFERENCE = "UnknownReference"  # names an object or a model that is not there
    MISSING_SECRET = "MissingSecret"  # noqa: S105 - a reason, not a password
    UNREADABLE_SECRET = "UnreadableSecret"  # noqa: S105 - a reason, not a password
    STALE_SECRET = "StaleSecret"  # noqa: S105 - a reason; what it held when it could be read goes on
    CONFLICT = "Conflict"  # an older object already claims this
    UNKNOWN_MODEL = "UnknownModel"  # neither the catalogue nor the user says what this model is
    FORBIDDEN_ENDPOINT = "ForbiddenEndpoint"  # an address that this installation does not ask
    UNKNOWN_PRICE = "UnknownPrice"  # nobody says what this model costs
    THRESHOLD_ORDER = "ThresholdOrder"  # the strict threshold is not the stricter one


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding on one object. `field` is a path such as `spec.models[0].pricing`, or "" for the whole."""

    identity: Identity
    field: str
    reason: ProblemReason
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.identity}: {self.field}" if self.field else str(self.identity)
        return f"{where}: {self.message} ({self.reason})"

    @property
    def sort_key(self) -> tuple[Identity, str, str, str]:
        return (self.identity, self.field, self.reason, self.message)
