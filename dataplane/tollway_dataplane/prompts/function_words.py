"""The little words that stand around a verb: who acts, whom it is done to, whose it is, and what comes between. Pure;
used by what asks who does what to whom (`persons`, `passive`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import Reading

THIRD: Final = "another"
ACTING: Final = {"i": "I", "we": "I", "you": "you", "he": THIRD, "she": THIRD, "they": THIRD}
ACTED_ON: Final = {"me": "I", "us": "I", "you": "you", "him": THIRD, "her": THIRD, "them": THIRD}
OWNING: Final = {
    "my": "I",
    "our": "I",
    "your": "you",
    "his": THIRD,
    "her": THIRD,
    "their": THIRD,
    "whose": "who",
}
PRONOUNS: Final = frozenset({"I", "you", "who", THIRD})
PERSONS: Final = frozenset({*ACTING, *ACTED_ON, *OWNING})
BEING: Final = frozenset("am is are was were be been being".split())
GETTING: Final = frozenset("get gets got getting".split())  # "get paid", "get started": either way
ADVERBS: Final = frozenset(
    "not never always still ever already just also really only even now please".split()
)
# Between who acts and what is done.
AUXILIARY: Final = (
    BEING
    | GETTING
    | ADVERBS
    | frozenset(
        "can could will would shall should may might must do does did have has had to cannot allowed able going "
        "supposed".split()
    )
)
WANTING: Final = frozenset("want wanted need needed like wish try trying".split())  # before "to"
TO: Final = frozenset("to from on at for with about against after behind without".split())
OF_SOMEBODY: Final = frozenset("of by than like as and or".split())
# No word of these is owned by anybody, nor done.
LITTLE: Final = (
    TO
    | OF_SOMEBODY
    | frozenset(
        "a an the but so if because when where why how what which who whom that this these those in then there here "
        "into onto over under off out up down before after until while it its".split()
    )
)


@once
def parted(reading: Reading) -> tuple[Sequence[str], Mapping[int, str]]:
    """The words without what is behind an apostrophe ("boss's", "I'm"), and that by its word's place; "s" is also what
    "my friends' cars" has.
    """
    if "'" not in reading.plain:
        return reading.low, {}
    low, endings = list(reading.low), {}
    for i, word in enumerate(low):
        if "'" in word and not word.endswith("n't"):
            low[i], _, endings[i] = word.partition("'")
    if "s' " in reading.plain:
        for i, (_, end) in enumerate(reading.spans):
            if low[i].endswith("s") and reading.plain[end : end + 2] == "' ":
                endings[i] = "s"
    return low, endings
