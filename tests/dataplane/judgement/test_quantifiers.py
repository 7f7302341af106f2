"""Of how many something is said, and how often, over made-up sentences: each of a pattern and a word of each class."""

from itertools import combinations

import pytest

from tollway_dataplane.judgement.quantifiers import quantifiers_differ
from tollway_dataplane.prompts.reading import read

HOW_MANY = [
    ("all", "every"),
    ("most", "the majority of", "almost all"),
    ("many", "a lot of", "lots of", "quite a few"),
    ("half of the", "half my"),
    ("some", "a few", "several"),
    ("few", "hardly any", "very few"),
    ("both",),
    ("just one of the", "a single"),
]
HOW_OFTEN = [
    ("always", "all the time"),
    ("usually", "generally", "almost always"),
    ("sometimes", "occasionally", "once in a while", "now and then"),
    ("rarely", "hardly ever"),
    ("never",),
]
EACH_SPAN = ["every day", "every week", "each morning", "daily", "weekly"]
NOT_EACH = [
    "now and then",
    "sometimes",
    "from time to time",
    "once in a while",
    "rarely",
    "hardly ever",
    "never",
]
SENTENCES_EACH = ["I water it {}", "Should I feed them {}?", "Does the tram stop here {}?"]
HOW_FAR = [
    ("completely", "fully", "entirely", "wholly"),
    ("mostly", "largely", "mainly", "almost fully"),
    ("partly", "partially"),
]
SENTENCES_HOW_FAR = ["The road is {} closed", "Is it {} paid?", "Is {} hidden ice dangerous?"]
HOW_MUCH = [
    ("slightly", "a bit", "a little", "somewhat", "mildly"),
    ("very", "extremely", "severely", "badly"),
    ("almost", "nearly"),
]
SENTENCES_HOW_MUCH = ["The screen is {} cracked", "Is it dangerous when {} hot?", "I am {} allergic to nuts"]
SENTENCES = [
    "Delete {} backups",
    "Are {} snakes venomous?",
    "Do {} lawyers work nights?",
    "How do I rename {} files?",
]
SENTENCES_OFTEN = ["Does it {} rain in Bergen?", "Why does my phone {} restart?", "My card is {} declined"]
OF_TWO = [
    (sentence.format(one), sentence.format(other))
    for sentences, classes in (
        (SENTENCES, HOW_MANY),
        (SENTENCES_OFTEN, HOW_OFTEN),
        (SENTENCES_EACH, [EACH_SPAN, NOT_EACH]),
        (SENTENCES_HOW_FAR, HOW_FAR),
        (SENTENCES_HOW_MUCH, HOW_MUCH),
    )
    for sentence in sentences
    for ones, others in combinations(classes, 2)
    for one in ones
    for other in others
]
OTHERS = [
    ("How do I select every row?", "How do I select every other row?"),
    ("How do I select all rows?", "How do I select all other rows?"),
    ("Do all plans include it?", "Do all of the other plans include it?"),
    ("Delete every row", "Delete every second row"),
]
OF_ONE = [
    ("Are {}snakes venomous?", ("all ", "most ", "many ", "few ", "half of ", "hardly any ")),
    ("Does it {}rain in Bergen?", ("always ", "often ", "rarely ")),
    ("Delete {}backups", ("few ", "hardly any ", "half of the ")),
    ("Is it {}paid?", ("partly ", "partially ")),
]
AS_GOOD = [
    ("Show all open tickets", "Show every open ticket"),
    ("Log out every other device", "Log out all other devices"),
    ("Delete every other row", "Delete every second row"),
    ("Is it open every other day?", "Is it open every second day?"),
    ("Where are all the lighthouses?", "Where are the lighthouses?"),
    ("How do I delete all cookies?", "How do I delete cookies?"),
    ("Do you have any tips?", "Do you have some tips?"),
    ("Are there any fees?", "Are there fees?"),
    ("What are the most popular songs of all time?", "What are the most popular songs ever?"),
    ("How many trees are there?", "How many of the trees are there?"),
    ("Many thanks, where is my order?", "Where is my order?"),
    ("Give me a few tips on sleep", "Give me some tips on sleep"),
    ("Why does my phone always restart?", "Why does my phone restart?"),
    ("Do a lot of people fly?", "Do many people fly?"),
    ("Do dogs usually bark?", "Do dogs generally bark?"),
    ("I take it every day", "I take it each day"),
    ("I take it every day", "I take it daily"),
    ("How do I completely delete it?", "How do I delete it?"),
    ("Is it mostly paid?", "Is it largely paid?"),
    ("I run every morning", "I usually run every morning"),
    ("I always eat at noon", "I eat at noon every day"),
    ("Can I use it all over the country?", "Can I use it in any place in the country?"),
    ("How does one make bread?", "How does anyone make any bread?"),
    ("What are the few gems in Delhi?", "What are some gems in Delhi?"),
    ("It takes half an hour", "It takes an hour"),
    ("Are all rocks grey in the story of the old man?", "Which novel has a whale and a captain in it?"),
]


TOO_MUCH = [
    ("Is there enough {} left?", "Is there too much {} left?"),
    ("Why do I have enough {}?", "Why do I have too much {}?"),
]


@pytest.mark.parametrize(("one", "other"), TOO_MUCH)
@pytest.mark.parametrize("word", ["storage", "water", "sugar"])
def test_enough_is_not_too_much(one: str, other: str, word: str) -> None:
    ours, theirs = read(one.format(word)), read(other.format(word))
    assert quantifiers_differ(ours, theirs) is not None
    assert quantifiers_differ(theirs, ours) is not None


@pytest.mark.parametrize(("one", "other"), OF_TWO + OTHERS)
def test_words_of_two_classes_are_a_difference(one: str, other: str) -> None:
    assert quantifiers_differ(read(one), read(other)) is not None
    assert quantifiers_differ(read(other), read(one)) is not None


@pytest.mark.parametrize(
    ("sentence", "word"), [(sentence, word) for sentence, words in OF_ONE for word in words]
)
def test_what_only_one_says_differs_where_it_weighs(sentence: str, word: str) -> None:
    one, other = read(sentence.format(word)), read(sentence.format(""))
    assert quantifiers_differ(one, other) is not None
    assert quantifiers_differ(other, one) is not None


@pytest.mark.parametrize(("one", "other"), AS_GOOD)
def test_another_way_to_say_the_same_is_let_pass(one: str, other: str) -> None:
    assert quantifiers_differ(read(one), read(other)) is None
    assert quantifiers_differ(read(other), read(one)) is None


def test_some_and_any_differ_in_orders() -> None:
    assert quantifiers_differ(read("Delete some backups"), read("Delete any backups")) == ({"some"}, {"any"})
