"""What is read out of a prompt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.quantities import QUANTITY_WORDS
from tollway_dataplane.prompts.reading import read, word_vectors


def test_only_the_words_that_carry_what_is_asked_are_content() -> None:
    reading = read("Could you please tell me what the price of gold is?")
    assert [reading.low[i] for i in reading.content] == ["price", "gold"]


def test_two_negations_cancel() -> None:
    assert read("Do not remove the file").turns == ("not", "remove")
    assert read("Keep the file").turns == ()


def test_a_particle_turns_the_verb_before_it_over() -> None:
    assert [side for *_, side in read("Turn the heating off").polarity] == [-1]
    assert [side for *_, side in read("Turn the heating on").polarity] == [1]


def test_capitals_make_a_name_only_where_they_stand_out() -> None:
    assert read("Does Fluffbox deliver here").names == {"fluffbox"}
    assert read("DOES FLUFFBOX DELIVER HERE").names == frozenset()


def test_short_words_in_capitals_are_not_function_words() -> None:
    reading = read("Who leads IT")
    assert "it" in [reading.low[i] for i in reading.content]


def test_a_word_vector_is_the_mean_of_its_pieces() -> None:
    reading = read("the goldsmith")
    hidden = np.array([[9.0, 9.0], [1.0, 0.0], [1.0, 0.0]], dtype=np.float32)
    assert word_vectors(reading, hidden, [(0, 3), (4, 8), (8, 13)]).tolist() == [[127, 0]]


def test_a_word_past_the_end_of_the_encoder_has_no_vector() -> None:
    reading = read("gold silver")
    hidden = np.ones((1, 2), dtype=np.float32)
    assert word_vectors(reading, hidden, [(0, 4)])[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("How do I reset my password?", False),
        ("Is It open?", False),
        ("Wait two weeks", True),
        ("Half of them", True),
        ("How tall is it in feet?", True),
        ("Is it open in May?", True),
        ("What is “a”?", True),
        ("Who leads in the US?", True),
        ("It costs €a lot", True),
        ("What is a P60?", True),
    ],
)
def test_what_is_more_than_plain_words_is_seen(text: str, *, has: bool) -> None:
    assert read(text).has_figures is has


@given(
    st.lists(
        st.sampled_from([*sorted(FUNCTION), *sorted(QUANTITY_WORDS), "5", "½", "US", '"x"', "$"]), max_size=6
    ).map(" ".join)
)
def test_a_prompt_of_plain_words_has_no_quantity_date_code_or_quoted_text(text: str) -> None:
    reading = read(text)
    if not reading.has_figures:
        assert not any((reading.quantities, reading.calendar, reading.codes, reading.quoted))
