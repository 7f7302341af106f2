"""Who does it and to whom it is done, in the active and the passive, over made-up sentences."""

from itertools import product

import pytest

from tests.views import ViewOf
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.judgement.judge import facts_against, shipped
from tollway_dataplane.judgement.passive import voices_differ
from tollway_dataplane.prompts.reading import read

# As it is done, as it was done, and as what has been done.
VERBS = [
    ("pay", "paid", "paid"),
    ("hit", "hit", "hit"),
    ("bite", "bit", "bitten"),
    ("sue", "sued", "sued"),
    ("beat", "beat", "beaten"),
    ("call", "called", "called"),
    ("choose", "chose", "chosen"),
    ("rob", "robbed", "robbed"),
    ("accuse", "accused", "accused"),
    ("teach", "taught", "taught"),
]
PEOPLE = [("Sam", "Ana"), ("I", "the bank"), ("my brother", "his boss"), ("the dog", "a cat")]
IN_PAST = [  # active | passive of the same two in the same places
    "{a} {did} {b} | {a} {was} {done} by {b}",
    "Did {a} {do} {b}? | {Was} {a} {done} by {b}?",
    "Why did {a} never {do} {b}? | Why {was} {a} never {done} by {b}?",
    "Has it come out that {a} {did} {b}? | Has it come out that {a} got {done} by {b}?",
]
TRUE_OF_PAST = [
    "{a} {did} {b} | {b} {were} {done} by {a}",
    "Did {a} {do} {b}? | {Were} {b} {done} by {a}?",
    "Why did {a} never {do} {b}? | Why {were} {b} never {done} by {a}?",
]
OF_ONE = [
    "How do I get {done}? | How do I {do}?",
    "How to be {done} by Google | How to {do} Google",
    "Can you be {done} at work? | Can you {do} at work?",
    "I expect that Sam will be {done} | I expect that Sam will {do}",
    "Who has been {done}? | Who has {done}?",
    "Is my boss going to be {done} in May? | Is my boss going to {do} in May?",
    "I'm being {done} | I'm {doing}",
]
OTHERWISE = [
    ("I'm paid by Ana", "I pay Ana"),
    ("The man who was robbed by Tom", "The man who robbed Tom"),
    ("Who was hit by Sam?", "Who hit Sam?"),
    ("My friend got stopped by Tom", "My friend stopped Tom"),
    ("Do I need to be called by the shop?", "Do I need to call the shop?"),
    ("Was Sam given a book by Ana?", "Did Sam give Ana a book?"),
    ("Is my team annoyed?", "Is my team annoying?"),
    ("We weren't invited by Tom", "We didn't invite Tom"),
    ("Which player was bought by Leeds?", "Which player bought Leeds?"),
]
# Who does it, and to whom, with a preposition behind.
ASKED_FOR = [
    (f"{who} {does} {whom} {base} {preposition}?", f"{who} {form} {preposition} {whom}?")
    for who in ("Who", "Which club")
    for does, forms in (("does", 0), ("did", 1))
    for base, *both, preposition in (
        ("report", "reports", "reported", "to"),
        ("play", "plays", "played", "for"),
        ("borrow money", "borrows money", "borrowed money", "from"),
        ("lead", "leads", "led", "to"),
    )
    for form in (both[forms],)
    for whom in ("Sam", "my boss")
]
THE_SAME = [
    ("How do I reset my password?", "How can my password be reset?"),
    ("Why was I charged twice?", "Why did you charge me twice?"),
    ("My card was stolen", "Somebody stole my card"),
    ("My card was declined", "Why has my card declined?"),
    ("I need my car fixed", "I need to fix my car"),
    ("Where do I get my tires changed?", "Where do I change my tires?"),
    ("When did I have my car looked at?", "My car was looked at when?"),
    ("What is the amount to be paid?", "What is the amount to pay?"),
    ("Can I be refunded?", "Can you refund me?"),
    ("Is the shop closed today?", "Does the shop close today?"),
    ("How do I get started with knitting?", "How do I start knitting?"),
    ("The rate applied to it was wrong", "The wrong rate was applied to it"),
    ("Are any meetings scheduled?", "Are there meetings scheduled?"),
    ("It is damaged", "It's damaged badly"),
    ("Which book was written by Ana?", "Which book did Ana write?"),
    ("What is the event that changed your life?", "Which event changed your life?"),
    ("What is your most used app?", "Which of your apps is used most?"),
    ("Emails sent by Ana", "Emails that Ana sent"),
    ("Is Sam paid?", "Sam's paid"),
    ("What is the meaning of karma?", "What is meant by karma?"),
    ("Was it ever weeded?", "Where can I buy weed?"),
    ("Who does my boss report to?", "To whom does my boss report?"),
    ("Which tool is it used for?", "For which tool is it used?"),
]


def made(patterns: list[str], whom: list[tuple[str, str]]) -> list[tuple[str, str]]:
    found = []
    for pattern, (do, did, done), (a, b) in product(patterns, VERBS, whom):
        doing = (do[:-1] if do.endswith("e") else do + do[-1] if do in {"hit", "rob"} else do) + "ing"
        filled = pattern.format(
            do=do, did=did, done=done, doing=doing, a=a, b={"I": "me"}.get(b, b), was="was", Was="Was",
            were="was", Were="Was",
        )  # fmt: skip
        one, other = filled.split(" | ")
        found.append((one[:1].upper() + one[1:], other[:1].upper() + other[1:]))
    return found


DIFFERENT = made(IN_PAST, PEOPLE) + made(OF_ONE, [("", "")]) + ASKED_FOR + OTHERWISE
AS_GOOD = made(TRUE_OF_PAST, [("Sam", "Ana"), ("my brother", "his boss"), ("the dog", "a cat")]) + THE_SAME


def test_enough_is_made_up() -> None:
    assert len(set(DIFFERENT)) >= 200


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_the_active_is_not_the_passive(one: str, other: str) -> None:
    assert facts_against(read(one), read(other)) is not None
    assert facts_against(read(other), read(one)) is not None


@pytest.mark.parametrize(("one", "other"), AS_GOOD)
def test_who_acts_in_one_and_acts_in_the_other_is_let_pass(one: str, other: str) -> None:
    assert voices_differ(read(one), read(other)) == ""
    assert voices_differ(read(other), read(one)) == ""


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("Sam paid Ana", "Sam was paid by Ana", "who acts differs: done by sam ≠ done to sam (pay)"),
        ("I was hit by a car", "I hit a car", "who acts differs: done to I ≠ done by I (hit)"),
        ("Get hired by Google", "Hire Google", "who acts differs: done by google ≠ done to google (hire)"),
    ],
)
def test_it_is_said_who_acts(view: ViewOf, one: str, other: str, said: str) -> None:
    verdict = shipped().verdict(view(one), view(other))
    assert (verdict.reason, verdict.explanation) == (CacheReason.RELATIONS_DIFFER, said)
