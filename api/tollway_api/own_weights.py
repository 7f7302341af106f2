"""A policy's own weights for the router, as one word of text: what `tollway fit-router` learns from an operator's
labels and `route.complexity.weights` holds. Written by the cli, checked by the compiler, used by the data plane.

The word is FORM, what the weights were fitted over, and base64: `w1.0123456789ab.AAAB…`. Weights are in 16 bits (IEEE
754), and a checksum stands at the end, because half a word would still be weights.
"""

import base64
import binascii
import math
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

FORM: Final = "w1"
# Names the encoder, what is seen of a prompt, and the shipped model, which weights only correct: over others than they
# were fitted to they are noise. `python -m tools.router_fingerprint` says it.
FITTED_OVER: Final = "d75c84354737"
LONGEST: Final = 4_096  # characters
_WORD: Final = re.compile(r"(w[0-9]{1,3})\.([0-9a-f]{12})\.([A-Za-z0-9_-]+)")
_HEAD: Final = struct.Struct(">IffHH")  # labels, slope, shift, how many weights, how many points
_POINT: Final = struct.Struct(">HHH")
_CHECKSUM: Final = struct.Struct(">I")
_UNIT: Final = 65_535
_MOST_QUALITY: Final = 2.0  # of the complex model's; who routes well may keep more than all


class WeightsError(ValueError):
    """A text that holds no weights to use."""


class DamagedWeightsError(WeightsError):
    """It is not what was written."""


class OtherWeightsError(WeightsError):
    """They were fitted over another encoder, other features or another shipped model."""


@dataclass(frozen=True, slots=True)
class OwnWeights:
    labels: int  # how many it was fitted to
    slope: float  # of the shipped model's log-odds
    shift: float
    weights: tuple[float, ...]  # of what is seen of a prompt, standardised
    # Of prompts that it had not seen: (from this probability on, share of prompts, share of the complex model's quality
    # that is kept), thresholds falling.
    curve: tuple[tuple[float, float, float], ...]


def write(own: OwnWeights) -> str:
    body = _HEAD.pack(own.labels, own.slope, own.shift, len(own.weights), len(own.curve))
    body += struct.pack(f">{len(own.weights)}e", *own.weights)
    body += b"".join(
        _POINT.pack(_fixed(threshold), _fixed(simple_share), _fixed(quality / _MOST_QUALITY))
        for threshold, simple_share, quality in own.curve
    )
    packed = base64.urlsafe_b64encode(body + _CHECKSUM.pack(zlib.crc32(body)))
    return f"{FORM}.{FITTED_OVER}.{packed.decode().rstrip('=')}"


def read(text: str) -> OwnWeights:
    """Raises DamagedWeightsError and OtherWeightsError, whose messages say how to mend it."""
    parts = _WORD.fullmatch(text)
    if parts is None:
        raise DamagedWeightsError("is not what tollway fit-router writes; paste its word whole")
    form, fitted_over, packed = parts.groups()
    if (form, fitted_over) != (FORM, FITTED_OVER):
        raise OtherWeightsError(
            f"was fitted with another version of Tollway ({form}.{fitted_over}, and this one is {FORM}.{FITTED_OVER}), "
            "so the shipped model decides meanwhile; run tollway fit-router of this version"
        )
    try:
        data = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        return _unpacked(data[: -_CHECKSUM.size], data[-_CHECKSUM.size :])
    except (binascii.Error, struct.error):
        raise DamagedWeightsError("is not whole; paste the word of tollway fit-router again") from None


def _unpacked(body: bytes, checksum: bytes) -> OwnWeights:
    if _CHECKSUM.pack(zlib.crc32(body)) != checksum:
        raise struct.error
    labels, slope, shift, count, points = _HEAD.unpack_from(body)
    weights = struct.unpack_from(f">{count}e", body, _HEAD.size)
    rest = body[_HEAD.size + 2 * count :]
    if len(rest) != points * _POINT.size or not all(map(math.isfinite, (slope, shift, *weights))):
        raise struct.error
    curve = (
        (threshold / _UNIT, simple_share / _UNIT, _MOST_QUALITY * quality / _UNIT)
        for threshold, simple_share, quality in _POINT.iter_unpack(rest)
    )
    return OwnWeights(labels, slope, shift, weights, tuple(curve))


def _fixed(share: float) -> int:
    return round(min(1.0, max(0.0, share)) * _UNIT)
