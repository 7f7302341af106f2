"""What is said of an index whose embedding is being changed, while some pod keeps it waiting."""

from dataclasses import replace

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_api.reembedding import Progress
from tollway_api.snapshot import Beside, Stage
from tollway_operator.index_said import StoreView, index_ready
from tollway_operator.redis_store import IndexFacts, IndexSchema

A, B = (
    compiled(Setup("http://a/v1", "http://b/v1", index=index).objects()).indexes["default/answers"]
    for index in ({}, {"embedding": {"model": "wordllama", "dimensions": 256}})
)
STORE = StoreView(
    {wire.index_name(each.version): IndexFacts(IndexSchema.of(each.version), 0, 0) for each in (A, B)},
    seen=True,
)
HELD_UP = "dp-2 still uses it"


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("held_up", ["", HELD_UP], ids=["no pod lags", "a pod lags"])
def test_the_pod_that_a_step_waits_for_is_named(stage: Stage, held_up: str) -> None:
    status, reason, message = index_ready(replace(A, beside=Beside(B.version, stage)), STORE, held_up)
    assert (status, reason) == ("True", "Migrating")
    waits = "It waits, since pods may run what was published before: dp-2 still uses it."
    assert message.endswith(waits) == (held_up != "" and stage is not Stage.FILLING)
    assert (stage is Stage.LEAVING) != ("0 % is embedded anew." in message)


def test_what_keeps_it_from_being_filled_comes_first() -> None:
    failing = replace(STORE, progress={B.version.name: Progress(A.version.name, fault="no vectors")})
    said = index_ready(replace(A, beside=Beside(B.version, Stage.FILLING)), failing, HELD_UP)
    assert said[:2] == ("False", "EmbeddingUnusable")
    assert "cannot be filled: no vectors." in said[2]


def test_an_index_that_is_not_on_its_way_waits_for_nobody() -> None:
    assert index_ready(A, STORE, HELD_UP)[1] == "IndexReady"
