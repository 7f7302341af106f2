"""The earlier turns of a chat as they are kept in Redis: small, and read with care, since anybody may have written
them.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Final

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.conversation import MOST_CHARACTERS, MOST_TURNS

# JSON escapes a character beyond ASCII with 6 bytes, or twice 6; the rest is what stands around a turn.
_MOST_BYTES: Final = 12 * MOST_CHARACTERS + 32 * MOST_TURNS
_ROLES: Final = {"user": "u", "assistant": "a"}
_OF_LETTER: Final = {letter: role for role, letter in _ROLES.items()}


def packed(turns: Sequence[Turn]) -> bytes:
    """Compressed JSON: for each turn its role's letter, followed by what was said."""
    return zlib.compress(json.dumps([_ROLES[turn.role] + turn.text for turn in turns]).encode(), level=1)


def unpacked(data: bytes) -> tuple[Turn, ...]:
    """Raises ValueError for what `packed` has not made."""
    reader = zlib.decompressobj()
    try:
        content = json.loads(reader.decompress(data, _MOST_BYTES))
        return tuple(Turn(_OF_LETTER[said[0]], said[1:]) for said in content)
    except (zlib.error, ValueError, KeyError, IndexError, TypeError) as exc:
        raise ValueError("no turns of a chat") from exc
