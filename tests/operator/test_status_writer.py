"""Who may not lead any more writes no status, and what is refused is not written again."""

from dataclasses import replace
from typing import Any

import pytest

from tests.dataplanes import Setup
from tollway_api.conditions import ConditionStatus
from tollway_api.snapshot import Snapshot
from tollway_operator.coverage import Publications
from tollway_operator.errors import Invalid, LeadershipLost
from tollway_operator.metrics import Metrics
from tollway_operator.objects import Held, Objects
from tollway_operator.status import StoreView, View, conditions_in
from tollway_operator.statuses import StatusWriter


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
        self.takes = True

    async def apply_status(self, _identity: object, _version: str, status: dict[str, Any]) -> str:
        self.written.append(status)
        if not self.takes:
            raise Invalid("too long")
        return "2"

    async def emit(self, _: object) -> None:
        return


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
