"""Chats that end in the same question: which may share an answer. All are made up; most of them are in `chats.yaml`."""

from pathlib import Path

import pytest
import yaml

from tests.dataplane.judgement.test_critical_facts import TRAPS
from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.chat_pairs import Chat
from tollway_dataplane.judgement.conversation import difference, matters, may_compare, sought_by
from tollway_dataplane.prompts.reading import read

CASES = yaml.safe_load((Path(__file__).parent / "chats.yaml").read_text(encoding="utf-8"))


def chat(said: str) -> Chat:
    """The user and the assistant in turn; the last is the prompt."""
    *earlier, prompt = said.split(" | ")
    roles = ("user", "assistant")
    return Chat(read(prompt), tuple(Turn(roles[i % 2], text) for i, text in enumerate(earlier)))


@pytest.mark.parametrize(("one", "other"), CASES["differ"])
def test_chats_that_differ_in_what_matters_share_nothing(one: str, other: str) -> None:
    assert difference(chat(one), chat(other)) != ""
    assert difference(chat(other), chat(one)) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('my script says echo "$HOME"', "my script says echo '$HOME'"),
        ("This is my config:\n    x: 1", "This is my config:\nx: 1"),
        ("    x: 1", "x: 1"),
    ],
)
def test_quotes_and_indentation_of_code_in_an_earlier_turn_matter(one: str, other: str) -> None:
    ours, theirs = (chat(f"{said} | Okay. | is it right?") for said in (one, other))
    assert difference(ours, theirs) != ""
    assert difference(theirs, ours) != ""


@pytest.mark.parametrize("question", ["what does it cost?", "how long does that take?"])
@pytest.mark.parametrize(
    ("one", "other"), [(one, other) for one, other, _ in TRAPS if read(one).low != read(other).low]
)
def test_what_is_a_trap_alone_is_one_in_an_earlier_turn(one: str, other: str, question: str) -> None:
    ours, theirs = (chat(f"{said} | Noted. | {question}") for said in (one, other))
    assert difference(ours, theirs) != ""
    assert difference(theirs, ours) != ""


# Short turns in which two have changed parts; nothing else differs.
EXCHANGED = [
    (verb.format(one, other), verb.format(other, one))
    for one, other in (
        ("Germany", "Brazil"),
        ("Anna", "Ben"),
        ("the buyer", "the seller"),
        ("our supplier", "the bank"),
    )
    for verb in (
        "{} beat {}.",
        "{} pays {}.",
        "{} will pay {} back.",
        "{} owes {} a refund.",
        "Yes, {} hired {}.",
    )
]
PARTED = [
    ("Your boss may read my emails.", "I may read your boss's emails."),
    ("You owe me a refund.", "I owe you a refund."),
    ("Most of the rooms are free.", "A few of the rooms are free."),
    ("It usually arrives late.", "It hardly ever arrives late."),
]


@pytest.mark.parametrize(
    "chats", ["how did it end? | {} | when is it due?", "{} | Noted. | what does it cost?"]
)
@pytest.mark.parametrize(("one", "other"), EXCHANGED + PARTED)
def test_who_acts_and_of_how_many_is_not_exchanged_in_what_either_said(
    chats: str, one: str, other: str
) -> None:
    ours, theirs = (chat(chats.format(said)) for said in (one, other))
    assert difference(ours, theirs) != ""
    assert difference(theirs, ours) != ""


# The pair alone would be refused; here it is what a user said before.
TURNED = [
    ("My parcel has arrived broken", "My parcel has not arrived"),
    ("My suitcase came back damaged", "My suitcase never came back"),
    ("I was vaccinated last spring", "I was not vaccinated"),
    ("The fever has dropped a bit", "The fever has not dropped"),
    ("I lost my debit card", "I lost my credit card"),
    ("The loan was approved in part", "The loan was not approved"),
    ("My phone charges slowly", "My phone does not charge"),
    ("The heating works badly", "The heating does not work"),
    ("I barely passed the exam", "I did not pass the exam"),
    ("The order was delivered late", "The order was not delivered"),
    ("My tenant pays late", "My tenant does not pay"),
    ("Can the tenant sue the landlord", "Can the landlord sue the tenant"),
    ("We run ls -a in it", "We run ls -A in it"),
    ("The loop has i++ at the end", "The loop has ++i at the end"),
    ("Does the tent come with pegs", "Does the tent come without pegs"),
]


@pytest.mark.parametrize("question", ["what are my options?", "How do I handle that?"])
@pytest.mark.parametrize("reply", ["Sorry!", "Noted."])
@pytest.mark.parametrize(("one", "other"), TURNED)
def test_a_turn_that_is_turned_over_matters_though_it_has_a_word_more(
    one: str, other: str, reply: str, question: str
) -> None:
    ours, theirs = (chat(f"{said} | {reply} | {question}") for said in (one, other))
    assert difference(ours, theirs) != ""
    assert difference(theirs, ours) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "has my parcel come? | It has arrived at the depot in town. | where is that?",
            "has my parcel come? | It has not arrived at the depot. | where is that?",
        ),
        (
            "was my claim approved? | It was approved by the office on Monday. | why is that?",
            "was my claim approved? | It was not approved by the office. | why is that?",
        ),
    ],
)
def test_what_one_assistant_denies_matters(one: str, other: str) -> None:
    assert difference(chat(one), chat(other)) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "I ordered 2 lamps, order 5521, and got 4 | How odd! | do I have to send one back?",
            "I got 4 lamps although I ordered 2, order 5521 | Oh no! How odd! | do I have to send one back?",
        ),
        (
            "I need to renew my library card | Sure. | how long does that take?",
            "I need to renew my library card | No bother! Sure. | how long does that take?",
        ),
        (
            "I need a cot in the room | For which night? | for 4 May | Okay. | what does it cost?",
            "I need a cot in the room for 4 May | Okay. | what does it cost?",
        ),
    ],
)
def test_facts_in_another_turn_or_order_and_words_in_passing_do_not(one: str, other: str) -> None:
    assert difference(chat(one), chat(other)) == ""
    assert difference(chat(other), chat(one)) == ""


@pytest.mark.xfail(strict=True, reason="told by a side question, within a clause, by the assistant alone")
@pytest.mark.parametrize(("one", "other"), CASES["served_although_they_differ"])
def test_what_is_known_to_be_served_wrongly(one: str, other: str) -> None:
    assert difference(chat(one), chat(other)) != ""


@pytest.mark.parametrize(("one", "other"), CASES["agree"])
def test_chats_that_differ_in_what_does_not_matter_share_an_answer(one: str, other: str) -> None:
    assert difference(chat(one), chat(other)) == ""
    assert difference(chat(other), chat(one)) == ""


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (
            "I owe 300 euros to them | Okay. | how much is it a month?",
            "I owe 900 euros to them | Okay. | how much is it a month?",
            "earlier turns differ: 300 ≠ 900",
        ),
        (
            "I want to insure my cat | Sure. | what does it cost?",
            "I want to insure my dog | Sure. | what does it cost?",
            "earlier turns differ: cat ≠ dog",
        ),
        (
            "it is broken | Shall I repair it? | yes please",
            "it is broken | Shall I replace it? | yes please",
            "an answer or a request, after other turns",
        ),
        (
            "my flight was late | Were you told why? | yes | I see. | what do I get?",
            "my flight was late | Were you told why? | no | I see. | what do I get?",
            "answered otherwise: yes ≠ no",
        ),
        (
            "I need a ticket | Which one? | the weekly one | Okay. | how much is it?",
            "I need a ticket | Which one? | the weekly one | Okay. | I'm a student | I see. | how much is it?",
            "only in one of them: I'm a student",
        ),
        (
            "hello | Hi! | reply in Dutch please | Natuurlijk. | What is a fjord?",
            "hello | Hi! | can you sing? | I can't. | What is a fjord?",
            "said how to answer: in dutch",
        ),
        (
            "I like hiking | Nice! | what did I say so far?",
            "I like hiking | Nice! | and swimming | Good. | what did I say so far?",
            "it asks about the chat",
        ),
        (
            "je voudrais une chambre | Bien sûr. | what does it cost?",
            "je cherche un hôtel | Volontiers. | what does it cost?",
            "not English prose",
        ),
        (
            f"tell me a story | {'It was a dark night. ' * 60} | and who is the thief?",
            f"tell me a story | {'It was a bright day. ' * 60} | and who is the thief?",
            "turns too long to compare",
        ),
        (
            f"list them | {'a. ' * 110} | which is the best?",
            f"list them | {'b. ' * 110} | which is the best?",
            "turns too long to compare",
        ),
        (
            " | ".join(f"it is a house of {i} rooms" for i in range(70)) + " | Fine. | what does it cost?",
            " | ".join(f"it was a hut of {i} doors" for i in range(70)) + " | Fine. | what does it cost?",
            "turns too long to compare",
        ),
        (
            "which bike? | The Koga. | is it light?",
            "which bike? | The Koga or the Gazelle. | is it light?",
            "only in one of them: gazelle",
        ),
        (
            f"add up {' '.join(map(str, range(112)))} | Done. | what is the mean?",
            f"add up {' '.join(map(str, range(111)))} | Done. | what is the mean?",
            "too many numbers to compare",
        ),
        # at the same place, counted from the end of where they are not the same
        (
            "I'd like to insure my cat | Sure. | what does it cost?",
            "do you sell in Norway? | Yes. | I'd like to insure my dog | Sure. | what does it cost?",
            "earlier turns differ: cat ≠ dog",
        ),
        (
            "It will be with milk. | Fine. | what does it cost?",
            "Or milk. | Fine. | what does it cost?",
            "earlier turns differ: milk",
        ),
        # forms of one word for the dictionary, and opposites
        (
            "my father flies with us | Fine. | what does it cost?",
            "my mother flies with us | Fine. | what does it cost?",
            "earlier turns differ: opposites: father ≠ mother",
        ),
        ("hello | Hi! | what does it cost?", "what does it cost?", ""),
        (
            "I'd like the blue one | Okay. | what does it cost?",
            "what does it cost?",
            "only one of them has earlier turns",
        ),
    ],
)
def test_what_speaks_against_it_is_said(one: str, other: str, said: str) -> None:
    assert difference(chat(one), chat(other)) == said


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Wir essen, Oma", "Wir essen Oma"),
        ("Der Gefangene floh", "der gefangene floh"),
        ("Mangeons, grand-mère", "Mangeons grand-mère"),
        ("Vamos a comer, niños", "Vamos a comer niños"),
        ("Propustit, nelze popravit", "Propustit nelze, popravit"),
        ("Let's eat, Grandma", "Let's eat Grandma"),
        ("Hi, let's eat, Grandma", "let's eat Grandma, please"),
        ("it is about polish", "it is about Polish"),
        ("I push to origin Main", "I push to origin main"),
        ('I replaced "US" with "us"', 'I replaced "us" with "US"'),
        ("the text is: i am here", "the text is: I am here"),
        ("what is the grammar of I go.", "what is the grammar of I go"),
    ],
)
def test_a_turn_of_the_same_words_written_otherwise_matters(one: str, other: str) -> None:
    ours, theirs = (chat(f"{said} | Okay. | how long is that?") for said in (one, other))
    assert difference(ours, theirs) != ""
    assert difference(theirs, ours) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I live in Oslo.", "i live in oslo"),
        ("Yes, please", "yes please"),
        ("Hi, do you ship to Norway?", "do you ship to norway, please"),
        ("I'd like a sofa, and a lamp", "I\u2019d like a sofa and a lamp!"),
    ],
)
def test_how_carelessly_a_turn_was_typed_does_not(one: str, other: str) -> None:
    ours, theirs = (chat(f"{said} | Okay. | how long does that take?") for said in (one, other))
    assert difference(ours, theirs) == ""


def test_a_chat_of_many_turns_or_of_long_ones_is_not_compared() -> None:
    turn = Turn("user", "a" * 80)
    assert may_compare([turn] * 100)
    assert not may_compare([turn] * 101)
    assert not may_compare([Turn("user", "a" * 8_001)])


def test_a_chat_is_sought_by_the_rarest_words_that_its_user_said() -> None:
    one = chat("hello | Hi! | my Veloflex bicycle has a flat tyre | Oh no. | how do I fix it?")
    assert matters(one.turns)[0] == "veloflex"
    assert {"bicycle", "tyre"} <= set(matters(one.turns))
    assert len(matters(one.turns)) <= 6
    assert sought_by(one.prompt, one.turns) == matters(one.turns)


def test_a_question_that_needs_no_earlier_turns_is_sought_among_all() -> None:
    one = chat("my bicycle has a flat tyre | Oh no. | Who wrote the novel Frankenstein?")
    assert sought_by(one.prompt, one.turns) == []


def test_a_greeting_is_nothing_to_seek_a_chat_by() -> None:
    assert matters([Turn("user", "Hello there!")]) == []
