"""The bystander of the tests with an API server sees what it is there for."""

from dataclasses import replace
from typing import Any

from tests.apiserver import ApiServer
from tests.dataplanes import Setup, compiled
from tests.witness import Witness
from tollway_api import snapshot

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")


def witness() -> Witness:
    return Witness(ApiServer.__new__(ApiServer))  # it asks no server here


def body(generation: int, observed: int, accepted: str = "True", name: str = "chat") -> dict[str, Any]:
    condition = {"type": "Accepted", "status": accepted, "observedGeneration": observed}
    metadata = {"namespace": "", "name": name, "uid": name, "generation": generation}
    return {"metadata": metadata, "status": {"conditions": [condition]}}


def test_a_generation_that_goes_back_or_is_not_there_yet_is_seen_once() -> None:
    seen = witness()
    for generation, observed in ((1, 1), (2, 1), (2, 2), (2, 1), (2, 3)):
        seen._see("RoutingPolicy", body(generation, observed))
    assert [each.split(" of ", 1)[1] for each in seen.broken()] == [
        "('RoutingPolicy', '', 'chat') went back from generation 2 to 1",
        "('RoutingPolicy', '', 'chat') speaks of 3, and 2 is the newest",
    ]
    assert seen.broken() == []


def test_a_snapshot_of_unknown_or_refused_objects_or_under_another_digest_is_seen() -> None:
    seen, served = witness(), compiled(SETUP.objects())
    digest = snapshot.digest(snapshot.encode(served))
    assert any("never had generation" in each for each in seen.not_compiled(served, digest))
    for source in served.sources:
        seen._generations[source.kind, source.namespace, source.name] = source.generation
    assert seen.not_compiled(served, digest) == []
    assert seen.not_compiled(replace(served, policies=()), digest) == [f"its digest is not {digest}"]
    source = served.sources[0]
    origin = (source.kind, source.namespace, source.name)
    seen._verdicts[origin, source.generation] = {"False"}
    assert seen.not_compiled(served, digest) == [
        f"{origin} was not accepted in generation {source.generation}"
    ]
