"""Every bound of every field, on the real API server: what is just inside is taken, what is just outside is refused in
its words. The values are made from the schema, so a field that is added is tried as well.
"""

from typing import Any

import httpx
import pytest

from tests.bounds import BESIDE, CALLER, SHARED, Bound, bounds_of
from tests.with_apiserver.test_crds import create
from tollway_api.crds import DEFINITIONS, structural_schema

BOUNDS = [
    pytest.param(definition.kind, bound, id=f"{definition.kind} {bound}")
    for definition in DEFINITIONS
    for bound in bounds_of(structural_schema(definition.spec))
]


@pytest.mark.parametrize(("kind", "bound"), BOUNDS)
def test_what_is_inside_a_bound_is_taken_and_what_is_outside_is_refused(
    admin: httpx.Client, kind: str, bound: Bound
) -> None:
    for spec in bound.inside:
        taken = create(admin, kind, whole(kind, spec))
        assert taken.status_code == 201, (spec, taken.text)
    reply = create(admin, kind, whole(kind, bound.outside))
    assert reply.status_code == 422, (bound.outside, reply.text)
    causes = [f"{each['field']}: {each['message']}" for each in reply.json()["details"]["causes"]]
    assert bound.message in causes


def whole(kind: str, spec: dict[str, Any]) -> Any:
    if kind != "TenantBudget":
        return completed(spec)
    is_shared = "selector" in spec or spec.get("scope", "Tenant") != "Tenant"
    return completed({**(SHARED if is_shared else CALLER), **spec})


def completed(spec: Any, path: str = "") -> Any:
    """With what must stand beside a field."""
    if isinstance(spec, list):
        return [completed(each, path) for each in spec]
    if not isinstance(spec, dict):
        return spec
    made = {name: completed(value, f"{path}.{name}") for name, value in spec.items()}
    for (field, only), beside in BESIDE.items():
        parent, _, name = field.rpartition(".")
        if path.endswith(f".{parent}") and name in spec and only in (None, spec[name]):
            made = {**beside, **made}
    return made
