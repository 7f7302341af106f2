"""What a pod runs is told from what its objects do not compile to."""

from collections.abc import Mapping
from dataclasses import replace

from tests.dataplanes import Setup, compiled, manifest
from tests.recompiling import Seen, unexplained
from tollway_api.inventory import RawObject, identify
from tollway_api.snapshot import Snapshot

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
SERVED = compiled(SETUP.objects())


def seen(*more: RawObject) -> Seen:
    bodies: dict[object, list[RawObject]] = {}
    secrets: dict[object, Mapping[str, list[str]]] = {}
    for each in (*more, *SETUP.objects()):
        identity = identify(each)
        if identity.kind == "Secret":
            held: Mapping[str, str] = each["stringData"]  # type: ignore[assignment]  # an object of YAML is anything
            secrets.setdefault((identity.namespace, identity.name), {key: [held[key]] for key in held})
        else:
            bodies.setdefault(identity, []).append(each)
    return Seen(bodies, secrets)  # type: ignore[arg-type]  # of the types that `identify` says


def why(served: Snapshot, what: Seen) -> str:
    return "; ".join(unexplained(served, what))


def test_what_its_objects_compile_to_needs_no_explanation() -> None:
    assert why(SERVED, seen()) == ""
    again = manifest("TenantBudget", "acme", {"apiKeys": []})
    assert why(SERVED, seen(again)) == "", "also where one was deleted and made again, in the same generation"
    assert why(replace(SERVED, indexes={}), Seen()) == "", "and of what nobody saw nothing can be said"


def test_what_was_left_out_or_changed_or_comes_from_other_secrets_is_told() -> None:
    (policy,) = SERVED.policies
    assert "compile to something else" in why(replace(SERVED, policies=()), seen())
    preferred = replace(policy, priority=policy.priority + 1)
    assert "compile to something else" in why(replace(SERVED, policies=(preferred,)), seen())
    beta = SERVED.tenants.copy()
    name, tenant = beta.popitem()
    assert "compile to something else" in why(replace(SERVED, tenants=beta), seen())
    other = {**beta, name: replace(tenant, key_digests=dict.fromkeys(tenant.key_digests, "0" * 64))}
    assert "never held in 'api-key'" in why(replace(SERVED, tenants=other), seen())


def test_an_index_is_served_in_any_version_that_it_ever_had_and_in_no_other() -> None:
    ((name, index),) = SERVED.indexes.items()
    flat = Setup(SETUP.cheap, SETUP.rich, index={"vector": {"algorithm": "Flat"}}).objects()
    before = {name: replace(index, version=compiled(flat).indexes[name].version)}
    assert "never had the embedding" in why(replace(SERVED, indexes=before), seen())
    assert why(replace(SERVED, indexes=before), seen(flat[0])) == ""
