"""What only the end of a word tells, over a table of those who act and those who are acted on."""

from itertools import product

import pytest

from tollway_dataplane.judgement.endings import endings_differ
from tollway_dataplane.prompts.reading import read

_PAIRS = (
    "employer employee|payer payee|trainer trainee|interviewer interviewee|lessor lessee|assignor assignee|mentor "
    "mentee|licensor licensee|examiner examinee|donor donee|franchisor franchisee|mortgagor mortgagee"
)
_SENTENCES = ["What must the {} bring?", "Rights of an {} in Ohio", "Can {}s cancel it?"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sentence.format(one), sentence.format(other))
        for sentence, (one, other) in product(_SENTENCES, (pair.split() for pair in _PAIRS.split("|")))
    ],
)
def test_who_acts_is_not_whom_it_is_done_to(one: str, other: str) -> None:
    """What -er, -or and -ee say, of one and of several."""
    assert endings_differ(read(one), read(other)).startswith("who acts differs")
    assert endings_differ(read(other), read(one)).startswith("who acts differs")


@pytest.mark.parametrize("owner", ["brother", "tenant", "student", "employee"])
def test_what_is_ones_is_not_what_is_severals(owner: str) -> None:
    """Where both say so with an apostrophe; who leaves it out may mean either."""
    one, several, unsaid = (read(f"Where is my {owner}{end} room?") for end in ("'s", "s'", "s"))
    assert endings_differ(one, several) == f"whose it is differs: {owner}'s ≠ {owner}s'"
    assert endings_differ(several, one)
    assert not endings_differ(one, unsaid)
    assert not endings_differ(unsaid, several)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does the employer owe the employee?", "What does an employer owe an employee?"),
        ("Where is the coffee?", "Where is coffee?"),
        ("What's my driver's fee?", "What is my driver's fee?"),
    ],
)
def test_endings_that_are_the_same_say_nothing(one: str, other: str) -> None:
    """Both acting and acted on in both, a word that only looks so, and "is"."""
    assert not endings_differ(read(one), read(other))
