"""A policy's own weights as one word: what is written is read, and anything else is told apart and said."""

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dataplanes import Setup, compiled
from tollway_api import own_weights
from tollway_api.own_weights import DamagedWeightsError, OtherWeightsError, OwnWeights, read, write
from tollway_api.snapshot import decode, encode

OWN = OwnWeights(300, 1.25, -0.5, (0.5, -0.25, 0.0), ((0.75, 0.5, 1.0), (0.25, 1.0, 0.875)))
WORD = write(OWN)
SETUP = Setup("http://a/v1", "http://b/v1")


def packed(body: bytes) -> str:
    data = body + zlib.crc32(body).to_bytes(4, "big")
    return (
        f"{own_weights.FORM}.{own_weights.FITTED_OVER}.{base64.urlsafe_b64encode(data).decode().rstrip('=')}"
    )


def test_what_is_written_is_read_to_five_digits() -> None:
    found = read(WORD)
    assert (found.labels, found.slope, found.shift, found.weights) == (300, 1.25, -0.5, OWN.weights)
    for point, expected in zip(found.curve, OWN.curve, strict=True):
        assert point == pytest.approx(expected, abs=2e-5)


def test_of_all_that_the_router_sees_and_a_whole_curve_it_is_short() -> None:
    every = OwnWeights(10**6, 1.0, 0.0, (0.1,) * 62, ((0.5, 0.5, 1.0),) * 50)
    assert len(write(every)) < own_weights.LONGEST / 4


@given(st.integers(0, len(WORD) - 1), st.sampled_from("AZaz09_-.w"))
def test_a_word_with_a_wrong_letter_is_never_read_as_weights(place: int, letter: str) -> None:
    changed = WORD[:place] + letter + WORD[place + 1 :]
    try:
        assert read(changed) == read(WORD)
    except own_weights.WeightsError:
        assert changed != WORD


@pytest.mark.parametrize("cut", [1, 4, 20])
def test_half_a_word_is_refused(cut: int) -> None:
    with pytest.raises(DamagedWeightsError, match="paste"):
        read(WORD[:-cut])


@pytest.mark.parametrize(
    "body",
    [b"", b"\0" * 15, b"\0" * 12 + b"\0\1\0\0", b"\0" * 4 + b"\x7f\xc0\0\0" + b"\0" * 8, b"\0" * 17],
    ids=["nothing", "half a head", "a weight short", "no number", "too much"],
)
def test_what_is_whole_and_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(DamagedWeightsError):
        read(packed(body))


@pytest.mark.parametrize(("form", "over"), [("w2", own_weights.FITTED_OVER), ("w1", "0123456789ab")])
def test_weights_of_another_version_are_told_apart_from_damaged_ones(form: str, over: str) -> None:
    with pytest.raises(OtherWeightsError, match="fitted with another version of Tollway"):
        read(f"{form}.{over}.AAAA")


def test_an_older_snapshot_has_none_and_an_older_data_plane_does_not_see_them() -> None:
    route = {"complexity": {"classifier": "Embedding", "weights": WORD}}
    data = encode(compiled(SETUP.but(policy={"route": route}).objects()))
    assert decode(data).policies[0].route.weights == WORD
    older = data.replace(b',"weights":"%b","steps":[]' % WORD.encode(), b"")
    assert older != data
    assert decode(older).policies[0].route.weights == ""
    newer = data.replace(b'"steps":[]', b'"steps":[],"added_later":1')
    assert decode(newer).policies == decode(data).policies
