"""Which pods count for which object."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.dataplanes import Setup, compilation
from tollway_api.compiler import Piece
from tollway_api.messages import Lookups
from tollway_api.meta import Identity
from tollway_api.parts import Head
from tollway_api.routing_policy import ModelState
from tollway_api.snapshot import Policy, Tenant
from tollway_operator.coverage import Coverage, Publications
from tollway_operator.objects import Edition, Held, Objects
from tollway_operator.reports import (
    DataPlanePod,
    Report,
    lookups_of,
    models_of,
    unfit_of,
    unwell_of,
    why_in_use,
)
from tollway_operator.status import _revision_shown

PIECES = compilation(Setup("http://a/v1", "http://b/v1").objects()).pieces
EDITIONS = {identity: Edition(f"uid of {identity}", 1) for identity in PIECES}
CHAT = Identity("RoutingPolicy", "default", "chat")
ACME = Identity("TenantBudget", "default", "acme")


def head(digest: str, order: int) -> Head:
    return Head(digest * 64, order, 1, "a", 1)


def pod(
    name: str, digest: str | None, trouble: str = "", *, rejected: bool = False, ready: bool = True
) -> Report:
    known = DataPlanePod(name, name, "10.0.0.1", ready, gone=False, incarnation="")
    return Report(known, digest * 64 if digest else None, trouble, rejected)


def held_with(status: dict[str, object]) -> Held:
    """The policy, as the API server has it."""
    body = Setup("http://a/v1", "http://b/v1").objects()[1]
    metadata = {"name": "chat", "namespace": "default", "uid": "u", "resourceVersion": "1", "generation": 1}
    objects = Objects()
    objects.put({**body, "metadata": metadata, "status": status})
    (held,) = objects
    return held


def edited(identity: Identity, generation: int) -> Mapping[Identity, Edition]:
    return {**EDITIONS, identity: EDITIONS[identity]._replace(generation=generation)}


def test_what_is_not_published_is_not_covered() -> None:
    publications = Publications()
    assert publications.coverage([]).of(CHAT, EDITIONS[CHAT]) is None
    publications.note(head("1", 1), PIECES, EDITIONS)
    assert publications.coverage([]).of(CHAT, edited(CHAT, 2)[CHAT]) is None
    assert publications.coverage([]).of(CHAT, EDITIONS[CHAT]) == Coverage("1" * 12, 0, 0)


def test_ready_pods_count_and_the_one_that_said_no_is_named_first() -> None:
    publications = Publications()
    publications.note(head("1", 1), PIECES, EDITIONS)
    reports = [
        pod("a", "1"),
        pod("b", None),
        pod("c", "0", "it rejected 111: no", rejected=True),
        pod("d", None, ready=False),
    ]
    covered = publications.coverage(reports).of(CHAT, EDITIONS[CHAT])
    assert covered == Coverage("1" * 12, 3, 1, "c: it rejected 111: no", rejected=True)


def test_an_edit_is_asked_for_only_by_the_object_that_was_edited() -> None:
    publications = Publications()
    publications.note(head("1", 1), PIECES, EDITIONS)
    publications.note(head("2", 2), dict(PIECES), edited(CHAT, 2))
    covering = publications.coverage([pod("a", "1"), pod("b", "2")])
    assert covering.of(CHAT, edited(CHAT, 2)[CHAT]) == Coverage("2" * 12, 2, 1, "a: has not answered yet")
    assert covering.of(ACME, EDITIONS[ACME]) == Coverage("1" * 12, 2, 2)


def test_another_object_of_the_same_name_and_generation_is_not_the_one_before() -> None:
    publications = Publications()
    publications.note(head("1", 1), PIECES, EDITIONS)
    anew = EDITIONS | {CHAT: Edition("another", 1)}
    publications.note(head("2", 2), dict(PIECES), anew)
    covering = publications.coverage([pod("a", "1"), pod("b", "2")])
    assert covering.of(CHAT, EDITIONS[CHAT]) is None
    assert covering.of(CHAT, anew[CHAT]) == Coverage("2" * 12, 2, 1, "a: has not answered yet")


def test_what_has_become_something_else_without_an_edit_is_asked_for_as_well() -> None:
    """As when a Secret that it names is rotated."""
    tenant = PIECES[ACME]
    assert isinstance(tenant, Tenant)
    publications = Publications()
    publications.note(head("1", 1), PIECES, EDITIONS)
    rotated: dict[Identity, Piece] = {**PIECES, ACME: replace(tenant, key_digests={"acme/api-key": "0" * 64})}
    publications.note(head("2", 2), rotated, EDITIONS)
    covering = publications.coverage([pod("a", "1"), pod("b", "2")])
    assert covering.of(ACME, EDITIONS[ACME]) == Coverage("2" * 12, 2, 1, "a: has not answered yet")
    assert covering.of(CHAT, EDITIONS[CHAT]) == Coverage("1" * 12, 2, 2)


def test_what_a_leader_finds_is_inherited_and_what_it_publishes_is_not() -> None:
    publications = Publications()
    publications.note(head("1", 1), PIECES, EDITIONS, head("1", 1))
    publications.note(head("2", 2), dict(PIECES), edited(CHAT, 2), head("1", 1))
    covering = publications.coverage([pod("a", "2")])
    assert covering.of(ACME, EDITIONS[ACME]) == Coverage("1" * 12, 1, 1, inherited=True)
    assert covering.of(CHAT, edited(CHAT, 2)[CHAT]) == Coverage("2" * 12, 1, 1)
    publications = Publications()
    publications.note(head("2", 2), PIECES, EDITIONS, head("1", 1))
    assert publications.coverage([]).of(CHAT, EDITIONS[CHAT]) == Coverage("2" * 12, 0, 0)


def test_what_a_leader_finds_is_asked_about_until_it_has_published_itself() -> None:
    publications, reports = Publications(), [pod("a", "1"), pod("b", "2")]
    assert publications.coverage(reports).standing is None
    covering = publications.coverage(reports, head("1", 1))
    assert covering.standing == Coverage("1" * 12, 2, 1, "b: has not answered yet", inherited=True)
    assert covering.of(CHAT, EDITIONS[CHAT]) is None, "it is not known here what that holds"
    publications.note(head("2", 2), PIECES, EDITIONS, head("1", 1))
    assert publications.coverage(reports, head("2", 2)).standing is None


@pytest.mark.parametrize(("rotated", "shown"), [(False, "9" * 12), (True, "2" * 12)])
def test_the_revision_that_is_shown_is_the_first_that_held_what_an_object_is_now(
    *, rotated: bool, shown: str
) -> None:
    """What an earlier leader has said stands, until something that the object names becomes something else."""
    policy = PIECES[CHAT]
    assert isinstance(policy, Policy)
    publications = Publications()
    publications.note(head("1", 1), PIECES, EDITIONS, head("1", 1))
    if rotated:
        changed = replace(policy, priority=5)
        publications.note(head("2", 2), {**PIECES, CHAT: changed}, EDITIONS, head("1", 1))
    held = held_with(
        {
            "conditions": [
                {
                    "type": "Programmed",
                    "status": "True",
                    "observedGeneration": 1,
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                    "reason": "Programmed",
                    "message": "",
                }
            ],
            "dataPlane": {"revision": "9" * 12, "acknowledged": 1, "ready": 1},
        }
    )
    coverage = publications.coverage([pod("a", "2" if rotated else "1")]).of(CHAT, EDITIONS[CHAT])
    assert coverage is not None
    assert _revision_shown(held, coverage) == shown


def test_what_is_left_out_is_asked_of_the_first_snapshot_without_it() -> None:
    publications = Publications()
    publications.note(head("1", 1), PIECES, EDITIONS)
    assert publications.coverage([pod("a", "1")]).without(CHAT) is None, "it is there"
    rest = {identity: piece for identity, piece in PIECES.items() if identity != CHAT}
    publications.note(head("2", 2), rest, edited(CHAT, 2))
    publications.note(head("3", 3), dict(rest), edited(CHAT, 3))
    covering = publications.coverage([pod("a", "1", "it answered 500"), pod("b", "2")])
    assert covering.without(CHAT) == Coverage("2" * 12, 2, 1, "a: it answered 500")
    publications.note(head("4", 4), PIECES, edited(CHAT, 4))
    assert publications.coverage([]).without(CHAT) is None, "it is back"
    gone = {identity: edition for identity, edition in EDITIONS.items() if identity != CHAT}
    publications.note(head("5", 5), rest, gone)
    assert publications.coverage([]).without(CHAT) is None, "nobody asks for it"


def test_a_pod_with_a_snapshot_that_nobody_knows_runs_nothing_of_ours() -> None:
    publications = Publications()
    publications.note(head("1", 1), PIECES, EDITIONS)
    covered = publications.coverage([pod("a", "9")]).of(CHAT, EDITIONS[CHAT])
    assert covered is not None
    assert covered.acknowledged == 0


def test_an_edit_that_is_taken_back_is_a_publication_of_its_own() -> None:
    publications = Publications()
    publications.note(head("1", 1), PIECES, EDITIONS)
    publications.note(head("2", 2), dict(PIECES), edited(CHAT, 2))
    publications.note(head("1", 3), dict(PIECES), edited(CHAT, 3))
    covered = publications.coverage([pod("a", "1"), pod("b", "2")]).of(CHAT, edited(CHAT, 3)[CHAT])
    assert covered is not None
    assert (covered.acknowledged, covered.ready) == (1, 2)


def test_a_ready_pod_says_of_which_indexes_the_vectors_do_not_fit() -> None:
    reports = [
        replace(pod("a", "1"), unfit={"default/answers": "too short"}),
        replace(pod("b", "1", ready=False), unfit={"default/others": "too long"}),
        pod("c", "1"),
    ]
    assert unfit_of(reports) == {"default/answers": "too short"}


def test_a_model_is_as_the_ready_pod_sees_it_that_sees_it_worst() -> None:
    def seeing(name: str, state: ModelState, *, ready: bool = True) -> Report:
        return replace(pod(name, "1", ready=ready), models={"default/chat": {"cheap": state}})

    reports = [
        seeing("a", ModelState.OPEN),
        seeing("b", ModelState.RECOVERING),
        seeing("c", ModelState.OPEN),
        pod("d", "1"),
    ]
    cheap, rich = models_of("default/chat", ["cheap", "rich"], unwell_of(reports))
    assert (cheap.name, cheap.state, cheap.seen_by) == ("cheap", ModelState.OPEN, 2)
    assert (rich.name, rich.state, rich.seen_by) == ("rich", ModelState.HEALTHY, 4)
    unready = [seeing("a", ModelState.OPEN, ready=False)]
    assert models_of("default/chat", ["cheap"], unwell_of(unready)) == [], "nobody has spoken"


def test_lookups_are_those_of_ready_pods() -> None:
    def asked(name: str, *, hits: int, ready: bool = True) -> Report:
        return replace(pod(name, "1", ready=ready), lookups={"default/answers": Lookups(hits, 10)})

    reports = [asked("a", hits=1), asked("b", hits=2), asked("c", hits=9, ready=False), pod("d", "1")]
    assert lookups_of(reports) == {"default/answers": Lookups(3, 20)}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (pod("a", "1"), ""),
        (pod("a", "0"), "a still uses it"),
        (pod("a", "0", ready=False), "a still uses it"),
        (pod("a", None), "a still uses it"),
        (pod("a", None, "it did not answer", ready=False), ""),
        (None, "a has not been asked yet"),
    ],
    ids=[
        "runs the newest",
        "runs another",
        "ends with another",
        "is being asked",
        "never answered",
        "is new",
    ],
)
def test_what_is_deleted_is_in_use_until_every_pod_there_is_has_let_go(said: Report | None, why: str) -> None:
    reports = {} if said is None else {"a": said}
    there = said.pod if said is not None else pod("a", None).pod
    assert why_in_use([there], reports, "1" * 64) == why
