"""What only the end of a word tells: who acts and whom it is done to ("payer", "payee"), whether a thing is one's or
several's ("my friend's", "my friends'"). Pure and symmetric in what it decides; called by `judge`.
"""

import re
from typing import Final

from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.word_forms import alike

_ACTED_ON: Final = re.compile(r"([a-z]{3,})ees?")
_ENDS: Final = ("ee", "ees")
_OWNED: Final = re.compile(r"\b([a-z]+)(?:'s\b|(s)'(?=\s+[a-z]))")


def endings_differ(ours: Reading, theirs: Reading) -> str:
    """What differs, "" when nothing does."""
    if pair := _acting(ours, theirs):
        return f"who acts differs: {pair[0]} ≠ {pair[1]}"
    if pair := _acting(theirs, ours):
        return f"who acts differs: {pair[1]} ≠ {pair[0]}"
    if "'" not in ours.plain or "'" not in theirs.plain:
        return ""
    mine, yours = _owners(ours), _owners(theirs)
    for owner in (each for each in mine if each in yours):
        if mine[owner].isdisjoint(yours[owner]) and alike(ours, theirs):
            return f"whose it is differs: {min(mine[owner])} ≠ {min(yours[owner])}"
    return ""


def _acting(of: Reading, against: Reading) -> tuple[str, str] | None:
    """The one acted on in the first prompt and the one acting in the second ("payee", "payer"), where neither is in the
    other prompt.
    """
    for low, stem in _acted_on(of):
        for acting in (f"{stem}er", f"{stem}or"):
            if low in against.low or acting in of.low or f"{acting}s" in of.low:
                continue
            if acting in against.low or f"{acting}s" in against.low:
                return low, acting
    return None


@once
def _acted_on(reading: Reading) -> list[tuple[str, str]]:
    """The words for whom something is done to, each with its stem."""
    ending = [low for low in reading.low if low.endswith(_ENDS)]
    return [(low, match[1]) for low in ending if (match := _ACTED_ON.fullmatch(low))]


@once
def _owners(reading: Reading) -> dict[str, set[str]]:
    """How each is written, where an apostrophe says how many there are."""
    found: dict[str, set[str]] = {}
    for owner, several in _OWNED.findall(reading.plain):
        found.setdefault(owner, set()).add(f"{owner}s'" if several else f"{owner}'s")
    return found
