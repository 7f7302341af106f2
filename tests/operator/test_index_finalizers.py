"""What the API server takes its time for keeps a run waiting for a moment, however many indexes there are of it."""

import asyncio
from typing import Any

import pytest

from tests.dataplanes import manifest
from tollway_api.meta import Identity
from tollway_operator.deletion import FINALIZER, Deletion, is_held
from tollway_operator.errors import KubeFault
from tollway_operator.index_finalizers import IndexFinalizers
from tollway_operator.metrics import Metrics
from tollway_operator.objects import Objects


class Kube:
    """Writes finalizers, but those of some objects not before a webhook has answered, which denies it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.hangs: set[str] = set()
        self.webhook = asyncio.Event()

    async def set_finalizers(self, identity: Identity, _version: str, _finalizers: list[str]) -> str:
        self.asked.append(identity.name)
        if identity.name in self.hangs:
            await self.webhook.wait()
            raise KubeFault("a webhook denied it")
        return "2"


class Leads:
    def fence(self) -> int:
        return 5


class Indexes:
    """Of which some are deleted, and remembered all the same."""

    def __init__(self, new: int, deleted: int) -> None:
        self.kube, self.objects, self.woken = Kube(), Objects(), 0
        for number in range(new):
            self._put(f"new-{number}", {}, {})
        for number in range(deleted):
            gone = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FINALIZER]}
            self._put(f"gone-{number}", {"deletionPolicy": "Retain"}, gone)
        deletion = Deletion(self.kube, None, Leads(), Metrics(), 0.0, None)  # type: ignore[arg-type]  # stand-ins
        self.turns = IndexFinalizers(self.objects, deletion, Leads(), lambda: None, self._wake)  # type: ignore[arg-type]  # a stand-in

    def _put(self, name: str, spec: dict[str, object], more: dict[str, Any]) -> None:
        metadata = {
            "name": name, "namespace": "default", "uid": name, "resourceVersion": "1", "generation": 1, **more,
        }  # fmt: skip
        self.objects.put({**manifest("SemanticCacheIndex", name, spec), "metadata": metadata})

    def _wake(self) -> None:
        self.woken += 1

    async def run(self) -> None:
        """What a run does for indexes."""
        await self.turns.hold()
        unnamed = {held.uid for held in self.objects if held.deleted_at}
        await self.turns.settle("", unnamed, "", may_forget=True)

    @property
    def held(self) -> set[str]:
        return {each.identity.name for each in self.objects if not each.deleted_at and is_held(each)}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway_operator.deletion._SOON_S", 0.2)
    monkeypatch.setattr("tollway_operator.deletion._LEAST_S", 0.02)
    monkeypatch.setattr("tollway_operator.index_finalizers._FOR_S", 0.2)


async def test_a_run_waits_once_for_new_indexes_and_once_for_deleted_ones_however_many_hang() -> None:
    indexes = Indexes(new=60, deleted=30)
    indexes.kube.hangs = {held.identity.name for held in indexes.objects}
    await indexes.run()
    kinds = [name.partition("-")[0] for name in indexes.kube.asked]
    assert kinds == ["new"] * 8 + ["gone"] * 8, (
        "as many as are waited for at once, and another run has the next"
    )
    assert indexes.woken >= 1
    await indexes.run()
    assert len(set(indexes.kube.asked)) == len(indexes.kube.asked) == 32, "others have their turn, each once"


async def test_what_has_hung_comes_after_what_may_not() -> None:
    indexes = Indexes(new=24, deleted=0)
    indexes.kube.hangs = {f"new-{number}" for number in range(8)}
    await indexes.run()
    assert indexes.held == set()
    indexes.kube.webhook.set()
    await asyncio.sleep(0.6)  # it has been denied, and is due again
    indexes.kube.webhook.clear()
    await indexes.run()
    assert indexes.held == {f"new-{number}" for number in range(8, 24)}
    assert len(indexes.kube.asked) == 24 + 8
