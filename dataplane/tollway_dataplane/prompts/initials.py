"""Initials are part of a name, however they are written: "George H. W. Bush" is "George HW Bush" and not "George W.
Bush". Pure; called by `critical_facts`.
"""

import re
from typing import Final

from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import Reading

_LETTERS: Final = re.compile(r"[^\W\d_](?:\.[^\W\d_])*")
# Few prompts have a word that ends with a capital.
_MAY_HAVE: Final = re.compile(r"[A-Z](?!\w)")


def initials_without_like(ours: Reading, theirs: Reading) -> list[str]:
    """The initials in names of `ours` that `theirs` has in no form: "hw"."""
    mine = [_joined(ours, run) for run in _of_names(ours)]
    if not mine:
        return []
    written = {_joined(theirs, run) for run in _runs(theirs)}
    return sorted(each for each in mine if each not in written and (len(each) == 1 or each not in theirs.low))


@once
def words_of_initials(reading: Reading) -> frozenset[str]:
    """The lemmas that are initials, or some of them: "h", "w"."""
    return frozenset(reading.lemmas[i] for run in _of_names(reading) for i in run)


@once
def _of_names(reading: Reading) -> list[list[int]]:
    """Places of capital letters before a capital word; those that are words as well have a stop."""
    if not _MAY_HAVE.search(reading.text) or reading.text.isupper():
        return []
    return [run for run in _runs(reading) if _is_of_a_name(reading, run)]


def _is_of_a_name(reading: Reading, run: list[int]) -> bool:
    after = run[-1] + 1
    if after == len(reading.shown) or not reading.shown[after][0].isupper():
        return False
    if not all(reading.shown[i].isupper() for i in run):
        return False
    has_stop = reading.text[reading.spans[run[-1]][1]] == "."
    return has_stop or any(reading.low[i] not in FUNCTION for i in run)


def _runs(reading: Reading) -> list[list[int]]:
    """Places of letters that follow on each other."""
    runs: list[list[int]] = []
    for i, low in enumerate(reading.low):
        if not _LETTERS.fullmatch(low):
            continue
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _joined(reading: Reading, run: list[int]) -> str:
    return "".join(reading.low[i] for i in run).replace(".", "")
