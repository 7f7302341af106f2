"""What happened, as the statuses of the three kinds. Pure: the same view gives the same statuses.

Every condition is always present; one that is not known yet is Unknown. `Ready` sums up the others, so that
`kubectl wait --for=condition=Ready` waits for the right thing; a tenant that has spent its budget is still Ready.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from tollway_api import routing_policy, semantic_cache_index, tenant_budget, wire
from tollway_api.conditions import (
    Condition,
    ConditionReason,
    ConditionStatus,
    ConditionType,
    Reason,
    merge,
    moment,
)
from tollway_api.epochs import Epochs
from tollway_api.error_control import Standing
from tollway_api.leasing import exposures
from tollway_api.messages import Lookups
from tollway_api.meta import Identity, Resource, Spec, TenantName, epoch_ms
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.routing_policy import DataPlaneStatus, RoutingPolicySpec, RoutingPolicyStatus
from tollway_api.semantic_cache_index import PurgeStatus, Scope, SemanticCacheIndexStatus, VersionStatus
from tollway_api.snapshot import Index, Policy, SharedBudget, Snapshot, Tenant
from tollway_api.tenant_budget import TenantBudgetSpec, TenantBudgetStatus
from tollway_api.windows import Usage
from tollway_api.wire import Sample
from tollway_operator.accuracy_status import accuracy_met, accuracy_status
from tollway_operator.budget_status import keys_valid, limit_status, usage_of, used_up_by_all, within_budget
from tollway_operator.coverage import Coverage, Covering
from tollway_operator.index_status import StoreView, index_ready, left_out, redis_sound, unheld, versions_of
from tollway_operator.objects import Edition, Held
from tollway_operator.provision import WarningReason
from tollway_operator.quality_status import quality_met, quality_status
from tollway_operator.reports import Unwell, models_of

ItemT = TypeVar("ItemT")

_UNRESOLVED: Final = frozenset(
    {ProblemReason.UNKNOWN_REFERENCE, ProblemReason.MISSING_SECRET, ProblemReason.UNREADABLE_SECRET}
)
_SAY_AFTER_S: Final = 3.0
# Whose generation some snapshot has held.
_PUBLISHED: Final = frozenset(
    {
        ConditionReason.PROGRAMMED,
        ConditionReason.PUBLICATION_UNKNOWN,
        ConditionReason.NO_DATA_PLANE,
        ConditionReason.DATA_PLANE_UNKNOWN,
        ConditionReason.WAITING_FOR_PODS,
        ConditionReason.REJECTED_BY_POD,
    }
)
# Which was decided on: it is published, or left out.
_DECIDED: Final = _PUBLISHED | {ConditionReason.NOT_ACCEPTED, ConditionReason.NOT_RESOLVED}
_CONDITIONS: Final = TypeAdapter(list[Condition])
_VERSIONS: Final = TypeAdapter(list[VersionStatus])
_PURGES: Final = TypeAdapter(list[PurgeStatus])
_PROGRAMMED: Final = "Every ready pod runs it."
_MOST_NAMED: Final = 16
_MOST_MESSAGE: Final = 2_000


@dataclass(frozen=True, slots=True)
class View:
    """Everything that statuses are made from."""

    snapshot: Snapshot
    problems: Mapping[Identity, Sequence[Problem]]
    editions: Mapping[Identity, Edition]  # of every object that was compiled, or refused
    covering: Covering
    publish_fault: str  # why nothing newer can be published
    pods_unknown: str  # why it is not known which pods there are
    store: StoreView
    usage: Mapping[str, Sequence[Usage]]  # by the ledger's accounts
    usage_fault: str
    lookups: Mapping[str, Lookups]
    now: str  # RFC 3339
    covered: Mapping[str, int] = field(default_factory=dict)  # how many tenants, by shared budgets' ids
    epochs: Epochs | None = None  # None: what was purged is not known
    forgotten: Mapping[str, int] = field(default_factory=dict)  # up to which epoch, by ready pods' names
    standings: Mapping[Sample, Standing] = field(default_factory=dict)  # by what is counted
    standings_fault: str = ""
    unheld: Mapping[Identity, str] = field(
        default_factory=dict
    )  # why indexes are left out; "" while it is not known
    held_up: str = ""  # why some pod may run what was published before, which an index on its way waits for
    unfit: Mapping[str, str] = field(default_factory=dict)  # why vectors for look-ups do not fit, by index id
    unwell: Sequence[Unwell] = ()  # models that are, as each ready pod says it
    uncompiled: str = ""  # why what has changed since could not be compiled, if that lasts
    policies: Mapping[str, Policy] = field(init=False, repr=False)  # of the snapshot, by id

    def __post_init__(self) -> None:
        object.__setattr__(self, "policies", {each.id: each for each in self.snapshot.policies})

    def standing(self, sample: Sample | None) -> Standing | None:
        return None if sample is None else self.standings.get(sample)

    def has_compiled(self, held: Held) -> bool:
        """Whether the object has been looked at as it is now."""
        return self.editions.get(held.identity) == held.edition

    def problems_of(self, held: Held) -> Sequence[Problem]:
        return self.problems.get(held.identity, ()) if self.has_compiled(held) else ()

    def speaks_of(self, held: Held) -> bool:
        """Whether there is anything to say of the object as it is now. One that is deleted has mostly gone before."""
        if held.deleted_at:
            waits = datetime.fromisoformat(self.now) - datetime.fromisoformat(held.deleted_at)
            is_left_out = held.identity not in self.editions
            return (is_left_out or self.uncompiled != "") and waits.total_seconds() > _SAY_AFTER_S
        # What an operator before this one has published stands, and why it has left something out.
        return self.has_compiled(held) or (self.uncompiled != "" and not _was_programmed(held, _DECIDED))


@dataclass(frozen=True, slots=True)
class _Draft:
    """A condition before it is known since when it holds."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason | WarningReason
    message: str


def status_of(held: Held, view: View) -> dict[str, Any]:
    """The status of one object that the view speaks of, in the API's words."""
    match held.identity.kind:
        case routing_policy.KIND:
            return _plain(_policy_status(held, view))
        case tenant_budget.KIND:
            return _plain(_budget_status(held, view))
        case semantic_cache_index.KIND:
            return _plain(_index_status(held, view))
    raise AssertionError(f"no status for {held.identity}")


def conditions_in(status: bytes) -> list[Condition]:
    """The conditions in a status as the API has it; none where they cannot be parsed."""
    return _listed_in(status, "conditions", _CONDITIONS)


def _said(status: bytes) -> dict[str, Any]:
    """The status that the API has now."""
    return dict(json.loads(status or b"{}"))


def _listed_in(status: bytes, field: str, each: TypeAdapter[list[ItemT]]) -> list[ItemT]:
    try:
        found = _said(status).get(field) or []
        return each.validate_python(found if isinstance(found, list) else [found])
    except (ValidationError, ValueError, AttributeError):
        return []


def says(held: Held, condition: ConditionType) -> bool:
    """Whether the status that stands says that this is True of the newest generation."""
    return any(
        each.type == condition
        and each.status is ConditionStatus.TRUE
        and each.observed_generation == held.generation
        for each in conditions_in(held.status)
    )


def _coverage(held: Held, view: View) -> Coverage | None:
    """How many pods run the object as it is now. Where this operator cannot publish, the one before it may have."""
    if _is_inherited(held, view):
        return view.covering.standing
    return view.covering.of(held.identity, held.edition)


def _is_inherited(held: Held, view: View) -> bool:
    """Whether what is said of it is what an operator before this one has published, since this one cannot."""
    if not view.publish_fault or view.covering.of(held.identity, held.edition) is not None:
        return False
    return _was_programmed(held, _PUBLISHED)


def _was_programmed(held: Held, reasons: Collection[str]) -> bool:
    """Whether the status that stands gives one of these reasons for what it says of the newest generation."""
    return any(
        each.type == ConditionType.PROGRAMMED
        and each.reason in reasons
        and each.observed_generation == held.generation
        for each in conditions_in(held.status)
    )


def _is_published(held: Held, view: View) -> bool:
    return _is_inherited(held, view) or view.covering.of(held.identity, held.edition) is not None


def _policy_status(held: Held, view: View) -> RoutingPolicyStatus:
    coverage = _coverage(held, view)
    drafts = [*_standing(held, view), _programmed(held, view, coverage)]
    plane = DataPlaneStatus()
    if coverage is None and _is_inherited(held, view):
        plane = DataPlaneStatus.model_construct(revision=_revision_said(held))
    elif coverage is not None and not view.pods_unknown:
        plane = DataPlaneStatus.model_construct(
            revision=_revision_shown(held, coverage), acknowledged=coverage.acknowledged, ready=coverage.ready
        )
    spec = held.parsed.spec if isinstance(held.parsed, Resource) else None
    names: list[str] = []
    if isinstance(spec, RoutingPolicySpec) and coverage is not None and not view.pods_unknown:
        names = [model.name for model in spec.models]
    policy = view.policies.get(held.identity.path) if _is_published(held, view) else None
    known = view.standing(wire.choices_of(policy) if policy else None)
    good = _left_alone(held, ConditionType.QUALITY_MET) or _Draft(
        ConditionType.QUALITY_MET, *quality_met(policy, known, view.standings_fault)
    )
    return RoutingPolicyStatus.model_construct(
        conditions=_conditions(held, drafts, view, beside=[good]),
        data_plane=plane,
        quality=quality_status(policy, known),
        models=models_of(held.identity.path, names, view.unwell),
    )


def _budget_status(held: Held, view: View) -> TenantBudgetStatus:
    drafts = [*_standing(held, view), _programmed(held, view, _coverage(held, view))]
    spec = held.parsed.spec if isinstance(held.parsed, Resource) else None
    is_shared = isinstance(spec, TenantBudgetSpec) and spec.is_shared
    name = TenantName((spec.tenant if isinstance(spec, TenantBudgetSpec) else None) or held.identity.name)
    account = held.identity.path if is_shared else name
    budget: Tenant | SharedBudget | None = None
    if _is_published(held, view):
        budget = view.snapshot.shared.get(account) if is_shared else view.snapshot.tenants.get(name)
    covers = view.covered.get(account, 0) if is_shared else 1
    usage = usage_of(account, budget.limits, view.usage) if budget is not None else []
    exposed: list[int | None] = []
    if usage and budget and not view.pods_unknown:
        exposed = exposures(budget, view.covering.pods, covers)
    limits = [limit_status(each, most) for each, most in zip_longest(usage, exposed)]
    fullest = max(limits, key=lambda each: each.percent, default=None)
    said = within_budget(budget, usage, view.usage_fault)
    if isinstance(budget, Tenant) and not view.usage_fault:
        said = (*said[:2], said[2] + used_up_by_all(budget, view.snapshot, view.usage))
    within = _left_alone(held, ConditionType.WITHIN_BUDGET) or _Draft(ConditionType.WITHIN_BUDGET, *said)
    beside = [within]
    if not is_shared:
        tenant = budget if isinstance(budget, Tenant) else None
        keys = _left_alone(held, ConditionType.KEYS_VALID) or _Draft(
            ConditionType.KEYS_VALID, *keys_valid(tenant, epoch_ms(view.now))
        )
        beside.append(keys)
    return TenantBudgetStatus.model_construct(
        conditions=_conditions(held, drafts, view, beside=beside),
        tenant="" if is_shared else name,
        covers=covers if is_shared and budget is not None else None,
        percent=fullest.percent if fullest else None,
        fullest=fullest,
        limits=limits,
    )


def _index_status(held: Held, view: View) -> SemanticCacheIndexStatus:
    index = view.snapshot.indexes.get(held.identity.path) if _is_published(held, view) else None
    programmed = _programmed(held, view, _coverage(held, view))
    why, index_id = _why_left_out(held, view), held.identity.path
    # What was published last may be of before it was left out.
    kept = view.snapshot.left_out.get(index_id) or (view.snapshot.indexes.get(index_id) if why else None)
    said = unheld(view.unheld.get(held.identity, "")) or (why and left_out(*why, kept, view.store))
    ready = _left_alone(held, ConditionType.INDEX_READY) or _Draft(
        ConditionType.INDEX_READY,
        *(said or index_ready(index, view.store, view.held_up, view.unfit.get(held.identity.path, ""))),
    )
    drafts = [*_standing(held, view), ready, programmed]
    run = index or _run_before(held, view)
    versions = (
        versions_of(held.identity.path, run, kept, view.store)
        if view.store.seen
        else _listed_in(held.status, "versions", _VERSIONS)  # as an operator before this one saw them
    )
    seen, known = view.lookups.get(held.identity.path), view.standing(wire.hits_of(index) if index else None)
    accurate = _left_alone(held, ConditionType.ACCURACY_MET) or _Draft(
        ConditionType.ACCURACY_MET, *accuracy_met(index, known, view.standings_fault)
    )
    sound = _Draft(ConditionType.REDIS_SOUND, *redis_sound(view.store))
    return SemanticCacheIndexStatus.model_construct(
        conditions=_conditions(held, drafts, view, beside=[sound, accurate]),
        active_version=run.version.name if run else _version_said(held, view),
        versions=versions[:16],
        hit_ratio=f"{seen.hits / seen.total:.2f}" if seen and seen.total else "",
        accuracy=accuracy_status(index, known),
        last_purge=_last_purge(held, view),
    )


def _run_before(held: Held, view: View) -> Index | None:
    """The index as pods go on with it while an edit of it cannot be published."""
    index = view.snapshot.indexes.get(held.identity.path)
    is_said = index is not None and _said(held.status).get("activeVersion") == index.version.name
    return index if is_said else None


def _version_said(held: Held, view: View) -> str:
    """The active version that the status names already; "" once this operator has looked at Redis itself."""
    return "" if view.store.seen else str(_said(held.status).get("activeVersion") or "")


def _last_purge(held: Held, view: View) -> PurgeStatus | None:
    """The latest purge, and which pods have yet to forget; what the status says already, while neither is known."""
    if view.epochs is None or view.pods_unknown:
        return next(iter(_listed_in(held.status, "lastPurge", _PURGES)), None)
    index = view.snapshot.indexes.get(held.identity.path)
    is_shared = index is not None and index.scope is Scope.SHARED
    latest = view.epochs.latest_of(held.identity.path, is_shared=is_shared)
    if latest is None:
        return None
    scope, epoch = latest
    waiting = sorted(pod for pod, forgotten in view.forgotten.items() if forgotten < epoch)
    return PurgeStatus.model_construct(
        at=moment(epoch),
        tenant=scope.tenant,
        forgotten=len(view.forgotten) - len(waiting),
        ready=len(view.forgotten),
        waiting_for=waiting[:_MOST_NAMED],
    )


def _standing(held: Held, view: View) -> list[_Draft]:
    """Accepted and ResolvedRefs. What is only missing is not the object's fault: it is accepted, and not resolved."""
    true = ConditionStatus.TRUE
    if not held.deleted_at and not view.has_compiled(held):
        waits = (ConditionStatus.UNKNOWN, ConditionReason.PENDING, f"Not looked at yet: {view.uncompiled}.")
        return [_Draft(ConditionType.ACCEPTED, *waits), _Draft(ConditionType.RESOLVED_REFS, *waits)]
    problems = view.problems_of(held)
    unresolved = [problem for problem in problems if problem.reason in _UNRESOLVED]
    errors = [
        problem for problem in problems if problem not in unresolved and problem.severity is Severity.ERROR
    ]
    stale = [problem for problem in problems if problem.reason is ProblemReason.STALE_SECRET]
    warnings = [
        each for each in problems if each not in unresolved and each not in errors and each not in stale
    ]
    accepted = _Draft(
        ConditionType.ACCEPTED, true, ConditionReason.ACCEPTED, _sentences(warnings) or "It is valid."
    )
    if errors:
        accepted = _Draft(ConditionType.ACCEPTED, ConditionStatus.FALSE, errors[0].reason, _sentences(errors))
    message = _sentences(stale) or "Everything it names is there."
    found = ProblemReason.STALE_SECRET if stale else ConditionReason.RESOLVED
    resolved = _Draft(ConditionType.RESOLVED_REFS, true, found, message)
    if unresolved:
        reason = unresolved[0].reason
        resolved = _Draft(ConditionType.RESOLVED_REFS, ConditionStatus.FALSE, reason, _sentences(unresolved))
    return [accepted, resolved]


def _programmed(held: Held, view: View, coverage: Coverage | None) -> _Draft:
    return _deleting(held, view) if held.deleted_at else _run_by_pods(held, view, coverage)


def _deleting(held: Held, view: View) -> _Draft:
    fate = "It is left out of what is published."
    if fault := view.uncompiled if held.identity in view.editions else view.publish_fault:
        fate = f"What pods run may still hold it: {fault}"
    message = f"Deleted, and held by {', '.join(held.finalizers) or 'nobody'}. {fate}"
    return _Draft(ConditionType.PROGRAMMED, ConditionStatus.FALSE, ConditionReason.DELETING, message)


def _left_alone(held: Held, kind: ConditionType) -> _Draft | None:
    """A condition that is not looked at any more, since the object is deleted; None of one that is not deleted."""
    message = "It is deleted, so this is not looked at any more."
    draft = _Draft(kind, ConditionStatus.UNKNOWN, ConditionReason.DELETING, message)
    return draft if held.deleted_at else None


def _run_by_pods(held: Held, view: View, coverage: Coverage | None) -> _Draft:
    def draft(status: ConditionStatus, reason: ConditionReason, message: str) -> _Draft:
        return _Draft(ConditionType.PROGRAMMED, status, reason, message)

    if why := _why_left_out(held, view):
        reason, until = why
        return draft(ConditionStatus.FALSE, reason, _left_out(held, view, until))
    fault = view.publish_fault if view.has_compiled(held) else view.uncompiled
    if coverage is None and not fault:
        return draft(ConditionStatus.UNKNOWN, ConditionReason.PENDING, "Not published yet.")
    if coverage is None and not _is_inherited(held, view):
        message = f"Not published: {fault}."
        return draft(ConditionStatus.FALSE, ConditionReason.NOT_PUBLISHED, message)
    if coverage is None:
        message = f"It was published, but what stands of that is not known: {fault}"
        return draft(ConditionStatus.UNKNOWN, ConditionReason.PUBLICATION_UNKNOWN, message)
    if view.pods_unknown:
        message = f"Published, but which pods there are is not known: {view.pods_unknown}"
        return draft(ConditionStatus.UNKNOWN, ConditionReason.DATA_PLANE_UNKNOWN, message)
    if coverage.ready and coverage.acknowledged == coverage.ready:
        return draft(ConditionStatus.TRUE, ConditionReason.PROGRAMMED, _PROGRAMMED)
    if not coverage.ready:
        message = "Published, but no data-plane pod is ready."
        return draft(ConditionStatus.FALSE, ConditionReason.NO_DATA_PLANE, message)
    counts = f"{coverage.acknowledged}/{coverage.ready} pods on {coverage.revision}; {coverage.trouble}"
    reason = ConditionReason.REJECTED_BY_POD if coverage.rejected else ConditionReason.WAITING_FOR_PODS
    return draft(ConditionStatus.FALSE, reason, counts)


def _why_left_out(held: Held, view: View) -> tuple[ConditionReason, str] | None:
    """Why the object is left out of what is published, and until when; None where it is not."""
    errors = [each for each in view.problems_of(held) if each.severity is Severity.ERROR]
    if not errors:
        return None
    if all(each.reason in _UNRESOLVED for each in errors):
        return ConditionReason.NOT_RESOLVED, "what it names is there"
    return ConditionReason.NOT_ACCEPTED, "it is mended"


def _left_out(held: Held, view: View, until: str) -> str:
    """A pod that has not heard of it yet goes on as it was."""
    coverage = view.covering.without(held.identity)
    if coverage is None:
        why = f"not published: {view.publish_fault}" if view.publish_fault else "not published yet"
        return f"To be left out of what pods run, until {until}; {why}."
    if view.pods_unknown:
        return f"Left out of what is published, until {until}; which pods run that is not known: {view.pods_unknown}"
    if coverage.acknowledged < coverage.ready:
        counts = f"{coverage.acknowledged}/{coverage.ready} pods on {coverage.revision}; {coverage.trouble}"
        return f"Left out of what is published, until {until}; {counts}"
    return f"Left out of what pods run, until {until}."


def _conditions(
    held: Held, drafts: Sequence[_Draft], view: View, beside: Sequence[_Draft] = ()
) -> list[Condition]:
    """`beside` are conditions that Ready does not depend on."""
    failing = next((each for each in drafts if each.status is ConditionStatus.FALSE), None)
    failing = failing or next((each for each in drafts if each.status is not ConditionStatus.TRUE), None)
    under_way = [each.message for each in drafts if each.reason is ConditionReason.MIGRATING]
    message = " ".join([_PROGRAMMED, *under_way])
    ready = _Draft(ConditionType.READY, ConditionStatus.TRUE, ConditionReason.READY, message)
    if failing is not None:
        ready = _Draft(ConditionType.READY, failing.status, failing.reason, failing.message)
    made = [
        Condition.model_construct(
            type=each.type,
            status=each.status,
            observed_generation=held.generation,
            last_transition_time=view.now,
            reason=each.reason,
            message=_shortened(_printable(each.message), _MOST_MESSAGE),
        )
        for each in (*drafts, *beside, ready)
    ]
    return merge(conditions_in(held.status), made)


def _revision_shown(held: Held, coverage: Coverage) -> str:
    """The revision for `status.dataPlane`: where an earlier leader has published the object, the one it wrote there."""
    if not coverage.inherited:
        return coverage.revision
    said = _revision_said(held)
    return said if said and says(held, ConditionType.PROGRAMMED) else coverage.revision


def _revision_said(held: Held) -> str:
    return str((_said(held.status).get("dataPlane") or {}).get("revision") or "")


def _sentences(problems: Iterable[Problem]) -> str:
    texts = [
        f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in problems
    ]
    return ". ".join(texts) + "." if texts else ""


def _printable(text: str) -> str:
    """What a pod says, for one, may hold what the API server refuses, or what a terminal obeys."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _plain(status: Spec) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
