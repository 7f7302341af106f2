"""Who does it to whom, and whose it is, over made-up sentences: each of a pattern and a word that fits it."""

from itertools import product

import pytest

from tests.views import ViewOf
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.judgement.judge import facts_against, shipped
from tollway_dataplane.judgement.persons import parts_exchanged
from tollway_dataplane.prompts.reading import read

Pair = tuple[str, str]


def made(patterns: list[str], words: list[str]) -> list[Pair]:
    filled = (pattern.format(word).split(" | ") for pattern, word in product(patterns, words))
    return [(one, other) for one, other in filled]


# Somebody of mine, and I.
BY_NOUN = made(
    [
        "Can my {0} read my emails? | Can I read my {0}'s emails?",
        "Is my {0} allowed to cut my tree? | Am I allowed to cut my {0}'s tree?",
        "Should my {0} paint my fence? | Should I paint the fence of my {0}?",
        "My {0} entered my flat | I entered my {0}'s flat",
        "May my {0} legally open my letters? | May I legally open my {0}'s letters?",
        "Is my {0} responsible for my debts? | Am I responsible for my {0}'s debts?",
        "Do my {0}s wear my coats? | Do I wear my {0}s' coats?",
        "Does the {0} have to mend my roof? | Do I have to mend the {0}'s roof?",
    ],
    ["boss", "neighbour", "brother", "landlord", "ex-wife"],
)
# Me, and I.
BY_PRONOUN = made(
    [
        "Should my landlord {0} me? | Should I {0} my landlord?",
        "Can the police {0} me? | Can I {0} the police?",
        "When will you {0} me? | When will I {0} you?",
        "Will you {0} me? | Will I {0} you?",
        "Can he {0} me? | Can I {0} him?",
        "Who will {0} me? | Who will I {0}?",
    ],
    ["pay", "refund", "sue", "call", "trust"],
)
BY_OWNER = made(
    [
        "Can you see my {0}? | Can I see your {0}?",
        "Can Anna see my {0}? | Can I see Anna's {0}?",
        "Did you share your {0} with me? | Did I share my {0} with you?",
        "Does he know my {0}? | Do I know his {0}?",
    ],
    ["screen", "calendar", "address"],
)
# What I have to do, or somebody has to do to me.
BY_DUTY = [
    (f"{subject} {to} {verb} me{mark}", f"{mine} {verb}{mark}")
    for verb in ("pay", "call", "refund", "follow")
    for subject, to, mine, mark in (
        ("Does my boss", "have to", "Do I have to", "?"),
        ("Is the tenant", "supposed to", "Am I supposed to", "?"),
        ("My landlord", "is going to", "I am going to", ""),
        ("My sister", "had to", "I had to", ""),
        ("The bank", "isn't allowed to", "I'm not allowed to", ""),
    )
]
# Two before and behind a word.
ACROSS = made(
    [
        "My {0}'s dog is bigger than mine | My dog is bigger than my {0}'s",
        "Is our house older than the {0}'s? | Is the {0}'s house older than ours?",
        "My {0}'s train leaves before mine | My train leaves before my {0}'s",
        "You go before the {0} | The {0} goes before you",
        "I speak after my {0} | My {0} speaks after me",
        "I have paid more than the {0} has | The {0} has paid more than I have",
    ],
    ["boss", "neighbour", "brother"],
)
# Who acts in one is in the other only part of what somebody has.
WITHIN = made(
    [
        "Can the {0} close my account? | Can I close my {0} account?",
        "Will the {0} change our records? | Will we change our {0} records?",
        "How long may my {0} keep my deposit? | How long may I keep my {0} deposit?",
        "Can the {0} share my child's files? | Can I share my child's {0} files?",
    ],
    ["bank", "store", "school"],
)
OTHERWISE = [
    ("Did she ever catch somebody?", "Was she ever caught by somebody?"),
    ("Why does my bank not recognise me?", "Why do I not recognise my bank?"),
    ("Can I work for my brother?", "Can my brother work for me?"),
]
THE_SAME = [
    ("How do I reset my password?", "How can my password be reset?"),
    ("My card was declined, what should I do?", "What should I do when my card was declined?"),
    ("Can you book me a table?", "I want to book a table"),
    ("Book me a flight", "I'd like to book a flight"),
    ("Help me find my phone", "I want you to help me to find my phone"),
    ("Why was I charged twice?", "Why did you charge me twice?"),
    ("Did my boss fire me?", "Was I fired by my boss?"),
    ("Can I cancel my order?", "Can you cancel my order?"),
    ("Can I read my boss's emails?", "May I read the emails of my boss?"),
    ("I must change the oil in my car", "How can I change my car's oil?"),
    ("When do I need to change my tires?", "When do I need to get my tires changed?"),
    ("How do I start to code?", "How do I get started with code?"),
    ("Why was I charge a fee?", "Why was I charged a fee?"),
    ("Can I start talking to you in French?", "Can you talk to me in French?"),
    ("Draft a note asking the customer for their number", "Write a note on the customer's number"),
    ("Which days are left?", "Which of the days are left?"),
    ("Do I have to pay before I leave?", "Before I leave, do I have to pay?"),
    ("My car is bigger than yours", "Yours is smaller than my car"),
    ("I want you to book me a table", "I have to book a table"),
    ("Can the app export my data?", "Can I export my data from the app?"),
    ("Can my phone connect to my car?", "Can I connect my phone to my car?"),
    ("Please ask the bank to freeze my account", "Can I freeze my bank account?"),
    ("Can my bank account be closed?", "Can I close my bank account?"),
    ("Does the bank charge interest on my loan?", "Am I charged interest on my bank loan?"),
]


@pytest.mark.parametrize(
    ("one", "other"), BY_NOUN + BY_PRONOUN + BY_OWNER + BY_DUTY + ACROSS + WITHIN + OTHERWISE
)
def test_who_acts_and_whose_it_is_are_not_exchanged(one: str, other: str) -> None:
    assert facts_against(read(one), read(other)) is not None
    assert facts_against(read(other), read(one)) is not None


@pytest.mark.parametrize(("one", "other"), THE_SAME)
def test_the_same_parts_in_other_words_are_let_pass(one: str, other: str) -> None:
    assert parts_exchanged(read(one), read(other)) == ""
    assert parts_exchanged(read(other), read(one)) == ""


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (
            "Can my boss read my emails?",
            "Can I read my boss's emails?",
            "who acts differs: I ≠ boss (read)",
        ),
        ("Can you see my screen?", "Can I see your screen?", "whose it is differs: I ≠ you (screen)"),
        ("Will you refund me?", "Will I refund you?", "who is acted on differs: I ≠ you (refund)"),
        (
            "Have you ever caught a thief?",
            "Have you ever been caught, thief?",
            "who acts differs: you (catch)",
        ),
    ],
)
def test_it_is_said_what_differs(view: ViewOf, one: str, other: str, said: str) -> None:
    verdict = shipped().verdict(view(one), view(other))
    assert (verdict.reason, verdict.explanation) == (CacheReason.RELATIONS_DIFFER, said)
