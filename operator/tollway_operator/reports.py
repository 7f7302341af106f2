"""What is known of a data-plane pod: what the API server says of it, and what it said last itself. Pure data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tollway_api.messages import Lookups
from tollway_api.routing_policy import ModelState, ModelStatus

# Models that are, as a pod says it in its PodState: by policy id and name.
Unwell = Mapping[str, Mapping[str, ModelState]]
FIRST_PAUSE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class DataPlanePod:
    uid: str
    name: str
    address: str  # "" before it has one
    ready: bool  # and not about to end
    gone: bool
    incarnation: str  # changes when its container is another


@dataclass(frozen=True, slots=True)
class Report:
    """What a pod said last. `trouble` is why it does not run what it was told, in words for people."""

    pod: DataPlanePod
    digest: str | None = None
    trouble: str = ""
    rejected: bool = False
    lookups: dict[str, Lookups] = field(default_factory=dict)
    purged: int = 0  # up to which epoch it has forgotten what was purged
    unfit: dict[str, str] = field(default_factory=dict)  # as it says it in its PodState
    models: dict[str, dict[str, ModelState]] = field(default_factory=dict)  # likewise
    next_at: float = 0.0
    pause_s: float = FIRST_PAUSE_S


def why_in_use(pods: Iterable[DataPlanePod], reports: Mapping[str, Report], digest: str | None) -> str:
    """Why a pod may still be writing into an index that the newest snapshot has not; "" when none can: none that is
    ready, has ever answered, or is still to be asked. One that is about to end finishes its requests first.
    """
    for pod in pods:
        report = reports.get(pod.uid)
        if report is None:
            return f"{pod.name} has not been asked yet"
        if report.digest != digest and (pod.ready or report.digest or not report.trouble):
            return f"{pod.name} still uses it"
    return ""


def forgotten_by(reports: Iterable[Report]) -> dict[str, int]:
    """Up to which epoch each ready pod has forgotten what was purged, by its name."""
    return {report.pod.name: report.purged for report in reports if report.pod.ready}


def lookups_of(reports: Iterable[Report]) -> dict[str, Lookups]:
    """What all ready pods together have asked of each index, by its id."""
    sums: dict[str, Lookups] = {}
    for report in reports:
        for index_id, seen in report.lookups.items() if report.pod.ready else ():
            before = sums.get(index_id, Lookups(0, 0))
            sums[index_id] = Lookups(before.hits + seen.hits, before.total + seen.total)
    return sums


def unfit_of(reports: Iterable[Report]) -> dict[str, str]:
    """Why the vectors for an index's look-ups do not fit, by its id, as a ready pod has found."""
    return {index_id: why for report in reports if report.pod.ready for index_id, why in report.unfit.items()}


def unwell_of(reports: Iterable[Report]) -> list[Unwell]:
    """What each ready pod that has spoken says of models."""
    return [report.models for report in reports if report.pod.ready and report.digest]


def models_of(policy_id: str, names: Iterable[str], said: Sequence[Unwell]) -> list[ModelStatus]:
    """How each of a policy's models is, as the pod sees it that sees it worst; none while no pod has spoken."""
    of_policy = [each.get(policy_id, {}) for each in said]
    found = []
    for name in names if said else ():
        states = [each.get(name, ModelState.HEALTHY) for each in of_policy]
        worst = next(each for each in reversed(ModelState) if each in states)
        found.append(ModelStatus.model_construct(name=name, state=worst, seen_by=states.count(worst)))
    return found
