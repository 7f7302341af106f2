"""Purges that are asked for on an index: each is done once, when its time has come, and tried until it is."""

import time
from typing import Any

import pytest

from tests.dataplanes import manifest
from tollway_api.conditions import moment
from tollway_api.epochs import EVERYTHING, Epochs, Scope
from tollway_operator.asked_purges import AskedPurges
from tollway_operator.objects import Objects

NOW_MS = int(time.time()) * 1_000
ANSWERS = Scope("default/answers")


def index(since: str, **metadata: Any) -> dict[str, Any]:
    body = dict(manifest("SemanticCacheIndex", "answers", {}))
    body["metadata"] = {
        "name": "answers", "namespace": "default", "uid": "1", "resourceVersion": "1", "generation": 1,
        "annotations": {"tollway.dev/purge-before": since}, **metadata,
    }  # fmt: skip
    return body


async def asked(body: dict[str, Any], found: Epochs, *, leads: bool = True, turns: int = 1) -> list[str]:
    objects, done = Objects(), list[str]()
    objects.put(body)

    async def purge(index_id: str) -> str:
        done.append(index_id)
        return "no data-plane pod is ready"

    purges = AskedPurges(objects, lambda: leads, purge)
    for _ in range(turns):
        await purges.settle(found)
    return done


@pytest.mark.parametrize(
    ("found", "due"),
    [
        (Epochs(), True),
        (Epochs({ANSWERS: NOW_MS - 1}), True),
        (Epochs({Scope("default/answers", "acme"): NOW_MS + 1}), True),  # which was of one tenant alone
        (Epochs({Scope("default/other"): NOW_MS + 1}), True),
        (Epochs({ANSWERS: NOW_MS}), False),
        (Epochs({EVERYTHING: NOW_MS + 1}), False),
    ],
    ids=["never", "before", "of a tenant", "of another", "done", "everything"],
)
async def test_it_is_due_until_it_is_done(found: Epochs, due: bool) -> None:
    assert await asked(index(moment(NOW_MS)), found) == ["default/answers"] * due


async def test_what_fails_is_tried_again() -> None:
    assert len(await asked(index(moment(NOW_MS)), Epochs(), turns=3)) == 3


@pytest.mark.parametrize(
    "since",
    ["", "soon", "true", moment(NOW_MS + 3_600_000), "9999-99-99", "0001-01-01"],
    ids=["empty", "soon", "true", "in an hour", "no date", "long ago"],
)
async def test_what_is_no_time_or_is_to_come_asks_for_nothing(since: str) -> None:
    assert await asked(index(since), Epochs()) == []


async def test_nor_does_an_index_that_goes_or_an_operator_that_does_not_lead() -> None:
    assert await asked(index(moment(NOW_MS), deletionTimestamp=moment(NOW_MS)), Epochs()) == []
    assert await asked(index(moment(NOW_MS)), Epochs(), leads=False) == []
