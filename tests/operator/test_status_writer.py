"""Who may not lead any more writes no status."""

from typing import Any

import pytest

from tests.dataplanes import Setup
from tollway_api.conditions import ConditionStatus
from tollway_api.snapshot import Snapshot
from tollway_operator.coverage import Publications
from tollway_operator.errors import LeadershipLost
from tollway_operator.metrics import Metrics
from tollway_operator.objects import Objects
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

    async def apply_status(self, _identity: object, _version: str, status: dict[str, Any]) -> str:
        self.written.append(status)
        return "2"

    async def emit(self, _: object) -> None:
        return


@pytest.mark.parametrize("lost", [False, True])
async def test_the_fence_is_asked_before_a_status_is_written(*, lost: bool) -> None:
    objects, leads, api = Objects(), Leads(), Api()
    (index, *_) = Setup("http://a/v1", "http://b/v1").objects()
    metadata = {
        "name": "answers",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": "1",
        "generation": 1,
    }
    objects.put({**index, "metadata": metadata})
    (held,) = objects
    view = View(
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
