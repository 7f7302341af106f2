"""What a user states, clause by clause, and what of it is news to another chat."""

import pytest

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.chat_content import ChatContent
from tollway_dataplane.judgement.statements import clauses, is_news, states, weighs_by_itself
from tollway_dataplane.prompts.reading import read

KNOWN = ChatContent([read("I want to return my shoes"), read("Sure, in any shop.")])


def texts(said: str) -> list[str]:
    return [clause.text.strip() for clause in clauses(Turn("user", said))]


def test_each_clause_stands_for_itself() -> None:
    assert texts("I want to return my shoes, they were on sale") == [
        "I want to return my shoes,",
        "they were on sale",
    ]
    assert texts("moved (glitter everywhere) because of work") == [
        "glitter everywhere",
        "because of work",
    ]


def test_a_correction_stays_whole() -> None:
    assert texts("six, sorry") == ["six, sorry"]


def test_a_side_question_is_left_out_unless_it_tells_of_who_asks() -> None:
    assert texts("by the way, do you sell bread?") == []
    assert texts("by the way, I've turned 65, is it cheaper?") != []


@pytest.mark.parametrize("said", ["they were on sale", "let's take the red ones", "no, make it two"])
def test_what_the_other_user_does_not_say_is_news(said: str) -> None:
    assert is_news(read(said), KNOWN, weighs=True)


@pytest.mark.parametrize("said", ["I'd like to return the shoes", "what a nuisance", "is it far?"])
def test_what_is_said_in_other_words_in_passing_or_asked_is_none(said: str) -> None:
    assert not is_news(read(said), KNOWN, weighs=True)


def test_a_question_about_what_is_ones_own_states_that_one_has_it() -> None:
    assert states(read("do you also insure my dog?"))
    assert not states(read("do you also insure dogs?"))


def test_how_things_are_weighs_where_leave_is_asked_for() -> None:
    said = read("she has a cat")
    assert weighs_by_itself(said, advice=False, leave=True)
    assert not weighs_by_itself(said, advice=False, leave=False)
