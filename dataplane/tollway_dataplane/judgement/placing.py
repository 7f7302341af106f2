"""Where a thing is said to be, or how something gets along it: near the station, in it, under it. Of a word that both
prompts have, what stands before it in one may exclude what does in the other. Little words that are said for each
other ("in the app", "on the app", "within it") are no difference, and those that are opposites anywhere ("with",
"without") are compared by `spelling`. Pure and symmetric in what it decides; called by `judge`.
"""

from itertools import combinations, product
from typing import Final

from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.word_forms import alike

_PLACES: Final = {
    word: place
    for place, words in {
        "near": "near beside alongside", "under": "under underneath beneath below", "above": "above atop",
        "in": "in into", "inside": "inside within", "outside": "outside", "behind": "behind", "between": "between",
        "through": "through throughout", "around": "around", "along": "along", "across": "across",
        "beyond": "beyond past", "on": "on onto", "to": "to towards toward", "from": "from", "by": "by",
    }.items()
    for word in words.split()
}  # fmt: skip
# Of more than one word, by the last but one or two.
_PHRASES: Final = {
    ("in", "front", "of"): "before", ("in", "back", "of"): "behind", ("on", "top", "of"): "above",
    ("next", "to"): "near", ("close", "to"): "near", ("outside", "of"): "outside", ("inside", "of"): "inside",
}  # fmt: skip
_OPENING: Final = frozenset(words[0] for words in _PHRASES)
_BEHIND_IDEAS: Final = frozenset(
    "reason truth secret mystery story idea meaning logic science history theory principle philosophy concept".split()
)
_EXACT: Final = frozenset(
    "near under above inside outside behind before between through around along across beyond".split()
)
# Without one of these in either prompt nothing excludes anything.
_SIGNS: Final = frozenset(word for word, place in _PLACES.items() if place in _EXACT | {"by"}) | frozenset(
    "front back top next close".split()
)
# Each excludes each other, but for these.
_EITHER_WAY: Final = frozenset(
    frozenset(pair.split())
    for pair in (
        "near around", "around across", "through across", "through along", "through inside", "across along",
        "through between", "between around", "beyond across", "beyond through",
    )
)  # fmt: skip
_EXCLUDED: Final = frozenset(
    pair for pair in map(frozenset, combinations(sorted(_EXACT), 2)) if pair not in _EITHER_WAY
) | frozenset(
    frozenset(pair.split())
    for pair in (
        "near in", "near from", "outside in", "behind in", "before in", "under in", "under on", "above in", "around to",
        "around from", "around on", "along to", "along from", "across from", "by to", "behind on", "before on",
    )
)  # fmt: skip


def placed_otherwise(ours: Reading, theirs: Reading) -> str:
    """What differs, "" when nothing does."""
    is_signed = not (_SIGNS.isdisjoint(ours.plain_set) and _SIGNS.isdisjoint(theirs.plain_set))
    if not is_signed or not alike(ours, theirs):
        return ""
    mine, yours = _placed(ours), _placed(theirs)
    for word in (each for each in mine if each in yours):
        pairs = product(sorted(mine[word] - yours[word]), sorted(yours[word] - mine[word]))
        found = next((pair for pair in pairs if frozenset(pair) in _EXCLUDED), None)
        if found:
            return f"{found[0]} {word} ≠ {found[1]} {word}"
    return ""


@once
def _placed(reading: Reading) -> dict[str, set[str]]:
    """How each word that carries what is asked is placed, where something right before it says so."""
    found: dict[str, set[str]] = {}
    low, last, i = reading.low, "", 0
    while i < len(low):
        words = (
            next((words for words in _PHRASES if low[i : i + len(words)] == words), ())
            if low[i] in _OPENING
            else ()
        )
        if words:
            last, i = _PHRASES[words], i + len(words)
            continue
        if low[i] in _PLACES:
            last = _PLACES[low[i]] if _places(reading, i) else ""
        elif low[i] not in FUNCTION:
            if last:
                found.setdefault(reading.lemmas[i], set()).add(last)
            last = ""
        i += 1
    return found


def _places(reading: Reading, i: int) -> bool:
    """Whether it is of a place or of an amount: not "to park", "paid by card", "the idea behind it"."""
    low, behind = reading.low[i], reading.low[i + 1 : i + 2]
    if low == "by":
        return bool(behind) and not behind[0].isalpha()
    if low == "behind":
        return _BEHIND_IDEAS.isdisjoint(reading.lemmas[max(0, i - 2) : i])
    return low != "to" or not (behind and english().is_verb(reading.lemmas[i + 1]))
