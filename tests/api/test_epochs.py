"""What a purge voids, and what it does not."""

import pytest

from tollway_api import wire
from tollway_api.epochs import EVERYTHING, Epochs, Scope

ANSWERS, OTHERS = "default/answers", "default/others"
IDENTITIES = {index: f"{wire.index_tag(index)}{'0' * 24}" for index in (ANSWERS, OTHERS)}
BEFORE = Epochs({EVERYTHING: 1_000})


def key(epochs: Epochs, index: str, tenant: str) -> str:
    return wire.entry_key(epochs.stamped(IDENTITIES[index], tenant), "0" * 32)


@pytest.mark.parametrize(
    ("scope", "voided"),
    [
        (Scope(ANSWERS), {"answers/acme", "answers/beta", "answers/"}),
        (Scope(ANSWERS, "acme"), {"answers/acme"}),
        (Scope(tenant="acme"), {"answers/acme", "others/acme"}),
        (Scope("default/absent"), set()),
        (
            EVERYTHING,
            {f"{index}/{owner}" for index in ("answers", "others") for owner in ("acme", "beta", "")},
        ),
    ],
    ids=["an index", "a tenant in an index", "a tenant", "an index that is not there", "everything"],
)
def test_a_purge_voids_what_it_is_of_and_nothing_else(scope: Scope, voided: set[str]) -> None:
    after = BEFORE.merged(Epochs({scope: 2_000}))
    owners = [(index, owner) for index in (ANSWERS, OTHERS) for owner in ("acme", "beta", "")]
    found = {pair for pair in owners if after.voids(key(BEFORE, *pair))}
    assert {f"{index.removeprefix('default/')}/{owner}" for index, owner in found} == voided
    assert not any(after.voids(key(after, *pair)) for pair in owners), "what is remembered since"
    assert {key(after, *pair) != key(BEFORE, *pair) for pair in found} <= {True}


def test_what_is_named_in_a_way_that_nobody_asks_for_any_more_is_void() -> None:
    assert BEFORE.voids(f"tollway:1:entry:{{{'0' * 32}}}:{'0' * 32}")


def test_all_names_of_a_partition_find_their_index() -> None:
    assert key(BEFORE, ANSWERS, "acme").startswith(wire.entry_prefix(ANSWERS))


def test_what_is_written_is_read_again() -> None:
    epochs = Epochs({EVERYTHING: 1_000, Scope(ANSWERS, "acme"): 3_000, Scope(tenant="beta"): 2_000})
    written = {str(scope).encode(): str(epoch).encode() for scope, epoch in epochs.by_scope.items()}
    read = Epochs.parse({**written, b"version": b"3000", b"swept": b"1000"})
    assert read == epochs
    assert read.version == 3_000


@pytest.mark.parametrize(
    "fields",
    [{b"version": b"soon"}, {b" ": b"-5"}, {b" ": b"9" * 20}, {b"\xff ": b"1"}, {b"x": b"1"}],
    ids=["a word", "negative", "too late", "no text", "no scope"],
)
def test_what_somebody_else_has_written_is_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Epochs.parse(fields)


def test_what_a_redis_has_lost_is_known() -> None:
    known = Epochs({EVERYTHING: 1_000, Scope(ANSWERS): 2_000, Scope(OTHERS, "acme"): 3_000})
    assert known.missing_in(known) == {}
    assert known.missing_in(BEFORE) == {Scope(ANSWERS): 2_000, Scope(OTHERS, "acme"): 3_000}
    assert known.missing_in(Epochs({EVERYTHING: 4_000})) == {}, "all of that is purged as well"


def test_the_latest_purge_of_an_index_is_one_that_was_asked_for() -> None:
    assert BEFORE.latest_of(ANSWERS) is None
    epochs = BEFORE.merged(Epochs({Scope(OTHERS): 2_000, Scope(tenant="acme"): 3_000}))
    assert epochs.latest_of(ANSWERS) == (Scope(tenant="acme"), 3_000)
    assert epochs.merged(Epochs({Scope(ANSWERS): 4_000})).latest_of(ANSWERS) == (Scope(ANSWERS), 4_000)
