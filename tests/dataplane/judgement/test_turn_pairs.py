"""Two turns, or answers, in which something stands in the place of something else."""

import pytest

from tollway_dataplane.judgement.turn_pairs import replaced
from tollway_dataplane.prompts.reading import read


@pytest.mark.parametrize(("one", "other"), [("credit", "debit"), ("father", "mother")])
def test_opposites_that_a_dictionary_calls_kin_are_two_things(one: str, other: str) -> None:
    ours, theirs = (read(f"You can bring your {each} along to the bank") for each in (one, other))
    assert replaced(ours, theirs) == f"{one} ≠ {other}"
    assert replaced(theirs, ours) == f"{other} ≠ {one}"
