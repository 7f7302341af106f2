"""Who may not lead any more writes no status and tells no Event, and what hangs or fails is nobody else's trouble."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.dataplanes import Setup, manifest
from tollway_api.conditions import Condition, ConditionStatus, ConditionType
from tollway_api.meta import Identity
from tollway_api.snapshot import Snapshot
from tollway_operator.coverage import Publications
from tollway_operator.errors import Invalid, KubeFault, LeadershipLost, Unanswered
from tollway_operator.events import Events
from tollway_operator.index_status import StoreView
from tollway_operator.kube import Moment
from tollway_operator.metrics import Metrics
from tollway_operator.objects import Held, Objects
from tollway_operator.retries import LONGEST_PAUSE_S
from tollway_operator.status import View, conditions_in
from tollway_operator.status_writer import StatusWriter, _moment, _turned


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
        self.answers_after_s = 0.0
        self.hears = True
        self.faults: dict[str, KubeFault] = {}  # by objects' names
        self.asked: list[str] = []
        self.hangs: dict[str, asyncio.Event] = {}  # until they are set
        self.under_way: Counter[str] = Counter()
        self.most_under_way = 0  # of one object

    async def apply_status(self, identity: Identity, _version: str, status: dict[str, Any]) -> str:
        self.asked.append(identity.name)
        if hangs := self.hangs.get(identity.name):
            self.under_way[identity.name] += 1
            self.most_under_way = max(self.most_under_way, *self.under_way.values())
            try:
                await hangs.wait()
            finally:
                self.under_way[identity.name] -= 1
        if fault := self.faults.get(identity.name):
            raise fault
        self.written.append(status)
        await asyncio.sleep(self.answers_after_s)
        return "2"

    async def emit(self, moment: Moment, _at: str, _reporter: str) -> None:
        if not self.hears:
            await asyncio.Event().wait()
        self.emitted.append(moment)


def writer_of(
    api: Api, objects: Objects, view: Callable[[str], View | None], leads: Leads | None = None
) -> StatusWriter:
    """`api` and `leads` stand in."""
    leadership: Any = leads or Leads()
    kube: Any = api
    return StatusWriter(kube, objects, leadership, view, Metrics(), Events(kube, leadership, "me"))


def index(version: str = "1", name: str = "answers") -> dict[str, Any]:
    (body, *_) = Setup("http://a/v1", "http://b/v1").objects()
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"u-{name}",
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
    writer = writer_of(api, objects, lambda _: view, leads)
    leads.lost = lost
    if lost:
        with pytest.raises(LeadershipLost):
            await writer.write_changed()
        assert api.written == []
    else:
        await writer.write_changed()
        assert len(api.written) == 1
        assert ConditionStatus.UNKNOWN in {each.status for each in conditions_in(held.status)}


def all_of(objects: Objects, **known: Any) -> View:
    (held, *_) = objects
    return view_of(held, editions={each.identity: each.edition for each in objects}, **known)


@asynccontextmanager
async def running(writer: StatusWriter) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in (writer, writer._events)]
        yield
        for task in tasks:
            task.cancel()


async def until(met: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not met():  # noqa: ASYNC110 - what nobody tells of
            await asyncio.sleep(0.01)


def edited(objects: Objects, name: str, generation: int) -> None:
    body = index(f"{generation}0", name)
    objects.put({**body, "metadata": {**body["metadata"], "generation": generation}})


async def test_statuses_that_cannot_be_written_keep_no_other_waiting_and_are_tried_again_later() -> None:
    objects, api = Objects(), Api()
    for number in range(20):
        objects.put(index(name=f"denied-{number}"))
    objects.put(index(name="settled"))
    api.faults = {f"denied-{number}": KubeFault("500: a webhook denied it") for number in range(20)}
    writer = writer_of(api, objects, lambda _: all_of(objects))
    await writer.write_changed()
    assert sorted(api.asked) == sorted([*api.faults, "settled"])
    api.asked.clear()
    await writer.write_changed()
    assert api.asked == [], "it is not this one's to try again"
    edited(objects, "denied-7", 2)
    del api.faults["denied-7"]
    await writer.write_changed()
    assert api.asked == ["denied-7"], "which is another since"


async def test_a_status_that_is_refused_is_written_once_it_is_not() -> None:
    """By an admission policy as well as by the schema, which both say that it is invalid."""
    objects, api = Objects(), Api()
    objects.put(index())
    api.faults = {"answers": Invalid("422: a policy denied it")}
    writer = writer_of(api, objects, lambda _: all_of(objects))
    async with running(writer):
        writer.wake()
        await until(lambda: len(api.asked) == 2)
        assert api.written == []
        api.faults.clear()
        await until(lambda: len(api.written) == 1)


async def test_who_does_not_lead_any_more_tells_nothing_of_what_it_had_still_to_tell() -> None:
    api, leads = Api(), Leads()
    kube: Any = api
    leadership: Any = leads
    events = Events(kube, leadership, "me")
    events.announce(
        Moment(Identity("SemanticCacheIndex", "default", "answers"), "u", "Ready", "n", warning=False)
    )
    leads.lost = True
    with pytest.raises(LeadershipLost):
        await events.run()
    assert api.emitted == []


async def test_a_status_that_hangs_keeps_no_other_waiting_and_is_written_once_it_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tollway_operator.status_writer._SOON_S", 0.05)
    objects, api, known = Objects(), Api(), dict[str, Any]()
    names = [f"hangs-{number}" for number in range(3)]
    for name in (*names, "other"):
        objects.put(index(name=name))
    api.hangs = {name: asyncio.Event() for name in names}
    writer = writer_of(api, objects, lambda _: all_of(objects, **known))
    async with running(writer):
        writer.wake()
        await until(lambda: api.asked.count("other") == 1)
        await until(lambda: all(api.asked.count(name) == 2 for name in names))
        # All of them are waited for by now, by whoever has the patience.
        for turn in range(2, 4):
            known["store"] = StoreView(fault=f"it is away for the {turn}. time")
            edited(objects, "hangs-0", turn)
            writer.wake()
            await until(lambda turn=turn: api.asked.count("other") == turn)  # type: ignore[misc]  # mypy does not type a lambda with a default
        assert api.asked.count("hangs-0") == 2, "one at a time"
        for each in api.hangs.values():
            each.set()
        newest = [each for each in objects if each.identity.name in names]
        await until(lambda: all(b"3. time" in each.status for each in newest))
    assert api.most_under_way == 1
    assert {each.generation for each in newest} == {1, 3}


async def test_an_event_that_hangs_keeps_no_status_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway_operator.status_writer._SOON_S", 0.05)
    objects, api = Objects(), Api()
    for number in range(20):
        objects.put(index(name=f"{number}"))
    api.hears = False
    view = all_of(objects, publish_fault="it is too large")
    writer = writer_of(api, objects, lambda _: view)
    async with running(writer):
        writer.wake()
        await until(lambda: len(api.written) == 20)
        assert len(writer._failing.faults) == 0, "an event that is lost is not worth a status"
        assert api.emitted == []


@pytest.mark.parametrize("takes_s", [0.0, 0.2], ids=["answered", "written, and not answered in time"])
async def test_a_turn_is_told_once_although_nobody_heard_that_it_was_written(
    takes_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway_operator.status_writer._SOON_S", 0.05)
    objects, api = Objects(), Api()
    objects.put(index())
    api.answers_after_s = takes_s
    views = lambda _: all_of(objects, publish_fault="it is too large")  # noqa: E731 - it is given, not named
    writer = writer_of(api, objects, views)
    async with running(writer):
        writer.wake()
        await until(lambda: len(api.written) == 1)
        body = index("2")
        objects.put({**body, "status": api.written[0]})  # the event of our own write
        writer.wake()
        await until(lambda: len(api.emitted) == 1)
        await asyncio.sleep(0.7)
    assert [each.reason for each in api.emitted] == ["NotPublished"]
    assert len(api.written) == 1


async def test_a_turn_of_which_nobody_heard_that_it_was_written_is_told_with_what_is_written_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tollway_operator.status_writer._SOON_S", 0.05)
    objects, api, known = Objects(), Api(), dict[str, Any]()
    objects.put(index())
    api.answers_after_s = 60.0
    views = lambda _: all_of(objects, publish_fault="it is too large", **known)  # noqa: E731 - it is given, not named
    writer = writer_of(api, objects, views)
    await writer.write_changed()
    (written,) = api.written
    objects.put({**index("2"), "status": written})  # the event of our own write
    known["store"], api.answers_after_s = StoreView(fault="it is away"), 0.0
    async with running(writer):
        await until(lambda: len(api.emitted) > 0)
    assert len(api.written) == 2
    assert [each.reason for each in api.emitted] == ["NotPublished"]


async def test_who_changes_hundreds_keeps_nobody_in_another_namespace_waiting() -> None:
    objects, api = Objects(), Api()
    for number in range(200):
        body = index(name=f"{number}")
        objects.put({**body, "metadata": {**body["metadata"], "namespace": "team-a"}})
    objects.put(index(name="other"))
    writer = writer_of(api, objects, lambda _: all_of(objects))
    await writer.write_changed()
    assert "other" in api.asked[:2]


async def test_a_kind_of_which_nothing_is_to_be_had_keeps_no_other_waiting() -> None:
    objects, api = Objects(), Api()
    objects.put(index())
    body = manifest("RoutingPolicy", "chat", {})
    metadata = {"name": "chat", "namespace": "default", "uid": "p", "resourceVersion": "1", "generation": 1}
    objects.put({**body, "metadata": metadata})
    api.faults = {"answers": Unanswered("429", 30.0)}
    writer = writer_of(api, objects, lambda _: all_of(objects))
    async with running(writer):
        writer.wake()
        await until(lambda: len(api.asked) == 2)
        for turn in range(2, 5):
            objects.put({**body, "metadata": {**metadata, "resourceVersion": f"{turn}0", "generation": turn}})
            writer.wake()
            await until(lambda turn=turn: api.asked.count("chat") == turn)  # type: ignore[misc]  # mypy does not type a lambda with a default
    assert api.asked.count("answers") == 1, "it asked for half a minute"


async def test_one_that_could_not_be_written_has_its_turn_although_thousands_change_all_the_time() -> None:
    objects, api = Objects(), Api()
    for name in ("failed", *map(str, range(3_000))):
        objects.put(index(name=name))
    api.faults = {"failed": KubeFault("500")}
    views = 0

    def view(_: str) -> View:
        nonlocal views
        views += 1
        return all_of(objects, store=StoreView(fault=f"it is away, as was seen {views} times"))

    writer = writer_of(api, objects, view)
    async with running(writer):
        writer.wake()
        await until(lambda: "failed" in api.asked)
        api.faults, before = {}, len(api.asked)
        while "failed" not in api.asked[before:]:
            assert len(api.asked) < before + 3_000, "it is behind all others"
            writer.wake()
            await asyncio.sleep(0.01)


async def test_once_one_that_failed_can_be_written_all_are_tried_at_once() -> None:
    objects, api = Objects(), Api()
    names = [f"{number}" for number in range(40)]
    for name in names:
        objects.put(index(name=name))
    writer = writer_of(api, objects, lambda _: all_of(objects))
    for held in objects:
        # All but one have failed so often that they would be tried in half a minute.
        for _ in range(1 if held.identity.name == "7" else 7):
            writer._failing.failed((held.identity, held.edition), KubeFault("500: the webhook is away"))
    async with running(writer):
        await until(lambda: len(api.written) == len(names))
    assert api.asked[0] == "7"


async def test_an_api_server_that_had_no_time_is_asked_again_soon_however_long_it_had_none() -> None:
    objects, api = Objects(), Api()
    objects.put(index())
    (held,) = objects
    key = (held.identity, held.edition)
    writer = writer_of(api, objects, lambda _: all_of(objects))
    for fault, most_s in ((Unanswered("503"), 2.0), (KubeFault("500"), LONGEST_PAUSE_S)):
        for _ in range(9):
            writer._note(key, fault)
        assert most_s / 2 < writer._failing.due_in_s <= most_s


async def test_an_api_server_that_does_not_answer_is_not_asked_for_every_object() -> None:
    objects, api = Objects(), Api()
    for number in range(50):
        objects.put(index(name=f"{number}"))
    api.faults = {f"{number}": Unanswered("ReadTimeout") for number in range(50)}
    writer = writer_of(api, objects, lambda _: all_of(objects))
    await writer.write_changed()
    assert len(api.asked) == 8
    await writer.write_changed()
    assert len(api.asked) == 8, "it is given some time"
    first = set(api.asked)
    writer._resting.clear()
    await writer.write_changed()
    assert first.isdisjoint(api.asked[8:]), "others have their turn"


R, W, P = ConditionType.READY, ConditionType.WITHIN_BUDGET, ConditionType.PROGRAMMED
K = ConditionType.KEYS_VALID
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
    ("a key that expires soon", K, (YES, "KeysValid"), (YES, "KeyExpiring"), True),
    ("soon from the start", K, None, (YES, "KeyExpiring"), True),
    ("no key is left", K, (YES, "KeyExpiring"), (NO, "KeysExpired"), True),
    ("another key", K, (NO, "KeysExpired"), (YES, "KeysValid"), False),
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


def test_a_budget_alert_is_a_warning_although_its_condition_is_true() -> None:
    objects = Objects()
    objects.put(index())
    (held,) = objects
    for reason, warns in (("BudgetAlert", True), ("WithinBudget", False)):
        condition = Condition.model_construct(
            type=W, status=YES, observed_generation=1, last_transition_time="t", reason=reason, message="m"
        )
        assert _moment(held, condition).warning is warns
