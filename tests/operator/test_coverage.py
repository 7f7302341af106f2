"""Which pods count for which object."""

from dataclasses import replace

from tests.dataplanes import Setup, compiled
from tollway_api.meta import Identity
from tollway_api.parts import Head
from tollway_api.snapshot import Snapshot
from tollway_operator.coverage import Coverage, Publications
from tollway_operator.reports import DataPlanePod, Report

SNAPSHOT = compiled(Setup("http://a/v1", "http://b/v1").objects())
CHAT = Identity("RoutingPolicy", "default", "chat")
ACME = Identity("TenantBudget", "default", "acme")


def head(digest: str, order: int) -> Head:
    return Head(digest * 64, order, 1, "a", 1)


def pod(
    name: str, digest: str | None, trouble: str = "", *, rejected: bool = False, ready: bool = True
) -> Report:
    known = DataPlanePod(name, name, "10.0.0.1", ready, gone=False, incarnation="")
    return Report(known, digest * 64 if digest else None, trouble, rejected)


def edited(snapshot: Snapshot, identity: Identity, generation: int) -> Snapshot:
    sources = tuple(
        replace(each, generation=generation)
        if (each.kind, each.name) == (identity.kind, identity.name)
        else each
        for each in snapshot.sources
    )
    return replace(snapshot, sources=sources)


def test_what_is_not_published_is_not_covered() -> None:
    publications = Publications()
    assert publications.coverage([]).of(CHAT, 1) is None
    publications.note(head("1", 1), SNAPSHOT)
    assert publications.coverage([]).of(CHAT, 2) is None
    assert publications.coverage([]).of(CHAT, 1) == Coverage("1" * 12, 0, 0)


def test_ready_pods_count_and_the_one_that_said_no_is_named_first() -> None:
    publications = Publications()
    publications.note(head("1", 1), SNAPSHOT)
    reports = [
        pod("a", "1"),
        pod("b", None),
        pod("c", "0", "it rejected 111: no", rejected=True),
        pod("d", None, ready=False),
    ]
    covered = publications.coverage(reports).of(CHAT, 1)
    assert covered == Coverage("1" * 12, 3, 1, "c: it rejected 111: no", rejected=True)


def test_an_edit_is_asked_for_only_by_the_object_that_was_edited() -> None:
    publications = Publications()
    publications.note(head("1", 1), SNAPSHOT)
    publications.note(head("2", 2), edited(SNAPSHOT, CHAT, 2))
    covering = publications.coverage([pod("a", "1"), pod("b", "2")])
    assert covering.of(CHAT, 2) == Coverage("2" * 12, 2, 1, "a: has not answered yet")
    assert covering.of(ACME, 1) == Coverage("1" * 12, 2, 2)


def test_a_pod_with_a_snapshot_that_nobody_knows_runs_nothing_of_ours() -> None:
    publications = Publications()
    publications.note(head("1", 1), SNAPSHOT)
    covered = publications.coverage([pod("a", "9")]).of(CHAT, 1)
    assert covered is not None
    assert covered.acknowledged == 0


def test_an_edit_that_is_taken_back_is_a_publication_of_its_own() -> None:
    publications = Publications()
    publications.note(head("1", 1), SNAPSHOT)
    publications.note(head("2", 2), edited(SNAPSHOT, CHAT, 2))
    publications.note(head("1", 3), edited(SNAPSHOT, CHAT, 3))
    covered = publications.coverage([pod("a", "1"), pod("b", "2")]).of(CHAT, 3)
    assert covered is not None
    assert (covered.acknowledged, covered.ready) == (1, 2)
