"""What is said of an index whose embedding is being changed, or that is left out."""

from dataclasses import replace

import pytest

from tests.dataplanes import Setup, compiled, manifest
from tollway_api import wire
from tollway_api.parts import Head
from tollway_api.problems import Problem, ProblemReason
from tollway_api.reembedding import Progress
from tollway_api.snapshot import Beside, Index, Snapshot, Stage
from tollway_operator.coverage import Publications
from tollway_operator.index_status import StoreView, index_ready
from tollway_operator.objects import Held, Objects
from tollway_operator.redis_facts import IndexFacts, IndexSchema
from tollway_operator.reports import DataPlanePod, Report
from tollway_operator.status import View, status_of

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


@pytest.mark.parametrize("held_up", ["", HELD_UP], ids=["no pod lags", "a pod lags"])
@pytest.mark.parametrize("unfit", ["", "its vectors have 3 dimensions"], ids=["fit", "unfit"])
def test_a_version_that_is_wanted_again_while_it_is_dropped_is_said_to_be_awaited(
    held_up: str, unfit: str
) -> None:
    dropping = replace(STORE, awaited={A.id: A.version.name})
    status, reason, message = index_ready(B, dropping, held_up, unfit)
    assert (status, reason) == ("True", "Migrating")
    assert message.startswith(
        f"Version {B.version.name} is asked until {A.version.name} is complete. That is being dropped first, "
    )
    assert message.endswith("dp-2 still uses it.") == (held_up != "")


def test_vectors_that_do_not_fit_are_said_of_an_index_that_was_never_another() -> None:
    status, reason, message = index_ready(
        A, STORE, "", "the endpoint's vectors of m have 3 dimensions, not 4"
    )
    assert (status, reason) == ("False", "EmbeddingUnusable")
    assert message == (
        "Only the very same prompt is found: the endpoint's vectors of m have 3 dimensions, not 4. "
        "Correct the embedding."
    )


def edited(status: dict[str, object]) -> Held:
    objects = Objects()
    metadata = {
        "name": "answers", "namespace": "default", "uid": "u", "generation": 2, "resourceVersion": "2",
    }  # fmt: skip
    objects.put({**manifest("SemanticCacheIndex", "answers", {}), "metadata": metadata, "status": status})
    (held,) = objects
    return held


def viewed(held: Held, snapshot: Snapshot) -> View:
    """Where only the version of A is there."""
    name = wire.index_name(A.version)
    return View(
        snapshot=snapshot,
        problems={},
        editions={held.identity: held.edition},
        covering=Publications().coverage([]),
        publish_fault="",
        pods_unknown="",
        store=replace(STORE, indexes={name: STORE.indexes[name]}),
        usage={},
        usage_fault="",
        lookups={},
        now="2026-01-01T00:00:00Z",
    )


@pytest.mark.parametrize(
    ("reason", "said", "until"),
    [
        (ProblemReason.INVALID, "NotAccepted", "it is mended"),
        (ProblemReason.MISSING_SECRET, "NotResolved", "what it names is there"),
    ],
)
@pytest.mark.parametrize("kept", [A, None], ids=["it has been run", "it never was"])
@pytest.mark.parametrize("published_as", ["left_out", "indexes"])
def test_of_an_index_that_is_left_out_is_said_why_and_what_becomes_of_its_version(
    reason: ProblemReason, said: str, until: str, kept: Index | None, published_as: str
) -> None:
    held = edited({})
    found = {held.identity: [Problem(held.identity, "spec", reason, "it is wrong")]}
    left_out = Snapshot("default", **{published_as: {A.id: kept} if kept else {}})  # type: ignore[arg-type]  # either map
    status = status_of(held, replace(viewed(held, left_out), problems=found))
    ready = next(each for each in status["conditions"] if each["type"] == "IndexReady")
    fate = f"version {A.version.name} is kept, and used again" if kept else "a version is made for it"
    message = f"It is left out of what is published; {fate} once {until}."
    assert (ready["status"], ready["reason"], ready["message"]) == ("Unknown", said, message)
    assert [each["state"] for each in status["versions"]] == ["Kept" if kept else "Draining"]


@pytest.mark.parametrize("awaited", [{}, {A.id: A.version.name}], ids=["as wanted", "another is awaited"])
def test_ready_says_as_well_which_version_is_awaited(awaited: dict[str, str]) -> None:
    held, publications = edited({}), Publications()
    publications.note(Head("1" * 64, 1, 1, "a", 1), {held.identity: B}, {held.identity: held.edition})
    pod = DataPlanePod("u", "dp-1", "127.0.0.1", ready=True, gone=False, incarnation="first")
    view = replace(
        viewed(held, Snapshot("default", indexes={B.id: B})),
        covering=publications.coverage([Report(pod, "1" * 64)]),
        store=replace(STORE, awaited=awaited),
    )
    ready = next(each for each in status_of(held, view)["conditions"] if each["type"] == "Ready")
    assert ready["status"] == "True"
    assert ready["message"].startswith("Every ready pod runs it.")
    assert (f"until {A.version.name} is complete" in ready["message"]) == bool(awaited)


@pytest.mark.parametrize(
    "said", [A.version.name, B.version.name], ids=["by the status", "but not by the status"]
)
def test_of_an_index_whose_edit_cannot_be_published_the_version_that_pods_run_is_shown(said: str) -> None:
    held = edited({"activeVersion": said})
    view = replace(
        viewed(held, Snapshot("default", indexes={A.id: A})), publish_fault="the API server is full"
    )
    status = status_of(held, view)
    is_known = said == A.version.name
    assert status.get("activeVersion", "") == (A.version.name if is_known else "")
    assert [each["state"] for each in status["versions"]] == ["Active" if is_known else "Draining"]
