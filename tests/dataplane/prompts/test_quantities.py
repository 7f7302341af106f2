"""One amount, however it is written."""

import pytest

from tollway_dataplane.prompts.quantities import calendar, quantities


def only(text: str) -> tuple[float, str]:
    (found,) = quantities(tuple(text.split()))
    return found.value, found.unit


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("£ 50", 50, "gbp"),
        ("fifty pounds", 50, "gbp"),
        ("two hundred and fifty euros", 250, "eur"),
        ("1,000 dollars", 1000, "usd"),
        ("3 million", 3e6, ""),
        ("20k", 20e3, ""),
        ("7pm", 7, "pm"),
        ("10:30", 10.5, ""),
        ("15 %", 15, "percent"),
        ("twenty one days", 21, "day"),
        ("the 3rd", 3, ""),
        ("500mg", 500, "milligram"),
        ("two dozen", 24, ""),
        ("a thousand pounds", 1_000, "gbp"),
        ("a hundred and fifty euros", 150, "eur"),
        ("3 hundred thousand", 300_000, ""),
        ("half a million dollars", 500_000, "usd"),
        ("a dozen", 12, ""),
    ],
)
def test_a_number_is_read_with_its_unit(text: str, value: float, unit: str) -> None:
    assert only(text) == (value, unit)


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("a few thousand dollars", "several thousand dollars", True),
        ("some hundred metres", "hundreds of metres", True),
        ("a couple of hundred", "a few hundred", True),
        ("a few thousand dollars", "a few hundred dollars", False),
        ("hundreds of people", "thousands of people", False),
        ("a few thousand dollars", "a thousand dollars", False),
        ("several hundred", "300", False),
    ],
)
def test_of_a_vague_number_the_magnitude_counts(one: str, other: str, agree: bool) -> None:
    (ours,), (theirs,) = quantities(tuple(one.split())), quantities(tuple(other.split()))
    assert ours.agrees(theirs) is theirs.agrees(ours) is agree


def test_one_is_a_pronoun_unless_it_counts_something() -> None:
    assert quantities(("which", "one", "is", "best")) == ()
    assert only("one week") == (1, "week")


def test_units_of_one_kind_are_compared_in_the_smallest() -> None:
    (fortnight,) = quantities(("14", "days"))
    (weeks,) = quantities(("two", "weeks"))
    (months,) = quantities(("2", "months"))
    assert fortnight.agrees(weeks)
    assert not fortnight.agrees(months)


def test_a_unit_left_out_is_no_difference() -> None:
    (seven,) = quantities(("seven",))
    (evening,) = quantities(("7pm",))
    (morning,) = quantities(("7am",))
    assert seven.agrees(evening)
    assert not evening.agrees(morning)


def test_weekdays_and_months_are_known_by_their_short_forms() -> None:
    assert calendar(("mon", "and", "tuesdays", "in", "sept")) == {"monday", "tuesday", "september"}


@pytest.mark.parametrize(
    "text",
    [
        "on May 5",
        "3 May",
        "open in may",
        "the 5th of may",
        "the May issue",
        "in March or May",
        "until May",
        "early may",
    ],
)
def test_may_is_a_month_beside_a_day_after_a_word_of_time_or_with_a_capital(text: str) -> None:
    assert "may" in calendar(tuple(text.split()))


@pytest.mark.parametrize(
    "text",
    [
        "may I come in",
        "May I come in",
        "What May I Bring",
        "this may hurt",
        "the two may differ",
        "item 3 may be",
    ],
)
def test_may_is_a_verb_elsewhere(text: str) -> None:
    assert calendar(tuple(text.split())) == frozenset()
