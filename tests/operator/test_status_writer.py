"""Who may not lead any more writes no status, and what is refused is not written again."""

from dataclasses import replace
from typing import Any

import pytest

from tests.dataplanes import Setup
from tollway_api.conditions import Condition, ConditionStatus, ConditionType
from tollway_api.snapshot import Snapshot
from tollway_operator.coverage import Publications
from tollway_operator.errors import Invalid, LeadershipLost
from tollway_operator.kube import Moment
from tollway_operator.metrics import Metrics
from tollway_operator.objects import Held, Objects
from tollway_operator.status import StoreView, View, conditions_in
from tollway_operator.statuses import StatusWriter, _turned


class Leads:
    """Until it is `lost`, which nobody knows before they ask for the fence."""

    leads = True
    lost = False

    def fence(self) -> int:
        if self.lost:
            raise LeadershipLost("it slept")
        return 1


class Api:
    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.emitted: list[Moment] = []
        self.takes = True

    async def apply_status(self, _identity: object, _version: str, status: dict[str, Any]) -> str:
        self.written.append(status)
        if not self.takes:
            raise Invalid("too long")
        return "2"

    async def emit(self, moment: Moment) -> None:
        self.emitted.append(moment)


def index(version: str = "1") -> dict[str, Any]:
    (body, *_) = Setup("http://a/v1", "http://b/v1").objects()
    metadata = {
        "name": "answers",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": version,
        "generation": 1,
    }
    return {**body, "metadata": metadata}


def view_of(held: Held, **known: Any) -> View:
    nothing = View(
        snapshot=Snapshot("tollway-system"),
        problems={},
        editions={held.identity: held.edition},
        covering=Publications().coverage([]),
        publish_fault="",
        pods_unknown="",
        store=StoreView(),
        usage={},
        usage_fault="",
        lookups={},
        now="2026-01-01T00:00:00Z",
    )
    return replace(nothing, **known)


@pytest.mark.parametrize("lost", [False, True])
async def test_the_fence_is_asked_before_a_status_is_written(*, lost: bool) -> None:
    objects, leads, api = Objects(), Leads(), Api()
    objects.put(index())
    (held,) = objects
    view = view_of(held)
    writer = StatusWriter(api, objects, leads, lambda _: view, Metrics(), "me")  # type: ignore[arg-type]  # they stand in
    leads.lost = lost
    if lost:
        with pytest.raises(LeadershipLost):
            await writer.write_changed()
        assert api.written == []
    else:
        assert await writer.write_changed() is None
        assert len(api.written) == 1
        assert ConditionStatus.UNKNOWN in {each.status for each in conditions_in(held.status)}


async def test_a_status_that_is_refused_is_not_written_again_before_it_says_something_else_or_the_object_changes() -> (
    None
):
    objects, api = Objects(), Api()
    objects.put(index())
    (held,) = objects
    known: dict[str, Any] = {}
    times = (f"2026-01-01T00:00:{second:02}Z" for second in range(60))
    views = lambda _: view_of(held, now=next(times), **known)  # noqa: E731 - it is given, not named
    writer = StatusWriter(api, objects, Leads(), views, Metrics(), "me")  # type: ignore[arg-type]  # they stand in
    api.takes = False
    for _ in range(3):
        assert await writer.write_changed() is None, "it is nobody else's fault"
    assert len(api.written) == 1
    known["store"] = StoreView(fault="it is away")
    for _ in range(2):
        await writer.write_changed()
    assert len(api.written) == 2
    objects.put(index("5"))
    api.takes = True
    await writer.write_changed()
    assert len(api.written) == 3


R, W, P = ConditionType.READY, ConditionType.WITHIN_BUDGET, ConditionType.PROGRAMMED
YES, NO, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
TURNS: list[
    tuple[str, ConditionType, tuple[ConditionStatus, str] | None, tuple[ConditionStatus, str], bool]
] = [
    ("ready at last", R, (UNKNOWN, "Pending"), (YES, "Ready"), True),
    ("ready from the start", R, None, (YES, "Ready"), True),
    ("ready as before", R, (YES, "Ready"), (YES, "Ready"), False),
    ("not looked at yet", R, None, (UNKNOWN, "Pending"), False),
    ("edited", R, (YES, "Ready"), (UNKNOWN, "Pending"), False),
    ("Redis goes away", R, (YES, "Ready"), (UNKNOWN, "StoreUnavailable"), True),
    ("and then the pods", R, (UNKNOWN, "StoreUnavailable"), (UNKNOWN, "DataPlaneUnknown"), False),
    ("away from the start", R, (UNKNOWN, "Pending"), (UNKNOWN, "StoreUnavailable"), True),
    ("no longer ready", R, (YES, "Ready"), (NO, "WaitingForPods"), False),
    ("because of pods", P, (YES, "Programmed"), (NO, "WaitingForPods"), True),
    ("of another kind", P, (NO, "WaitingForPods"), (NO, "RejectedByPod"), True),
    ("they have it", P, (NO, "WaitingForPods"), (YES, "Programmed"), False),
    ("within from the start", W, (UNKNOWN, "Pending"), (YES, "WithinBudget"), False),
    ("nearly used up", W, (YES, "WithinBudget"), (YES, "BudgetAlert"), True),
    ("nearly from the start", W, None, (YES, "BudgetAlert"), True),
    ("used up", W, (YES, "BudgetAlert"), (NO, "BudgetExceeded"), True),
    ("there is room again", W, (NO, "BudgetExceeded"), (YES, "WithinBudget"), True),
    ("a little room", W, (NO, "BudgetExceeded"), (YES, "BudgetAlert"), True),
    ("more room", W, (YES, "BudgetAlert"), (YES, "WithinBudget"), False),
    ("the ledger goes away", W, (YES, "WithinBudget"), (UNKNOWN, "UsageUnknown"), True),
    ("deleted", W, (YES, "WithinBudget"), (UNKNOWN, "Deleting"), False),
    ("and comes back", W, (UNKNOWN, "UsageUnknown"), (YES, "WithinBudget"), True),
]


@pytest.mark.parametrize(
    ("kind", "before", "now", "told"), [each[1:] for each in TURNS], ids=[e[0] for e in TURNS]
)
def test_a_turn_is_told_once(
    kind: ConditionType,
    before: tuple[ConditionStatus, str] | None,
    now: tuple[ConditionStatus, str],
    *,
    told: bool,
) -> None:
    def conditions(said: tuple[ConditionStatus, str] | None) -> list[Condition]:
        since = "2026-01-01T00:00:00Z"
        return [
            Condition.model_construct(
                type=kind,
                status=status,
                observed_generation=1,
                last_transition_time=since,
                reason=reason,
                message="",
            )
            for status, reason in ([said] if said else [])
        ]

    assert len(_turned(conditions(before), conditions(now))) == told


async def test_a_budget_alert_is_a_warning_although_its_condition_is_true() -> None:
    objects, api = Objects(), Api()
    objects.put(index())
    (held,) = objects
    writer = StatusWriter(api, objects, Leads(), lambda _: None, Metrics(), "me")  # type: ignore[arg-type]  # they stand in
    for reason, warns in (("BudgetAlert", True), ("WithinBudget", False)):
        condition = Condition.model_construct(
            type=W, status=YES, observed_generation=1, last_transition_time="t", reason=reason, message="m"
        )
        await writer._tell(held, condition)
        assert api.emitted[-1].warning is warns
