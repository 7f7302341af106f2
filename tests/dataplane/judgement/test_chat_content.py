"""What is said in some turns, and whether others say it too."""

import pytest

from tollway_dataplane.judgement.chat_content import ChatContent, exchanged_facts, is_order
from tollway_dataplane.prompts.reading import read


def exchanged(one: str, other: str, *, any_kind: bool = True) -> str:
    ours, theirs = [read(one)], [read(other)]
    return exchanged_facts((ours, theirs), (ChatContent(ours), ChatContent(theirs)), any_kind=any_kind)


def test_facts_that_each_side_has_for_itself_are_exchanged() -> None:
    assert exchanged("We owe £500", "We owe £900") == "500 ≠ 900"
    assert exchanged("We fly to Oslo on 3 May", "We fly to Rome on 3 May") == "oslo ≠ rome"


def test_a_fact_more_on_one_side_is_no_exchange() -> None:
    assert exchanged("We owe £500", "We owe £500 since May") == ""


def test_of_another_kind_a_fact_is_exchanged_only_where_any_kind_counts() -> None:
    assert exchanged("It costs £500", "It comes on Monday") == "500 ≠ monday"
    assert exchanged("It costs £500", "It comes on Monday", any_kind=False) == ""


def test_the_share_of_what_is_said_here_too_is_found_in_other_words() -> None:
    said = ChatContent([read("I want to purchase a bike for three people")])
    assert said.share_of([read("buy a bicycle for 3")]) == 1
    assert said.share_of([read("buy a boat")]) == pytest.approx(1 / 2)
    assert said.share_of([read("hi!")]) == 1


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("oh, and make mine without meat", True),
        ("add a child", True),
        ("please cancel the second night", True),
        ("my sister loves it", False),
        ("is a child free?", False),
        ("work", False),
    ],
)
def test_what_is_to_be_done_is_an_order(text: str, order: bool) -> None:
    assert is_order(read(text)) is order
