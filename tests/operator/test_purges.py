"""What a status says of the latest purge of an index."""

import json
from typing import Any

import pytest

from tests.dataplanes import Setup, compiled
from tests.operator.test_status_writer import index, view_of
from tollway_api.epochs import EVERYTHING, Epochs, Scope
from tollway_operator.objects import Objects
from tollway_operator.status import View, status_of

PURGED = Epochs({EVERYTHING: 1_000, Scope("default/answers", "acme"): 1_764_000_000_500})


def last_purge(before: dict[str, Any] | None = None, **known: Any) -> Any:
    objects = Objects()
    body = index()
    objects.put({**body, "status": {"lastPurge": before}} if before else body)
    (held,) = objects
    view: View = view_of(held, **known)
    return status_of(held, view).get("lastPurge")


def test_it_says_who_has_not_forgotten_yet() -> None:
    forgotten = {"dp-1": 1_764_000_000_500, "dp-2": 1_764_000_000_499, "dp-3": 0}
    assert last_purge(epochs=PURGED, forgotten=forgotten) == {
        "at": "2025-11-24T16:00:00Z",
        "tenant": "acme",
        "forgotten": 1,
        "ready": 3,
        "waitingFor": ["dp-2", "dp-3"],
    }


def test_it_names_a_few_of_many() -> None:
    said = last_purge(epochs=PURGED, forgotten={f"dp-{number:02}": 0 for number in range(40)})
    assert (said["ready"], said["forgotten"]) == (40, 0)
    assert said["waitingFor"] == [f"dp-{number:02}" for number in range(16)]


@pytest.mark.parametrize(
    "epochs",
    [Epochs(), Epochs({EVERYTHING: 5_000}), Epochs({Scope("default/others"): 5_000})],
    ids=["nothing is known", "Redis was new", "another's"],
)
def test_it_says_nothing_where_nobody_has_purged_it(epochs: Epochs) -> None:
    assert last_purge(epochs=epochs, forgotten={"dp-1": 9_000}) is None


@pytest.mark.parametrize(("scope", "says"), [("Tenant", "acme"), ("Shared", None)])
def test_a_tenants_purge_is_said_only_where_a_tenant_has_answers_of_its_own(
    scope: str, says: str | None
) -> None:
    """A shared index is left as it is, and nobody is to believe otherwise."""
    snapshot = compiled(Setup("http://a/v1", "http://b/v1", index={"scope": scope}).objects())
    epochs = Epochs({Scope(tenant="acme"): 1_764_000_000_500})
    said = last_purge(epochs=epochs, forgotten={"dp-1": 1_764_000_000_500}, snapshot=snapshot)
    assert (said["tenant"] if said else None) == says


def test_a_shared_index_says_when_all_of_it_was_purged() -> None:
    snapshot = compiled(Setup("http://a/v1", "http://b/v1", index={"scope": "Shared"}).objects())
    epochs = Epochs({Scope("default/answers"): 1_000, Scope(tenant="acme"): 2_000})
    said = last_purge(epochs=epochs, forgotten={"dp-1": 1_000}, snapshot=snapshot)
    assert (said["at"], said["tenant"], said["forgotten"]) == ("1970-01-01T00:00:01Z", "", 1)


@pytest.mark.parametrize(
    "known", [{"epochs": None}, {"epochs": PURGED, "pods_unknown": "they cannot be listed"}]
)
def test_what_was_said_stands_while_nobody_knows_better(known: dict[str, Any]) -> None:
    said = last_purge(epochs=PURGED, forgotten={"dp-1": 0})
    assert last_purge(json.loads(json.dumps(said)), **known) == said
