"""What a status says: conditions as in GEP-1364, each with the generation it speaks of and a reason from a documented
enum. `Accepted`: valid enough to yield configuration. `ResolvedRefs`: everything it names is there. `Programmed`: every
ready data-plane pod acknowledged it. `Ready` sums up, for `kubectl wait`.

Made by the operator's `status`; the models of statuses are in the modules of the kinds.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, WithJsonSchema
from pydantic.config import JsonDict

from tollway_api.meta import Spec
from tollway_api.problems import ProblemReason


class ConditionType(StrEnum):
    ACCEPTED = "Accepted"
    RESOLVED_REFS = "ResolvedRefs"
    PROGRAMMED = "Programmed"
    INDEX_READY = "IndexReady"
    WITHIN_BUDGET = "WithinBudget"
    KEYS_VALID = "KeysValid"
    REDIS_SOUND = "RedisSound"
    ACCURACY_MET = "AccuracyMet"
    QUALITY_MET = "QualityMet"
    READY = "Ready"


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionReason(StrEnum):
    """The reasons that are not a problem's own (`ProblemReason`)."""

    ACCEPTED = "Accepted"
    RESOLVED = "Resolved"
    PROGRAMMED = "Programmed"
    READY = "Ready"
    PENDING = "Pending"  # not decided yet
    NOT_ACCEPTED = "NotAccepted"
    NOT_RESOLVED = "NotResolved"  # left out for want of what it names
    NOT_PUBLISHED = "NotPublished"  # the snapshot that holds it cannot travel
    PUBLICATION_UNKNOWN = (
        "PublicationUnknown"  # an earlier operator has published it, and this one cannot read that
    )
    NO_DATA_PLANE = "NoDataPlane"  # no pod is ready
    DATA_PLANE_UNKNOWN = "DataPlaneUnknown"  # which pods there are could not be asked
    WAITING_FOR_PODS = "WaitingForPods"  # some pods have not acknowledged yet
    REJECTED_BY_POD = "RejectedByPod"  # a pod keeps an older revision
    DELETING = "Deleting"  # left out of what is published, and held by a finalizer
    INDEX_READY = "IndexReady"
    REDIS_SOUND = "RedisSound"
    STORE_UNAVAILABLE = "StoreUnavailable"  # Redis did not answer
    INDEX_REFUSED = "IndexRefused"  # Redis would not make it
    NOT_HELD = "NotHeld"  # no finalizer could be written, without which nothing is made for it
    MIGRATING = "Migrating"  # it is being changed to another embedding, and answers meanwhile
    EMBEDDING_UNUSABLE = "EmbeddingUnusable"  # it gives no vectors that fit; an old one stays
    REDIS_FULL = "RedisFull"  # it has no room for what is to be embedded anew; the old one stays
    WITHIN_BUDGET = "WithinBudget"
    BUDGET_ALERT = "BudgetAlert"  # above the alert threshold
    EXHAUSTED = "Exhausted"  # what is left is less than requests need
    BUDGET_EXCEEDED = "BudgetExceeded"
    KEYS_VALID = "KeysValid"
    KEY_EXPIRING = "KeyExpiring"  # within a week
    KEYS_EXPIRED = "KeysExpired"  # all of them
    ACCURACY_MET = "AccuracyMet"
    NO_BOUND = "NoBound"  # none is asked for
    TOO_FEW_LABELS = "TooFewLabels"
    ACCURACY_BREACHED = "AccuracyBreached"
    QUALITY_MET = "QualityMet"
    QUALITY_BREACHED = "QualityBreached"
    USAGE_UNKNOWN = "UsageUnknown"  # the ledger did not answer


Reason = ConditionReason | ProblemReason
# Before it is known of which condition, and since when: status, reason and message.
ConditionState = tuple[ConditionStatus, ConditionReason, str]

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


def moment(milliseconds: int) -> Time:
    """Since the epoch, as the API writes it."""
    return datetime.fromtimestamp(milliseconds / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Condition(Spec):
    """The shape of `metav1.Condition`."""

    type: str = Field(
        max_length=316, pattern=r"^[A-Za-z]([A-Za-z0-9]*)$", description="What this speaks of, in CamelCase."
    )
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int = Field(ge=0, description="The generation of the spec that this speaks of.")
    last_transition_time: Time = Field(description="When status last changed.")
    reason: str = Field(
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Why, as one word for programs.",
    )
    message: str = Field(max_length=32768, description="Why, as a sentence for people.")


CONDITIONS_SCHEMA: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
Conditions = Annotated[list[Condition], Field(max_length=16)]


def merge(old: Sequence[Condition], new: Iterable[Condition]) -> list[Condition]:
    """The new conditions, each with its old transition time where its status has not changed."""
    before = {(condition.type, condition.status): condition.last_transition_time for condition in old}

    def since(condition: Condition) -> str:
        return before.get((condition.type, condition.status), condition.last_transition_time)

    return [each.model_copy(update={"last_transition_time": since(each)}) for each in new]
