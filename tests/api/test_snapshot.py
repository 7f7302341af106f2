"""The snapshot: same input, same bytes; damaged bytes are refused without telling what was in them."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tollway_api import snapshot
from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import parse_inventory
from tollway_api.meta import TenantName
from tollway_api.reach import OWN

SOURCE = (Path(__file__).parents[1] / "golden" / "everything-set.in.yaml").read_text(encoding="utf-8")
OBJECTS = list(yaml.safe_load_all(SOURCE))


def encoded(objects: list[object]) -> bytes:
    inventory, _ = parse_inventory(objects)  # type: ignore[arg-type]  # a test may give anything
    return snapshot.encode(compile_snapshot(inventory, bundled(), reach=OWN).snapshot)


@given(st.permutations(OBJECTS))
def test_the_order_of_the_objects_makes_no_difference(objects: list[object]) -> None:
    assert encoded(objects) == encoded(OBJECTS)


def test_what_is_encoded_is_decoded_to_the_same() -> None:
    data = encoded(OBJECTS)
    assert snapshot.encode(snapshot.decode(data)) == data


def test_another_content_has_another_revision() -> None:
    changed = yaml.safe_load(SOURCE.replace("priority: 7", "priority: 8").split("---")[1])
    assert snapshot.revision(encoded(OBJECTS)) != snapshot.revision(
        encoded([OBJECTS[0], changed, *OBJECTS[2:]])
    )
    assert snapshot.revision(encoded(OBJECTS)) == snapshot.digest(encoded(OBJECTS))[:12]


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=4))
def test_damaged_bytes_are_refused_or_still_a_snapshot(place: int, noise: bytes) -> None:
    data = bytearray(encoded(OBJECTS))
    place %= len(data)
    data[place : place + len(noise)] = noise
    message = ""
    try:
        snapshot.decode(bytes(data))
    except snapshot.SnapshotError as error:
        message = str(error)
    assert "made-up-token" not in message


def test_many_tenants_are_decoded_in_their_order() -> None:
    whole = snapshot.decode(encoded(OBJECTS))
    (tenant, *_) = whole.tenants.values()
    names = [TenantName(f"tenant-{number}") for number in range(100)]
    many = replace(whole, tenants={name: replace(tenant, name=name) for name in sorted(names)})
    found = snapshot.decode(snapshot.encode(many))
    assert found == many
    assert list(found.tenants) == sorted(names)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"[]", b"null", b"\xff"),
        b'{"installation_namespace": "a", "schema_version": %d, "tenants": [1]}' % snapshot.SCHEMA_VERSION,
        b'{"installation_namespace": "a", "schema_version": %d, "tenants": "a"}' % snapshot.SCHEMA_VERSION,
        b'{"installation_namespace": "a", "schema_version": %d, "tenants": {"a": 1}}'
        % snapshot.SCHEMA_VERSION,
    ],
)
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(snapshot.SnapshotError):
        snapshot.decode(data)


@pytest.mark.parametrize("shape", [b"", b'"tenants":5,'], ids=["the same shape", "another shape"])
@pytest.mark.parametrize("version", [1, snapshot.SCHEMA_VERSION + 1], ids=["older", "newer"])
def test_what_another_version_has_made_is_refused_for_that_whatever_its_shape(
    shape: bytes, version: int
) -> None:
    ours, theirs = (b'"schema_version":%d,' % each for each in (snapshot.SCHEMA_VERSION, version))
    data = encoded(OBJECTS).replace(ours, theirs + shape)
    why = f"made by another version of Tollway: the snapshot has schema version {version}, and this one reads"
    with pytest.raises(snapshot.SnapshotError, match=why):
        snapshot.decode(data)


def test_no_key_shows_when_a_snapshot_is_printed() -> None:
    assert "made-up-token" not in repr(snapshot.decode(encoded(OBJECTS)))


def test_api_keys_are_in_it_as_digests_only() -> None:
    data = encoded([*OBJECTS[:3], {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "acme"},
                                   "stringData": {"api-key": "a-callers-key"}}, *OBJECTS[4:]])  # fmt: skip
    assert b"a-callers-key" not in data
    assert b"ab" * 32 in data, "a digest in a Secret stays what it is"
